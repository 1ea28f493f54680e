//! An agent that misbehaves in a given way, and can change its ways.

use crate::payload::{self, Span};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How the agent treats a request for its endpoint, of traces unless said otherwise. Others do not exist on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weather {
    /// Takes it.
    Fair,
    /// Reads it and answers with this status.
    Status(u16),
    /// Reads it and answers with this body, status 200.
    Says(&'static str),
    /// Takes it, except that `/v0.5/traces` does not exist.
    WithoutV05,
    /// Answers with bytes that are not HTTP.
    Garbage,
    /// Closes the connection before anything is read.
    Closes,
    /// Reads half of the body and closes.
    ClosesMidBody,
    /// Reads it, promises a long answer and closes after a few bytes.
    ClosesMidAnswer,
    /// Reads it and never answers.
    Hangs,
    /// Never reads.
    Deaf,
    /// Reads it and answers a byte every 200 ms.
    Drips,
    /// Reads it and answers without an end.
    Endless,
}

impl Weather {
    /// Whether the agent says in time that it took the payload, whatever happens after the status.
    pub fn accepts(self) -> bool {
        matches!(
            self,
            Weather::Fair | Weather::Says(_) | Weather::Endless | Weather::ClosesMidAnswer
        )
    }
}

/// A request for its endpoint that was read to its end.
#[derive(Clone, Debug)]
pub struct Received {
    /// Method, path and version.
    pub line: String,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What the weather was.
    pub weather: Weather,
}

impl Received {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| &**value)
    }
}

struct State {
    weather: Weather,
    /// The end of the paths that it has.
    endpoint: &'static str,
    received: Vec<Received>,
    /// Decode and count accepted payloads instead of keeping requests.
    counts_only: bool,
    spans: u64,
    /// Requests of any kind that began, read to their end or not.
    begun: usize,
}

/// A listening agent. It stops accepting when this is dropped.
pub struct Agent {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Agent {
    /// Starts one.
    pub fn start(weather: Weather) -> Agent {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        Agent::on(listener, weather)
    }

    /// Starts one that has this endpoint instead of those for traces.
    pub fn start_for(endpoint: &'static str, weather: Weather) -> Agent {
        let agent = Agent::start(weather);
        agent.lock().endpoint = endpoint;
        agent
    }

    /// Starts one where somebody knew in advance that it would be: at an address that [`nobody`] gave.
    pub fn start_at(address: SocketAddr, weather: Weather) -> Agent {
        Agent::on(
            TcpListener::bind(address).expect("nobody took the port"),
            weather,
        )
    }

    /// Starts one that keeps no requests, for long runs: only [`Agent::counted_spans`] tells what came.
    pub fn start_counting(weather: Weather) -> Agent {
        let agent = Agent::start(weather);
        agent.lock().counts_only = true;
        agent
    }

    /// How many spans an agent that only counts has accepted.
    pub fn counted_spans(&self) -> u64 {
        self.lock().spans
    }

    fn on(listener: TcpListener, weather: Weather) -> Agent {
        let state = Arc::new(Mutex::new(State {
            weather,
            endpoint: "/traces",
            received: Vec::new(),
            begun: 0,
            counts_only: false,
            spans: 0,
        }));
        let agent = Agent {
            address: listener.local_addr().expect("it is bound"),
            state: Arc::clone(&state),
        };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                thread::spawn(move || {
                    // Trouble is what this agent is for.
                    let _ = serve(stream, &state);
                });
            }
        });
        agent
    }

    /// The value of `DD_TRACE_AGENT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the weather for requests that begin from now on.
    pub fn becomes(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    /// The requests for its endpoint so far.
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    /// How many requests of any kind began.
    pub fn begun(&self) -> usize {
        self.lock().begun
    }

    /// The chunks that were taken, as the status of the answer said.
    pub fn chunks(&self) -> Vec<Vec<Span>> {
        let received = self.received();
        let fair = received.iter().filter(|request| request.weather.accepts());
        fair.flat_map(|request| payload::chunks(&request.body).expect("a v0.4 payload"))
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no thread of the agent panics with it")
    }
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound")
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // A test ends long before; a thread that waits for ever would only hold memory.
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let lock = || state.lock().expect("no thread of the agent panics with it");
    loop {
        if lock().weather == Weather::Deaf {
            thread::sleep(Duration::from_secs(120));
            return Ok(());
        }
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let (weather, endpoint) = {
            let mut state = lock();
            state.begun += 1;
            (state.weather, state.endpoint)
        };
        let weather = match weather {
            Weather::WithoutV05 if line.contains("/v0.5/") => Weather::Status(404),
            Weather::WithoutV05 => Weather::Fair,
            other => other,
        };
        if weather == Weather::Closes {
            return writer.shutdown(Shutdown::Both);
        }
        let headers = read_headers(&mut reader)?;
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = length
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(0);
        let path = line.split(' ').nth(1).unwrap_or_default();
        let is_for_endpoint = path.ends_with(endpoint);
        if is_for_endpoint && weather == Weather::ClosesMidBody {
            io::copy(&mut reader.take(length as u64 / 2), &mut io::sink())?;
            return writer.shutdown(Shutdown::Both);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if !is_for_endpoint {
            answer(
                &mut writer,
                if weather == Weather::Fair { 404 } else { 500 },
                "",
            )?;
            continue;
        }
        let line = line.trim_end().to_owned();
        let request = Received {
            line,
            headers,
            body,
            weather,
        };
        let counts_only = lock().counts_only;
        if !counts_only {
            lock().received.push(request);
        } else if weather.accepts() {
            let chunks = payload::chunks(&request.body).expect("a v0.4 payload");
            lock().spans += chunks.iter().flatten().count() as u64;
        }
        match weather {
            Weather::Fair => answer(
                &mut writer,
                200,
                r#"{"rate_by_service":{"service:,env:":1}}"#,
            )?,
            Weather::Status(status) => answer(&mut writer, status, "no")?,
            Weather::Says(text) => answer(&mut writer, 200, text)?,
            Weather::Garbage => {
                writer.write_all(
                    b"\x00\xff\x13 this is not the protocol that you look for \r\n\r\n\r\n",
                )?;
                return writer.shutdown(Shutdown::Both);
            }
            Weather::ClosesMidAnswer => {
                writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{\"rate_by")?;
                return writer.shutdown(Shutdown::Both);
            }
            Weather::Hangs => {
                // Until the other side gives up.
                let _ = reader.read(&mut [0])?;
                return Ok(());
            }
            Weather::Drips => {
                for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}" {
                    writer.write_all(&[*byte])?;
                    thread::sleep(Duration::from_millis(200));
                }
            }
            Weather::Endless => {
                writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")?;
                loop {
                    writer.write_all(&[b' '; 4096])?;
                }
            }
            Weather::WithoutV05 => unreachable!("turned into another above"),
            Weather::Closes | Weather::ClosesMidBody | Weather::Deaf => {
                unreachable!("dealt with above")
            }
        }
    }
}

fn read_headers(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()))
            }
            None => return Ok(headers),
        }
    }
}

fn answer(writer: &mut impl Write, status: u16, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        writer,
        "HTTP/1.1 {status} Word\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}
