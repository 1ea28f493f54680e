//! What a `Host` header names.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The name without its port, brackets of IPv6 removed; `None` if it is malformed.
fn name(host: &str) -> Option<&str> {
    if let Some(rest) = host.strip_prefix('[') {
        let (name, rest) = rest.split_once(']')?;
        return (rest.is_empty() || is_port(rest.strip_prefix(':')?)).then_some(name);
    }
    match host.split_once(':') {
        None => Some(host),
        Some((name, port)) => is_port(port).then_some(name),
    }
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether it is this machine, by a name that no DNS answer can change. Any port, since ports get mapped.
pub fn is_loopback(host: &str) -> bool {
    let Some(name) = name(host) else { return false };
    let lower = name.to_ascii_lowercase();
    let lower = lower.strip_suffix('.').unwrap_or(&lower);
    lower == "localhost"
        || lower.ends_with(".localhost")
        || name
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
        || name
            .parse::<Ipv6Addr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whether it is a literal address, which cannot be rebound.
pub fn is_address(host: &str) -> bool {
    name(host)
        .is_some_and(|name| name.parse::<Ipv4Addr>().is_ok() || name.parse::<Ipv6Addr>().is_ok())
}

/// Whether it is this name, with any port.
pub fn names(host: &str, allowed: &str) -> bool {
    name(host).is_some_and(|name| name.eq_ignore_ascii_case(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_by_name_and_by_number() {
        for host in [
            "localhost",
            "localhost:8126",
            "LOCALHOST:1",
            "a.localhost",
            "127.0.0.1:8126",
            "127.9.9.9",
            "[::1]:8126",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example:8126",
            "10.0.0.1",
            "localhost:8126:1",
            "[::1",
            "[::1]x",
            "notlocalhost",
            "127.1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
