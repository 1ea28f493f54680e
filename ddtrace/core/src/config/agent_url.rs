//! Where the agent and DogStatsD listen.
//!
//! An explicit URL wins, then host and port, then the agent's usual Unix socket if there is one,
//! then `localhost`. User names and passwords in a URL are not for the agent: they are dropped when
//! the URL is read, so that no log line can show them.

use std::fmt;
use std::path::PathBuf;

/// The socket that an agent on the same host makes for traces.
pub(super) const TRACE_SOCKET: &str = "/var/run/datadog/apm.socket";
/// The socket that it makes for metrics.
pub(super) const METRIC_SOCKET: &str = "/var/run/datadog/dsd.socket";

/// The address of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AgentUrl {
    /// Plain HTTP over TCP.
    Http {
        /// A name or an address; IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
        /// What precedes every path: empty, or `/prefix` without a slash at its end.
        prefix: String,
    },
    /// HTTP over TLS.
    Https {
        /// A name or an address; IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
        /// What precedes every path: empty, or `/prefix` without a slash at its end.
        prefix: String,
    },
    /// HTTP over a Unix socket.
    Unix(PathBuf),
}

/// The address of DogStatsD.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DogstatsdAddress {
    /// UDP datagrams.
    Udp {
        /// A name or an address; IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// Datagrams over a Unix socket.
    Unix(PathBuf),
}

impl AgentUrl {
    /// Plain HTTP to a host and port.
    pub fn http(host: impl Into<String>, port: u16) -> AgentUrl {
        AgentUrl::Http {
            host: without_brackets(host.into()),
            port,
            prefix: String::new(),
        }
    }

    /// Reads `http://`, `https://` and `unix://` URLs.
    pub fn parse(text: &str) -> Option<AgentUrl> {
        let (scheme, rest) = text.trim().split_once("://")?;
        match scheme.to_ascii_lowercase().as_str() {
            "unix" if !rest.is_empty() => Some(AgentUrl::Unix(PathBuf::from(rest))),
            "http" => {
                let (host, port, prefix) = authority(rest, Some(80))?;
                Some(AgentUrl::Http { host, port, prefix })
            }
            "https" => {
                let (host, port, prefix) = authority(rest, Some(443))?;
                Some(AgentUrl::Https { host, port, prefix })
            }
            _ => None,
        }
    }
}

impl DogstatsdAddress {
    /// Reads `udp://` and `unix://` URLs; a bare `host:port` is UDP.
    pub fn parse(text: &str) -> Option<DogstatsdAddress> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("udp", text));
        match scheme.to_ascii_lowercase().as_str() {
            "unix" if !rest.is_empty() => Some(DogstatsdAddress::Unix(PathBuf::from(rest))),
            "udp" => {
                let (host, port, _) = authority(rest, Some(8125))?;
                Some(DogstatsdAddress::Udp { host, port })
            }
            _ => None,
        }
    }
}

/// Splits `user@host:port/prefix?query` into host, port and prefix.
fn authority(text: &str, default_port: Option<u16>) -> Option<(String, u16, String)> {
    let end = text.find(['/', '?', '#']).unwrap_or(text.len());
    let (authority, path) = text.split_at(end);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            match rest.strip_prefix(':') {
                None if !rest.is_empty() => return None,
                port => (host, port),
            }
        }
        None => match authority.split_once(':') {
            // More than one colon: a bare IPv6 address, to which no port can be attached.
            Some((_, rest)) if rest.contains(':') => {
                authority.parse::<std::net::Ipv6Addr>().ok()?;
                (authority, None)
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None => default_port?,
    };
    if !is_host(host) || path.chars().any(|c| c.is_control() || c == ' ') {
        return None;
    }
    Some((host.to_owned(), port, path.trim_end_matches('/').to_owned()))
}

/// Removes a user name and password from a URL.
pub(super) fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    // A password with a slash in it makes the authority end too early.
    let torn = port.is_some_and(|port| {
        !port
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b']')
    });
    let cut = if authority.contains('@') || !torn {
        authority.rfind('@')
    } else {
        rest.rfind('@')
    };
    format!("{scheme}://{}", &rest[cut.map_or(0, |at| at + 1)..])
}

/// Whether the text can be a host: a name, an IPv4 address, or an IPv6 address without brackets.
pub(super) fn is_host(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok();
    !text.is_empty() && (text.chars().all(plain) || address(text))
}

/// Removes the brackets that people write around IPv6 addresses.
pub(super) fn without_brackets(host: String) -> String {
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(inner) => inner.to_owned(),
        None => host,
    }
}

fn write_host(out: &mut fmt::Formatter<'_>, host: &str) -> fmt::Result {
    if host.contains(':') {
        write!(out, "[{host}]")
    } else {
        out.write_str(host)
    }
}

impl fmt::Display for AgentUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port, prefix) = match self {
            AgentUrl::Http { host, port, prefix } => ("http", host, port, prefix),
            AgentUrl::Https { host, port, prefix } => ("https", host, port, prefix),
            AgentUrl::Unix(path) => return write!(out, "unix://{}", path.display()),
        };
        write!(out, "{scheme}://")?;
        write_host(out, host)?;
        write!(out, ":{port}{prefix}")
    }
}

impl fmt::Display for DogstatsdAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DogstatsdAddress::Udp { host, port } => {
                out.write_str("udp://")?;
                write_host(out, host)?;
                write!(out, ":{port}")
            }
            DogstatsdAddress::Unix(path) => write!(out, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_urls_are_read_and_shown() {
        let cases = [
            ("http://h:1", Some("http://h:1")),
            ("http://h", Some("http://h:80")),
            ("HTTP://h:8126/", Some("http://h:8126")),
            ("http://user:pass@h:1/base/?q#f", Some("http://h:1/base")),
            ("http://[::1]:8126", Some("http://[::1]:8126")),
            ("http://::1", Some("http://[::1]:80")),
            ("https://intake.example", Some("https://intake.example:443")),
            ("unix:///x.sock", Some("unix:///x.sock")),
            ("unix://x.sock", Some("unix://x.sock")),
            ("unix://", None),
            ("h:8126", None),
            ("ftp://h:1", None),
            ("http://", None),
            ("http://h:", None),
            ("http://h:0", None),
            ("http://h:70000", None),
            ("http://h h:1", None),
            ("http://h:1/a b", None),
            ("http://[::1:8126", None),
            ("http://[::1]x", None),
            ("http://h\r\nX: y", None),
        ];
        for (text, expected) in cases {
            let shown = AgentUrl::parse(text).map(|url| url.to_string());
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn user_names_and_passwords_are_removed() {
        let cases = [
            ("https://u:p@h/r", "https://h/r"),
            ("https://u:p@x@h/r", "https://h/r"),
            ("https://u:p/q@h/r", "https://h/r"),
            ("https://token@h", "https://h"),
            ("https://h:443/@scope/r", "https://h:443/@scope/r"),
            ("git@h:org/r.git", "git@h:org/r.git"),
            ("http://[::1]:1/x@y", "http://[::1]:1/x@y"),
        ];
        for (url, expected) in cases {
            assert_eq!(without_userinfo(url), expected, "{url}");
        }
    }

    #[test]
    fn metric_addresses_are_read_and_shown() {
        let cases = [
            ("udp://h:1", Some("udp://h:1")),
            ("udp://h", Some("udp://h:8125")),
            ("h:9", Some("udp://h:9")),
            ("unix:///d.socket", Some("unix:///d.socket")),
            ("http://h:1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let shown = DogstatsdAddress::parse(text).map(|address| address.to_string());
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }
}
