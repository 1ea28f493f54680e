//! Sockets and connections.
//!
//! Each connection is served by a task of its own, over HTTP/1.1 with keep-alive. What a client may hold open is bounded: the
//! number of connections, the size of the headers, and the time that they may take.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, UnixListener};
use tower_service::Service as _;

use super::{Options, StartError};
use crate::security::Came;

/// Connections at once.
const CONNECTIONS: usize = 256;
/// Bytes of headers.
const HEADERS: usize = 32 << 10;
/// How long headers may take; also how long a connection may idle.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// Opened sockets.
#[derive(Debug)]
pub struct Sockets {
    /// One per address.
    pub tcp: Vec<TcpListener>,
    /// With its path.
    pub unix: Option<(PathBuf, UnixListener)>,
    /// The folder that was made for the Unix socket.
    pub folder: Option<OwnFolder>,
}

/// A folder that is removed on drop.
#[derive(Debug)]
pub struct OwnFolder(PathBuf);

impl Drop for OwnFolder {
    fn drop(&mut self) {
        // Only the socket was in it; a folder that somebody else put something into stays.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// How many connections are open.
#[derive(Debug, Default)]
pub struct Connections(AtomicUsize);

impl Connections {
    /// Now.
    pub fn open(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

struct Seat(Arc<Connections>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn take_seat(connections: &Arc<Connections>) -> Option<Seat> {
    let taken = connections.0.fetch_add(1, Ordering::Relaxed);
    let seat = Seat(connections.clone());
    (taken < CONNECTIONS).then_some(seat)
}

/// Opens what the options ask for.
pub async fn open(options: &Options) -> Result<Sockets, StartError> {
    let mut tcp = Vec::new();
    if let Some(mut port) = options.port {
        let loopback = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        let is_default = options.listen.is_empty();
        let addresses = if is_default {
            &loopback[..]
        } else {
            &options.listen
        };
        for address in addresses {
            let address = SocketAddr::new(*address, port);
            match TcpListener::bind(address).await {
                Ok(socket) => {
                    // Any port was asked for: the others must take the same.
                    port = socket.local_addr().map_or(port, |address| address.port());
                    tcp.push(socket);
                }
                // A machine without IPv6 still has 127.0.0.1. But a port whose ::1 is somebody else's is taken: browsers
                // may go there when they are sent to localhost.
                Err(source)
                    if is_default
                        && address.is_ipv6()
                        && (options.port == Some(0)
                            || source.kind() != std::io::ErrorKind::AddrInUse) => {}
                Err(source) => {
                    return Err(StartError::Listen {
                        address: address.to_string(),
                        source,
                    });
                }
            }
        }
    }
    let (unix, folder) = match &options.socket {
        None => (None, None),
        Some(path) => {
            let (socket, folder) = open_unix(path).map_err(|source| StartError::Listen {
                address: format!("unix://{}", path.display()),
                source,
            })?;
            (Some((path.clone(), socket)), folder)
        }
    };
    Ok(Sockets { tcp, unix, folder })
}

#[cfg(unix)]
fn open_unix(path: &Path) -> std::io::Result<(UnixListener, Option<OwnFolder>)> {
    use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
    let mut folder = None;
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty() && !parent.exists())
    {
        std::fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(parent)?;
        folder = Some(OwnFolder(parent.to_owned()));
    }
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        let is_dead = metadata.file_type().is_socket()
            && std::os::unix::net::UnixStream::connect(path).is_err();
        if !is_dead {
            return Err(std::io::Error::new(
                std::io::ErrorKind::AddrInUse,
                "somebody listens there, or it is no socket",
            ));
        }
        std::fs::remove_file(path)?;
    }
    // Bound under a name of its own and moved into place when its mode is right, so that nobody gets in between.
    let hidden = path.with_extension(format!("{}.new", std::process::id()));
    let _ = std::fs::remove_file(&hidden);
    let socket = UnixListener::bind(&hidden)?;
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&hidden, path)?;
    Ok((socket, folder))
}

/// Answers on a TCP socket until it is aborted.
pub async fn serve_tcp(socket: TcpListener, router: Router, connections: Arc<Connections>) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                if let Some(seat) = take_seat(&connections) {
                    tokio::spawn(serve(TokioIo::new(stream), router.clone(), Came::Tcp, seat));
                }
            }
            // Out of file descriptors, most likely: it passes when connections close.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Answers on a Unix socket until it is aborted.
pub async fn serve_unix(socket: UnixListener, router: Router, connections: Arc<Connections>) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                if let Some(seat) = take_seat(&connections) {
                    tokio::spawn(serve(
                        TokioIo::new(stream),
                        router.clone(),
                        Came::Unix,
                        seat,
                    ));
                }
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve<I>(io: I, router: Router, came: Came, seat: Seat)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(came);
        router.clone().call(request)
    });
    // Errors here are the client's: it left, or sent no HTTP. hyper has answered what can be answered.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADERS)
        .serve_connection(io, service)
        .await;
    drop(seat);
}
