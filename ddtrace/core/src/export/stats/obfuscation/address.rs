//! Addresses in peer tags: one group for all hosts rather than one for each.
//!
//! Source: datadog-agent, `pkg/obfuscate/ip_address.go`; libdatadog, `libdd-trace-obfuscation/src/ip_address.rs`.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// What an address becomes.
const BLOCKED: &str = "blocked-ip-address";

/// Addresses that say what they are: this host, and the metadata services of clouds.
const KEPT: [&str; 5] = [
    "127.0.0.1",
    "::1",
    "169.254.169.254",
    "fd00:ec2::254",
    "169.254.170.2",
];

/// Schemes that may stand before an address.
const SCHEMES: [&str; 5] = ["dnspoll", "ftp", "file", "http", "https"];

/// A list of hosts, separated by commas, with addresses replaced and each host once.
pub(in crate::export::stats) fn without_addresses(hosts: &str) -> Cow<'_, str> {
    let is_name = !hosts.contains(',') && blocked(hosts).is_none();
    if is_name {
        return hosts.into();
    }
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    for host in hosts.split(',') {
        let host = blocked(host).map_or(Cow::Borrowed(host), Cow::Owned);
        if !seen.contains(&host) {
            seen.push(host);
        }
    }
    let joined = seen.join(",");
    if joined == hosts {
        hosts.into()
    } else {
        joined.into()
    }
}

/// The host with its address replaced, if it is one.
fn blocked(host: &str) -> Option<String> {
    let (prefix, rest) = prefixed(host);
    let (address, suffix) = leading_address(rest)?;
    (!KEPT.contains(&address)).then(|| format!("{prefix}{BLOCKED}{suffix}"))
}

/// Splits off `ip-` or a scheme with two or three slashes.
fn prefixed(host: &str) -> (&str, &str) {
    if host.starts_with("ip-") {
        return host.split_at(3);
    }
    let Some(colon) = host.find(":/") else {
        return ("", host);
    };
    if !SCHEMES.contains(&&host[..colon]) {
        return ("", host);
    }
    let slashes = host[colon + 1..]
        .bytes()
        .take(3)
        .take_while(|&byte| byte == b'/')
        .count();
    if slashes < 2 {
        return ("", host);
    }
    host.split_at(colon + 1 + slashes)
}

/// The address that a host begins with, and what follows it.
fn leading_address(host: &str) -> Option<(&str, &str)> {
    let first = host.find(|c: char| !c.is_ascii_digit())?;
    match host.as_bytes()[first] {
        separator @ (b'.' | b'-' | b'_') => four_numbers(host, separator),
        b'[' if first == 0 => {
            let (address, rest) = host[1..].split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            Some((address, rest))
        }
        b':' | b'a'..=b'f' | b'A'..=b'F' => {
            host.parse::<Ipv6Addr>().ok()?;
            Some((host, ""))
        }
        _ => None,
    }
}

/// Four numbers up to 255 without leading zeros, separated as in host names of clouds: `10-0-0-1`.
fn four_numbers(host: &str, separator: u8) -> Option<(&str, &str)> {
    let bytes = host.as_bytes();
    let mut at = 0;
    for number in 0..4 {
        if number > 0 {
            if bytes.get(at) != Some(&separator) {
                return None;
            }
            at += 1;
        }
        let digits = bytes[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let text = &host[at..at + digits];
        let is_padded = digits > 1 && text.starts_with('0');
        if is_padded || text.parse::<u8>().is_err() {
            return None;
        }
        at += digits;
    }
    Some(host.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// From libdatadog's own table.
    #[test]
    fn addresses_are_replaced_as_the_agent_does() {
        for (hosts, expected) in [
            ("", ""),
            ("noop", "noop"),
            ("foo.dog", "foo.dog"),
            ("192.168.1.1", "blocked-ip-address"),
            ("192.168.1.1.foo", "blocked-ip-address.foo"),
            ("192.168.1.1:1234", "blocked-ip-address:1234"),
            ("192-168-1-1", "blocked-ip-address"),
            ("192_168_1_1", "blocked-ip-address"),
            ("192-168_1-1", "192-168_1-1"),
            (
                "2001:db8:3333:4444:CCCC:DDDD:EEEE:FFFF",
                "blocked-ip-address",
            ),
            (
                "[2001:db8:3333:4444:CCCC:DDDD:EEEE:FFFF]:1234",
                "blocked-ip-address:1234",
            ),
            ("::", "blocked-ip-address"),
            ("::1", "::1"),
            (
                "ip-10-152-4-129.ec2.internal",
                "ip-blocked-ip-address.ec2.internal",
            ),
            ("1-foo", "1-foo"),
            ("10.0.0", "10.0.0"),
            ("10.0.0.256", "10.0.0.256"),
            ("01.2.3.4", "01.2.3.4"),
            (
                "http://172.24.160.151:8091,172.24.163.33:8091,172.24.164.111:8091",
                "http://blocked-ip-address:8091,blocked-ip-address:8091",
            ),
            (
                "10.21.120.145:9042,10.21.122.55:9042",
                "blocked-ip-address:9042",
            ),
            (
                "dnspoll:///10.21.120.145:6400",
                "dnspoll:///blocked-ip-address:6400",
            ),
            ("http:/10.21.120.145", "http:/10.21.120.145"),
            ("127.0.0.1", "127.0.0.1"),
            ("169.254.169.254:80", "169.254.169.254:80"),
            ("a,b,a", "a,b"),
            ("a,b", "a,b"),
        ] {
            assert_eq!(without_addresses(hosts), expected, "{hosts}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(hosts in "[0-9a-f:.,\\[\\]/é-]{0,60}") {
            let _ = without_addresses(&hosts);
        }
    }
}
