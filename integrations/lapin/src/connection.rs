//! [`Connection`].

use std::ops::Deref;
use std::sync::Arc;

use async_rs::Runtime;
use async_rs::traits::RuntimeKit;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{ConnectionProperties, Result};

use crate::channel::Channel;
use crate::peer::Peer;

/// [`lapin::Connection`] whose channels make a span of every message. Whatever else it can do is that one's.
///
/// ```no_run
/// use ddtrace_lapin::Connection; // the one line: in place of lapin::Connection
/// use lapin::ConnectionProperties;
///
/// # async fn example() -> lapin::Result<()> {
/// let connection = Connection::connect("amqp://localhost", ConnectionProperties::default()).await?;
/// let channel = connection.create_channel().await?;
/// # Ok(())
/// # }
/// ```
///
/// One that lapin's builder or its trait `Connect` has made becomes watched by `Connection::from`; its spans do not say the broker's host.
#[derive(Debug)]
pub struct Connection {
    inner: lapin::Connection,
    peer: Arc<Peer>,
}

impl Connection {
    /// Like the library's own `connect`.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub async fn connect(uri: &str, options: ConnectionProperties) -> Result<Self> {
        let inner = lapin::Connection::connect(uri, options).await?;
        Ok(Self::at(inner, uri.parse().ok().as_ref()))
    }

    /// Like the library's own `connect_with_runtime`.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub async fn connect_with_runtime<RK>(
        uri: &str,
        options: ConnectionProperties,
        runtime: Runtime<RK>,
    ) -> Result<Self>
    where
        RK: RuntimeKit + Send + Sync + Clone + 'static,
    {
        let inner = lapin::Connection::connect_with_runtime(uri, options, runtime).await?;
        Ok(Self::at(inner, uri.parse().ok().as_ref()))
    }

    /// Like the library's own `connect_with_config`.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub async fn connect_with_config<RK>(
        uri: &str,
        options: ConnectionProperties,
        config: OwnedTLSConfig,
        runtime: Runtime<RK>,
    ) -> Result<Self>
    where
        RK: RuntimeKit + Send + Sync + Clone + 'static,
    {
        let inner = lapin::Connection::connect_with_config(uri, options, config, runtime).await?;
        Ok(Self::at(inner, uri.parse().ok().as_ref()))
    }

    /// Like the library's own `connect_uri`.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub async fn connect_uri(uri: AMQPUri, options: ConnectionProperties) -> Result<Self> {
        let inner = lapin::Connection::connect_uri(uri.clone(), options).await?;
        Ok(Self::at(inner, Some(&uri)))
    }

    /// Like the library's own `connect_uri_with_runtime`.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub async fn connect_uri_with_runtime<RK>(
        uri: AMQPUri,
        options: ConnectionProperties,
        runtime: Runtime<RK>,
    ) -> Result<Self>
    where
        RK: RuntimeKit + Send + Sync + Clone + 'static,
    {
        let of_uri = uri.clone();
        let inner = lapin::Connection::connect_uri_with_runtime(of_uri, options, runtime).await?;
        Ok(Self::at(inner, Some(&uri)))
    }

    /// Like the library's own `connect_uri_with_config`.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub async fn connect_uri_with_config<RK>(
        uri: AMQPUri,
        options: ConnectionProperties,
        config: OwnedTLSConfig,
        runtime: Runtime<RK>,
    ) -> Result<Self>
    where
        RK: RuntimeKit + Send + Sync + Clone + 'static,
    {
        let of_uri = uri.clone();
        let inner =
            lapin::Connection::connect_uri_with_config(of_uri, options, config, runtime).await?;
        Ok(Self::at(inner, Some(&uri)))
    }

    /// Opens a channel, as the library's own `create_channel`.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub async fn create_channel(&self) -> Result<Channel> {
        let inner = self.inner.create_channel().await?;
        Ok(Channel::at(inner, Arc::clone(&self.peer)))
    }

    /// Blocks the thread until the connection is closed, as the library's own `run`.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub fn run(self) -> Result<()> {
        self.inner.run()
    }

    /// The library's own connection, whose channels are not watched.
    pub fn into_inner(self) -> lapin::Connection {
        self.inner
    }

    fn at(inner: lapin::Connection, uri: Option<&AMQPUri>) -> Self {
        let peer = Arc::new(Peer::of(&inner, uri));
        Self { inner, peer }
    }
}

impl From<lapin::Connection> for Connection {
    fn from(inner: lapin::Connection) -> Self {
        Self::at(inner, None)
    }
}

impl Deref for Connection {
    type Target = lapin::Connection;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}
