//! Plain HTTP/1.1: one thread per connection, requests one after the other, connections kept open.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::Value;

/// The largest head and the largest body that are read.
const HEAD_LIMIT: u64 = 64 << 10;
const BODY_LIMIT: u64 = 16 << 20;

/// A request with its body, JSON or nothing.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Value,
    /// The client wants no other on this connection.
    is_last: bool,
}

/// What is answered.
pub(crate) enum Answer {
    /// 200.
    Json(Value),
    /// 404: there is no such endpoint.
    NotFound,
    /// 400: the request names what is not there.
    Unknown(String),
    /// 504: it took too long.
    Late,
}

impl Answer {
    /// 200 without a result.
    pub(crate) fn done() -> Self {
        Self::Json(Value::Object(Default::default()))
    }
}

/// Answers until the listener fails.
pub(crate) fn serve(
    listener: &TcpListener,
    answer: &(dyn Fn(&Request) -> Answer + Sync),
) -> io::Result<()> {
    thread::scope(|scope| {
        loop {
            let (stream, _) = listener.accept()?;
            scope.spawn(move || {
                // A client that goes away is no news.
                let _ = converse(&stream, answer);
            });
        }
    })
}

fn converse(stream: &TcpStream, answer: &dyn Fn(&Request) -> Answer) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        write(stream, answer(&request))?;
        if request.is_last {
            break;
        }
    }
    Ok(())
}

fn bad(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// The next request; nothing at the end of the connection.
fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
    let mut head = reader.take(HEAD_LIMIT);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Err(bad("no request line"));
    };
    let mut length = 0;
    let mut is_last = false;
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Err(bad("the head does not end"));
        }
        let header = line.trim();
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(|_| bad("no content length"))?;
            }
            if name.eq_ignore_ascii_case("connection") {
                is_last = value.trim().eq_ignore_ascii_case("close");
            }
        }
    }
    if length > BODY_LIMIT {
        return Err(bad("too large a body"));
    }
    let mut body = vec![0; length as usize];
    reader.read_exact(&mut body)?;
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).map_err(|_| bad("no JSON"))?
    };
    Ok(Some(Request {
        method,
        path,
        body,
        is_last,
    }))
}

fn write(mut stream: &TcpStream, answer: Answer) -> io::Result<()> {
    let (status, body) = match answer {
        Answer::Json(body) => ("200 OK", body.to_string()),
        Answer::NotFound => ("404 Not Found", "{}".to_owned()),
        Answer::Unknown(what) => (
            "400 Bad Request",
            serde_json::json!({ "error": what }).to_string(),
        ),
        Answer::Late => ("504 Gateway Timeout", "{}".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes())
}
