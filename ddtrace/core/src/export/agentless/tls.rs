//! Dialling an intake: TCP, the proxy, TLS.

use std::io;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::proxy::Proxy;
use crate::config::AgentUrl;
use crate::export::agent::{Connection, Dial, Dialing, SendError};

/// Makes connections to intakes.
pub(super) struct TlsDialer {
    proxy: Option<Proxy>,
    tls: Arc<ClientConfig>,
}

impl TlsDialer {
    /// Trusts Mozilla's roots, and `root` as well.
    pub(super) fn new(proxy: Option<Proxy>, root: Option<Vec<u8>>) -> Result<TlsDialer, SendError> {
        // Sessions are resumed among all clients that share it.
        static SHARED: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        let tls = match (root, SHARED.get()) {
            (None, Some(shared)) => Arc::clone(shared),
            (None, None) => {
                let config = configure(None)?;
                Arc::clone(SHARED.get_or_init(|| config))
            }
            (Some(root), _) => configure(Some(root))?,
        };
        Ok(TlsDialer { proxy, tls })
    }

    async fn connect(&self, url: &AgentUrl) -> io::Result<Connection> {
        let (AgentUrl::Http { host, port, .. } | AgentUrl::Https { host, port, .. }) = url else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let (near_host, near_port) = match &self.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (host.as_str(), *port),
        };
        let mut stream = TcpStream::connect((near_host, near_port)).await?;
        let _ = stream.set_nodelay(true);
        if let Some(proxy) = &self.proxy {
            let target = if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            };
            proxy.connect(&mut stream, &target).await?;
        }
        let connected = if matches!(url, AgentUrl::Https { .. }) {
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let stream = TlsConnector::from(Arc::clone(&self.tls))
                .connect(name, stream)
                .await?;
            Connection::over(stream).await
        } else {
            Connection::over(stream).await
        };
        connected.map_err(io::Error::other)
    }
}

impl Dial for TlsDialer {
    fn dial<'a>(&'a self, url: &'a AgentUrl) -> Dialing<'a> {
        Box::pin(async move {
            self.connect(url).await.map_err(|error| SendError::Connect {
                url: url.to_string(),
                error,
            })
        })
    }
}

fn configure(root: Option<Vec<u8>>) -> Result<Arc<ClientConfig>, SendError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(root) = root {
        roots
            .add(CertificateDer::from(root))
            .map_err(|_| SendError::Unsupported {
                expected: "a certificate in DER",
            })?;
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| SendError::Unsupported {
            expected: "a TLS library that knows the versions in use",
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
