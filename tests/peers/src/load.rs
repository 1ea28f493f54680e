//! Requests to a server on loopback, as fast as it answers, from a fixed number of connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const REQUEST: &[u8] = b"GET /hello/world HTTP/1.1\r\nhost: localhost\r\n\
    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";

/// What the server answers to [`REQUEST`], as the last bytes of the response.
pub const ANSWER: &str = "hello, world";

/// Sends so many requests over so many connections.
pub async fn run(server: SocketAddr, connections: usize, requests: usize) -> io::Result<()> {
    let left = Arc::new(AtomicI64::new(requests as i64));
    let tasks: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(connection(server, Arc::clone(&left))))
        .collect();
    for task in tasks {
        task.await.expect("no panic")?;
    }
    Ok(())
}

async fn connection(server: SocketAddr, left: Arc<AtomicI64>) -> io::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    while left.fetch_sub(1, Ordering::Relaxed) > 0 {
        stream.write_all(REQUEST).await?;
        let mut filled = 0;
        while !buffer[..filled].ends_with(ANSWER.as_bytes()) {
            match stream.read(&mut buffer[filled..]).await? {
                0 => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed a connection",
                    ));
                }
                more => filled += more,
            }
        }
    }
    Ok(())
}
