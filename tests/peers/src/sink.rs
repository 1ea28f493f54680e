//! The agent of the benches: accepts every payload on loopback, reads none of it, answers at once.
//!
//! It runs in the process that prints the tables, so that its work is never in a peer's bill.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

const INFO: &str =
    r#"{"version":"7.70.0","endpoints":["/v0.4/traces","/v0.5/traces"],"client_drop_p0s":false}"#;
const RATES: &str = r#"{"rate_by_service":{"service:,env:":1}}"#;

/// A listening agent. Its threads end with the process.
pub struct Sink {
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// What has come in since the last look.
#[derive(Default)]
struct Seen {
    chunks: AtomicU64,
    spans_in_single_chunks: AtomicU64,
    bytes: AtomicU64,
}

/// Counts of one look.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Chunks, as `X-Datadog-Trace-Count` says.
    pub chunks: u64,
    /// Spans of payloads without that header that hold one chunk, as fastrace's reporter sends them.
    pub loose_spans: u64,
    /// Bytes of bodies.
    pub bytes: u64,
}

impl Sink {
    /// Listens on a free port of loopback.
    pub fn start() -> io::Result<Sink> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let sink = Sink {
            address: listener.local_addr()?,
            seen: Arc::default(),
        };
        let seen = Arc::clone(&sink.seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(stream, &seen));
            }
        });
        Ok(sink)
    }

    /// The value of `DD_TRACE_AGENT_URL` for a peer.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has come in since the last call.
    pub fn take(&self) -> Counts {
        Counts {
            chunks: self.seen.chunks.swap(0, Ordering::Relaxed),
            loose_spans: self.seen.spans_in_single_chunks.swap(0, Ordering::Relaxed),
            bytes: self.seen.bytes.swap(0, Ordering::Relaxed),
        }
    }
}

/// The sink's address in the process of a peer that wants no URL.
pub(crate) fn address() -> SocketAddr {
    let url = std::env::var("DD_TRACE_AGENT_URL").expect("the bench sets DD_TRACE_AGENT_URL");
    url.trim_start_matches("http://")
        .parse()
        .expect("a loopback address")
}

/// Answers on one connection until it is closed. Trouble with it is the peer's to notice.
fn serve(stream: TcpStream, seen: &Seen) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::with_capacity(1 << 20, stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let info = line.contains(" /info ");
        let traces = line.contains("/traces ");
        let (mut length, mut chunked, mut count) = (0, false, None);
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "transfer-encoding" => chunked = true,
                "x-datadog-trace-count" => count = value.trim().parse::<u64>().ok(),
                _ => {}
            }
        }
        let mut head = [0; 6];
        let bytes = if chunked {
            skip_chunks(&mut reader)?
        } else {
            skip(&mut reader, length, &mut head)?
        };
        if traces {
            seen.bytes.fetch_add(bytes, Ordering::Relaxed);
            match count {
                Some(count) => seen.chunks.fetch_add(count, Ordering::Relaxed),
                None => seen
                    .spans_in_single_chunks
                    .fetch_add(spans_of_the_only_chunk(head), Ordering::Relaxed),
            };
        }
        let body = if info { INFO } else { RATES };
        let length = body.len();
        write!(writer, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").ok()?;
    }
}

/// Reads `length` bytes, keeping the first few.
fn skip(reader: &mut BufReader<TcpStream>, length: u64, head: &mut [u8; 6]) -> Option<u64> {
    let kept = head.len().min(length as usize);
    reader.read_exact(&mut head[..kept]).ok()?;
    let rest = length - kept as u64;
    (io::copy(&mut reader.take(rest), &mut io::sink()).ok()? == rest).then_some(length)
}

fn skip_chunks(reader: &mut BufReader<TcpStream>) -> Option<u64> {
    let mut total = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = u64::from_str_radix(line.trim_end(), 16).ok()?;
        let with_end = length + 2;
        if io::copy(&mut reader.take(with_end), &mut io::sink()).ok()? != with_end {
            return None;
        }
        if length == 0 {
            return Some(total);
        }
        total += length;
    }
}

/// A msgpack array of one array: how long is that?
fn spans_of_the_only_chunk(head: [u8; 6]) -> u64 {
    match head {
        [0x91, 0xdd, a, b, c, d] => u64::from(u32::from_be_bytes([a, b, c, d])),
        [0x91, 0xdc, a, b, ..] => u64::from(u16::from_be_bytes([a, b])),
        [0x91, short, ..] if short & 0xf0 == 0x90 => u64::from(short & 0x0f),
        _ => 0,
    }
}
