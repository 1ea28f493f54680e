//! A proxy between a client and a broker on loopback, which counts what the client asks and can be cut.
//!
//! A broker tells its clients where it is, in answers about metadata and about a group's coordinator, and they go there from then
//! on. So the proxy puts its own port in place of the broker's wherever that follows the broker's host in an answer: whatever
//! the version of the answer, the two stand side by side in it, and its length stays the same.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// How often each kind of request was made.
pub(crate) type Requests = BTreeMap<&'static str, u64>;

/// The hosts that a broker on loopback may call itself by.
const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];

/// More than any frame of a test has.
const MAX_FRAME: usize = 64 << 20;

/// Clients are to be told of [`Proxy::servers`]. Its threads end with the process.
pub(crate) struct Proxy {
    port: u16,
    seen: Arc<Mutex<Requests>>,
    line: Arc<Mutex<Line>>,
}

/// Whether clients get through, and who does.
#[derive(Default)]
struct Line {
    is_cut: bool,
    clients: Vec<TcpStream>,
}

impl Proxy {
    /// In front of one broker, given as `host:port`.
    pub(crate) fn before(broker: &str) -> Self {
        let broker_port: u16 = broker.rsplit_once(':').unwrap().1.parse().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let this = Self {
            port,
            seen: Arc::default(),
            line: Arc::default(),
        };
        let (seen, line) = (Arc::clone(&this.seen), Arc::clone(&this.line));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut line = line.lock().unwrap();
                let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, broker_port)) else {
                    continue;
                };
                if line.is_cut {
                    continue;
                }
                line.clients.push(client.try_clone().unwrap());
                let seen = Arc::clone(&seen);
                let (asks, told) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
                thread::spawn(move || pass_on(asks, broker, |frame| count(&seen, frame)));
                thread::spawn(move || {
                    pass_on(told, client, |frame| redirect(frame, broker_port, port));
                });
            }
        });
        this
    }

    /// Ends all connections; others are ended at once, until it is mended.
    pub(crate) fn cut(&self) {
        let mut line = self.line.lock().unwrap();
        line.is_cut = true;
        for client in line.clients.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.line.lock().unwrap().is_cut = false;
    }

    pub(crate) fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What was asked so far.
    pub(crate) fn requests(&self) -> Requests {
        self.seen.lock().unwrap().clone()
    }
}

/// Passes frames on until either side is gone, and then closes the other.
fn pass_on(mut from: TcpStream, mut to: TcpStream, look: impl Fn(&mut [u8])) {
    while let Ok(mut frame) = read_frame(&mut from) {
        look(&mut frame);
        let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
        if to.write_all(&[&length, &*frame].concat()).is_err() {
            break;
        }
    }
    for side in [from, to] {
        let _ = side.shutdown(Shutdown::Both);
    }
}

fn read_frame(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    assert!(length <= MAX_FRAME, "{length}");
    let mut frame = vec![0; length];
    from.read_exact(&mut frame)?;
    Ok(frame)
}

/// A request begins with the number of its kind.
fn count(counts: &Mutex<Requests>, frame: &[u8]) {
    let name = name_of(i16::from_be_bytes([frame[0], frame[1]]));
    *counts.lock().unwrap().entry(name).or_default() += 1;
}

fn redirect(frame: &mut [u8], from: u16, to: u16) {
    for host in HOSTS {
        let known = [host.as_bytes(), &u32::from(from).to_be_bytes()].concat();
        let mut at = 0;
        while let Some(found) = frame[at..].windows(known.len()).position(|it| it == known) {
            at += found + known.len();
            frame[at - 4..at].copy_from_slice(&u32::from(to).to_be_bytes());
        }
    }
}

/// Kinds of requests as the protocol of Kafka numbers them ("Api Keys").
fn name_of(key: i16) -> &'static str {
    match key {
        0 => "Produce",
        1 => "Fetch",
        2 => "ListOffsets",
        3 => "Metadata",
        8 => "OffsetCommit",
        9 => "OffsetFetch",
        10 => "FindCoordinator",
        11 => "JoinGroup",
        12 => "Heartbeat",
        13 => "LeaveGroup",
        14 => "SyncGroup",
        18 => "ApiVersions",
        60 => "DescribeCluster",
        // A kind that no client here has reason to ask for: whoever does is found by its number.
        other => String::leak(format!("number {other}")),
    }
}
