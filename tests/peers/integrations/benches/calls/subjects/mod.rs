//! What is measured: calls of each library, and for each the ways to trace them.

use ddtrace_peers_integrations::tracers::Tracer;
use std::future::Future;
use std::pin::Pin;

mod aws;
mod grpc;
mod http_client;
mod http_server;
pub(crate) mod kafka;
mod postgres;
mod redis;
mod sql;

/// Calls that make a trace together, below a root: what a request to a service would do.
pub(crate) const CALLS_PER_TRACE: u32 = 10;

/// A call of a library.
pub(crate) struct Subject {
    /// How it is called in the tables; the library's name is part of it.
    pub(crate) name: &'static str,
    /// Variable that says where its server is, if it needs one.
    pub(crate) needs: Option<&'static str>,
    /// Calls that are measured at once: so few that no tracer's queue is full, which for some is at 2,048 spans.
    pub(crate) burst: u32,
    /// Spans of a call.
    pub(crate) spans: u32,
    /// Whether there is a root above [`CALLS_PER_TRACE`] calls; a server's spans are roots themselves.
    pub(crate) rooted: bool,
    /// The ways to trace it, the library alone first.
    pub(crate) variants: &'static [Variant],
}

impl Subject {
    /// Spans that so many calls make.
    pub(crate) fn expected(&self, calls: u32) -> u32 {
        let roots = if self.rooted {
            calls / CALLS_PER_TRACE
        } else {
            0
        };
        calls * self.spans + roots
    }
}

/// One way to trace a library.
pub(crate) struct Variant {
    /// The tracer that is installed.
    pub(crate) tracer: Tracer,
    /// What makes the spans.
    pub(crate) with: &'static str,
    /// Makes the client, or the service, with the tracer installed.
    pub(crate) prepare: fn(Tracer) -> Pin<Box<dyn Future<Output = Box<dyn Work>>>>,
}

/// Calls that can be repeated.
pub(crate) trait Work {
    /// Calls so often, one after the other.
    fn run(&mut self, calls: u32) -> Pin<Box<dyn Future<Output = ()> + '_>>;

    /// Waits for what the calls have left to be done in the background.
    fn settle(&mut self) {}
}

/// Calls of a client, [`CALLS_PER_TRACE`] below each root.
struct Rooted<C, F> {
    tracer: Tracer,
    client: C,
    call: F,
    settle: fn(&C),
}

impl<C, F: AsyncFn(&mut C)> Work for Rooted<C, F> {
    fn run(&mut self, calls: u32) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async move {
            for _ in 0..calls / CALLS_PER_TRACE {
                let request = async {
                    for _ in 0..CALLS_PER_TRACE {
                        (self.call)(&mut self.client).await;
                    }
                };
                self.tracer.root(request).await;
            }
        })
    }

    fn settle(&mut self) {
        (self.settle)(&self.client);
    }
}

fn rooted<C: 'static>(
    tracer: Tracer,
    client: C,
    call: impl AsyncFn(&mut C) + 'static,
) -> Box<dyn Work> {
    Box::new(Rooted {
        tracer,
        client,
        call,
        settle: |_| {},
    })
}

/// Requests to a service.
struct Plain<C, F> {
    service: C,
    call: F,
}

impl<C, F: AsyncFn(&mut C)> Work for Plain<C, F> {
    fn run(&mut self, calls: u32) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async move {
            for _ in 0..calls {
                (self.call)(&mut self.service).await;
            }
        })
    }
}

/// The value of a variable that the parent has looked for.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"))
}

/// A row of variants: `tracer, "what makes the spans" => expression with the tracer`.
macro_rules! variants {
    ($tracer:ident: $($which:ident, $with:expr => $work:expr;)+) => {
        &[$($crate::subjects::Variant {
            tracer: ddtrace_peers_integrations::tracers::Tracer::$which,
            with: $with,
            prepare: |$tracer| Box::pin(async move { $work }),
        }),+]
    };
}
use variants;

/// All of them.
pub(crate) fn all() -> Vec<&'static Subject> {
    let of_libraries: [&'static [Subject]; 8] = [
        http_server::SUBJECTS,
        http_client::SUBJECTS,
        grpc::SUBJECTS,
        sql::SUBJECTS,
        postgres::SUBJECTS,
        redis::SUBJECTS,
        kafka::SUBJECTS,
        aws::SUBJECTS,
    ];
    of_libraries.into_iter().flatten().collect()
}
