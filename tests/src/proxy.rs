//! A TCP proxy in front of a server, whose connections a test can cut, and a port that refuses them.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::net::TcpSocket;

/// A port at which connections are refused, and which nobody else can take meanwhile: it is bound, and does not listen.
pub struct Closed {
    socket: TcpSocket,
}

impl Closed {
    /// Takes a free port.
    pub fn new() -> Closed {
        let socket = TcpSocket::new_v4().expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(any).expect("a free port");
        Closed { socket }
    }

    /// Its number.
    pub fn port(&self) -> u16 {
        self.socket.local_addr().expect("it is bound").port()
    }
}

impl Default for Closed {
    fn default() -> Self {
        Closed::new()
    }
}

/// A proxy on a free port. It stops carrying anything when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    /// Both ends of every connection.
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Starts one in front of a server.
    pub fn to(server: impl ToSocketAddrs) -> Proxy {
        let server = server.to_socket_addrs().expect("an address").next();
        let server = server.expect("an address");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let ends = Arc::default();
        let proxy = Proxy {
            address,
            ends: Arc::clone(&ends),
        };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A server that is away is what such a test is about.
                let Ok(server) = TcpStream::connect(server) else {
                    continue;
                };
                if carry(&client, &server, &ends).is_err() {
                    break;
                }
            }
        });
        proxy
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts all connections, for both sides; those that come later are carried as before.
    pub fn cut(&self) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for end in ends.drain(..) {
            // One that has ended already cannot be cut.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Copies both ways until one side ends.
fn carry(client: &TcpStream, server: &TcpStream, ends: &Mutex<Vec<TcpStream>>) -> io::Result<()> {
    for (from, to) in [(client, server), (server, client)] {
        ends.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(from.try_clone()?);
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}
