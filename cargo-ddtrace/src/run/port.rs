//! Which port, and who holds the usual one.

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::say;
use crate::agent::{Agent, Options, StartError};

/// Where everybody expects an Agent.
pub const DEFAULT: u16 = 8126;
/// The last port that is tried before any is taken.
const LAST: u16 = 8135;
/// How long the holder of a port may take to say who it is.
const TIME: Duration = Duration::from_millis(200);

/// Who listens on a port.
#[derive(Debug, PartialEq, Eq)]
pub enum Holder {
    /// Another one of us.
    Ours {
        /// Its process.
        pid: u64,
    },
    /// A Datadog Agent.
    Agent {
        /// Its version.
        version: String,
    },
    /// Something that does not answer, or nonsense.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Ours { pid } => write!(f, "another cargo ddtrace (pid {pid})"),
            Holder::Agent { version } => write!(f, "the Datadog Agent {version}"),
            Holder::Unknown => f.write_str("something that does not answer as an Agent"),
        }
    }
}

/// Asks who listens on a port; `None` if nobody does.
pub async fn holder(port: u16) -> Option<Holder> {
    let stream = tokio::time::timeout(TIME, TcpStream::connect(("127.0.0.1", port)))
        .await
        .ok()?
        .ok()?;
    Some(
        tokio::time::timeout(TIME, ask(stream))
            .await
            .ok()
            .flatten()
            .unwrap_or(Holder::Unknown),
    )
}

async fn ask(mut stream: TcpStream) -> Option<Holder> {
    /// More than any Agent's answer.
    const MOST: u64 = 256 << 10;
    stream
        .write_all(b"GET /info HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .ok()?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    if let Some(pid) = body["ddtrace_local"]["pid"].as_u64() {
        return Some(Holder::Ours { pid });
    }
    let version: String = body["version"]
        .as_str()?
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .take(40)
        .collect();
    Some(Holder::Agent { version })
}

/// Starts an agent on the wanted port, or on 8126 or the next free one up to 8135, or on any.
pub async fn start(options: Options, wanted: Option<u16>) -> Result<Agent, StartError> {
    let on = |port: u16| Options {
        port: Some(port),
        ..options.clone()
    };
    if let Some(port) = wanted {
        return Agent::start(on(port)).await;
    }
    for port in DEFAULT..=LAST {
        match Agent::start(on(port)).await {
            Err(StartError::Listen { source, address })
                if source.kind() == ErrorKind::AddrInUse =>
            {
                if address.starts_with("unix:") {
                    return Err(StartError::Listen { source, address });
                }
            }
            Ok(agent) => {
                if port != DEFAULT {
                    tell(port).await;
                }
                return Ok(agent);
            }
            Err(error) => return Err(error),
        }
    }
    let agent = Agent::start(on(0)).await?;
    tell(agent.port().unwrap_or_default()).await;
    Ok(agent)
}

/// Says who holds the usual port, and what would use it.
async fn tell(port: u16) {
    let holder = holder(DEFAULT).await;
    let advice = match &holder {
        Some(Holder::Ours { .. }) => "; --attach would use it",
        Some(Holder::Agent { .. }) => {
            "; --forward http://127.0.0.1:8126 would pass everything on to it"
        }
        _ => "",
    };
    let holder = holder.unwrap_or(Holder::Unknown);
    say(&format!(
        "port {DEFAULT} is held by {holder}{advice}; listening on {port}"
    ));
}
