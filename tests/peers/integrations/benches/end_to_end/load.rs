//! The client: requests over kept connections, a thread for each, in a closed loop or by the clock.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Orders that are asked for again and again.
pub(crate) const ORDERS: u64 = 1000;

/// Number of the next request, over all servers and loads: no two that are to miss the cache are the same.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Numbers without a pattern that are the same in every run (SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    response: Vec<u8>,
}

impl Connection {
    fn open(server: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Connection {
            stream,
            request: Vec::new(),
            response: vec![0; 1 << 14],
        })
    }

    /// A request and its answer.
    fn exchange(&mut self) -> io::Result<()> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let order = match number % 5 {
            0 => ORDERS + number,
            _ => mixed(number) % ORDERS,
        };
        let (high, low) = (mixed(number), mixed(!number) | 1);
        self.request.clear();
        write!(
            self.request,
            "GET /orders/{order} HTTP/1.1\r\nhost: shop.example\r\nuser-agent: bench\r\naccept: application/json\r\n\
             traceparent: 00-{high:016x}{low:016x}-{low:016x}-01\r\n\r\n"
        )?;
        self.stream.write_all(&self.request)?;
        let mut filled = 0;
        loop {
            let more = self.stream.read(&mut self.response[filled..])?;
            if more == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += more;
            if is_complete(&self.response[..filled])? {
                return Ok(());
            }
        }
    }
}

/// Whether a response has arrived as a whole; an error if it is not the one that is wanted.
fn is_complete(response: &[u8]) -> io::Result<bool> {
    let Some(end) = response.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(false);
    };
    let head = std::str::from_utf8(&response[..end]).map_err(io::Error::other)?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(head.to_owned()));
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.parse::<usize>().ok());
    let length = length.ok_or_else(|| io::Error::other("an answer of unknown length"))?;
    Ok(response.len() == end + 4 + length)
}

/// As many requests as are answered in that time; how many that is.
pub(crate) fn closed(server: SocketAddr, connections: usize, time: Duration) -> u64 {
    let end = Instant::now() + time;
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut connection = Connection::open(server).expect("the server is there");
                let mut own = 0;
                while Instant::now() < end {
                    connection.exchange().expect("an answer");
                    own += 1;
                }
                answered.fetch_add(own, Ordering::Relaxed);
            });
        }
    });
    answered.into_inner()
}

/// So many requests per second for that time; how long after it was due each was answered, in order of length.
pub(crate) fn paced(
    server: SocketAddr,
    connections: usize,
    rate: f64,
    time: Duration,
) -> Vec<Duration> {
    let requests = ((rate * time.as_secs_f64()) as u64).max(1);
    let next = AtomicU64::new(0);
    // The connections are there when the first request is due.
    let began = Instant::now() + Duration::from_millis(100);
    let mut latencies = thread::scope(|scope| {
        let one = || {
            let mut connection = Connection::open(server).expect("the server is there");
            let mut latencies = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return latencies;
                }
                let due = began + Duration::from_secs_f64(number as f64 / rate);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                connection.exchange().expect("an answer");
                latencies.push(due.elapsed());
            }
        };
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
        let of_threads = threads.into_iter();
        let joined = of_threads.flat_map(|thread| thread.join().expect("no panic"));
        joined.collect::<Vec<_>>()
    });
    latencies.sort_unstable();
    latencies
}
