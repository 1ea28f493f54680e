//! What a connection to a cluster can do beyond the library's traits.

use ddtrace_core::trace::{Span, instrument_with};
use redis::cluster::ClusterPipeline;
use redis::cluster_routing::RoutingInfo;
use redis::{Cmd, FromRedisValue, RedisResult, Value};

use crate::span::{self, Rows, SETTINGS};
use crate::traced::{Traced, arguments, pipeline_span};

impl Traced<redis::cluster::ClusterConnection> {
    /// Runs a pipeline of a cluster, in the place of [`ClusterPipeline::query`], which asks for the library's own connection.
    ///
    /// # Errors
    ///
    /// Those of [`ClusterPipeline::query`].
    pub fn query_pipeline<T: FromRedisValue>(
        &mut self,
        pipeline: &ClusterPipeline,
    ) -> RedisResult<T> {
        let Some(settings) = SETTINGS.get() else {
            return pipeline.query(&mut self.inner);
        };
        let length = pipeline.cmd_iter().count();
        let mut span = pipeline_span(&settings, &self.server, pipeline.cmd_iter(), length);
        let answers = {
            let _active = span.enter();
            pipeline.query(&mut self.inner)
        };
        if let Err(error) = &answers {
            span::mark(&mut span, error);
        }
        answers
    }

    /// Sends a command to nodes of the program's choice; see
    /// [`ClusterConnection::route_command`](redis::cluster::ClusterConnection::route_command).
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub fn route_command(&mut self, command: &Cmd, routing: RoutingInfo) -> RedisResult<Value> {
        let span = self.routed(command);
        self.within(span, |connection| {
            connection.route_command(command, routing)
        })
    }
}

impl Traced<redis::cluster_async::ClusterConnection> {
    /// Sends a command to nodes of the program's choice; see
    /// [`ClusterConnection::route_command`](redis::cluster_async::ClusterConnection::route_command).
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub async fn route_command(
        &mut self,
        command: Cmd,
        routing: RoutingInfo,
    ) -> RedisResult<Value> {
        let (span, rows) = self.routed(&command);
        let answer = self.inner.route_command(command, routing);
        instrument_with(span, answer, move |answer, span| {
            span::answered(span, rows, answer);
        })
        .await
    }
}

impl<C> Traced<C> {
    /// The span of a command that the program routes.
    fn routed(&self, command: &Cmd) -> (Span, Rows) {
        match SETTINGS.get() {
            Some(settings) => span::command(&settings, &self.server, arguments(command)),
            None => (Span::off(), Rows::Uncounted),
        }
    }
}
