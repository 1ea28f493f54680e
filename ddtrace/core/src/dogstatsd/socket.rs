//! The way to DogStatsD: UDP, a Unix socket for datagrams, or one for a stream.

use std::io;

use tokio::net::UdpSocket;
#[cfg(unix)]
use tokio::net::{UnixDatagram, UnixStream};

use crate::config::DogstatsdAddress;

/// Bytes of a datagram over UDP: what passes an Ethernet without being cut in pieces.
pub(super) const UDP_LIMIT: usize = 1_432;

/// Bytes of a datagram over a Unix socket.
const UNIX_LIMIT: usize = 8_192;

/// A socket that is connected.
#[derive(Debug)]
pub(super) enum Socket {
    Udp(UdpSocket),
    #[cfg(unix)]
    Datagram(UnixDatagram),
    /// Every datagram is preceded by its length: four bytes, the lowest first.
    #[cfg(unix)]
    Stream(UnixStream),
}

/// The most bytes that go into one datagram for an address.
pub(super) fn limit(address: &DogstatsdAddress) -> usize {
    match address {
        DogstatsdAddress::Udp { .. } => UDP_LIMIT,
        DogstatsdAddress::Unix(_) => UNIX_LIMIT,
    }
}

/// Whether an address has to be resolved.
pub(super) fn has_name(address: &DogstatsdAddress) -> bool {
    match address {
        DogstatsdAddress::Udp { host, .. } => host.parse::<std::net::IpAddr>().is_err(),
        DogstatsdAddress::Unix(_) => false,
    }
}

impl Socket {
    /// Resolves an address and connects to it.
    pub(super) async fn connect(address: &DogstatsdAddress) -> io::Result<Socket> {
        match address {
            DogstatsdAddress::Udp { host, port } => udp(host, *port).await.map(Socket::Udp),
            #[cfg(unix)]
            DogstatsdAddress::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                match socket.connect(path) {
                    Ok(()) => Ok(Socket::Datagram(socket)),
                    // What listens there is not for datagrams.
                    Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
                        UnixStream::connect(path).await.map(Socket::Stream)
                    }
                    Err(error) => Err(error),
                }
            }
            #[cfg(not(unix))]
            DogstatsdAddress::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Sends one datagram, waiting for room.
    pub(super) async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(datagram).await.map(drop),
            #[cfg(unix)]
            Self::Datagram(socket) => loop {
                match socket.send(datagram).await {
                    // The kernel's name, on some systems, for a full queue of the reader.
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                    }
                    result => return result.map(drop),
                }
            },
            #[cfg(unix)]
            Self::Stream(socket) => {
                let length = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
                write_all(socket, &length.to_le_bytes()).await?;
                write_all(socket, datagram).await
            }
        }
    }

    /// Whether a datagram that was cut short leaves the socket useless.
    pub(super) fn is_stream(&self) -> bool {
        match self {
            Self::Udp(_) => false,
            #[cfg(unix)]
            Self::Datagram(_) => false,
            #[cfg(unix)]
            Self::Stream(_) => true,
        }
    }
}

async fn udp(host: &str, port: u16) -> io::Result<UdpSocket> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for address in tokio::net::lookup_host((host, port)).await? {
        let any = if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let connected = async {
            let socket = UdpSocket::bind(any).await?;
            socket.connect(address).await?;
            io::Result::Ok(socket)
        };
        match connected.await {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(unix)]
async fn write_all(socket: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
