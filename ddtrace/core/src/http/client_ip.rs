//! Whose address a request came from, proxies in between taken off.
//!
//! The headers that say so can be sent by anybody: the address is for finding things, not for deciding about them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::propagation::Carrier;

/// Read in this order; only the first that is there counts, even if it cannot be used.
const HEADERS: [&str; 10] = [
    "x-forwarded-for",
    "x-real-ip",
    "true-client-ip",
    "x-client-ip",
    "forwarded",
    "forwarded-for",
    "x-cluster-client-ip",
    "fastly-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
];

/// Finds the client's address (`http.client_ip`).
///
/// ```
/// use std::collections::BTreeMap;
/// use ddtrace_core::http::ClientIp;
///
/// let headers = BTreeMap::from([("x-forwarded-for".to_owned(), "10.0.0.5, 8.8.4.4".to_owned())]);
/// let peer = "10.0.0.1".parse().ok();
/// let found = ClientIp::default().find(&headers, peer);
/// assert_eq!(found, "8.8.4.4".parse().ok());
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClientIp {
    header: Option<Box<str>>,
}

impl ClientIp {
    /// Reads only this header (`DD_TRACE_CLIENT_IP_HEADER`), or the usual ones if there is none.
    pub fn new(header: Option<&str>) -> Self {
        let header = header.map(str::trim).filter(|header| !header.is_empty());
        Self {
            header: header.map(|header| header.to_ascii_lowercase().into()),
        }
    }

    /// The first global address in the header; else the peer's if that is global; else the first private one; else the
    /// peer's.
    ///
    /// With a header of one's own that is missing or holds no address, nothing. Allocates nothing.
    pub fn find(&self, headers: &dyn Carrier, peer: Option<IpAddr>) -> Option<IpAddr> {
        let addresses = match &self.header {
            Some(header) => {
                let addresses = Addresses::read(headers, header)?;
                addresses.first()?;
                addresses
            }
            None => HEADERS
                .iter()
                .find_map(|header| Addresses::read(headers, header))
                .unwrap_or_default(),
        };
        let global_peer = peer.filter(|&peer| is_global(peer));
        addresses
            .global
            .or(global_peer)
            .or(addresses.private)
            .or(peer)
    }
}

/// The addresses of one header that may be of use.
#[derive(Clone, Copy, Default)]
struct Addresses {
    global: Option<IpAddr>,
    private: Option<IpAddr>,
}

impl Addresses {
    /// `None` if the header is not there.
    fn read(headers: &dyn Carrier, name: &str) -> Option<Self> {
        let mut is_there = false;
        let mut addresses = Self::default();
        headers.get_all(name, &mut |value| {
            is_there = true;
            for item in value.split(|&byte| byte == b',') {
                if addresses.global.is_some() {
                    break;
                }
                let address = std::str::from_utf8(item).ok().and_then(parse_item);
                match address {
                    Some(address) if is_global(address) => addresses.global = Some(address),
                    address => addresses.private = addresses.private.or(address),
                }
            }
        });
        is_there.then_some(addresses)
    }

    fn first(&self) -> Option<IpAddr> {
        self.global.or(self.private)
    }
}

/// A bare address, or an element of `Forwarded` (RFC 7239) with its `for`.
fn parse_item(item: &str) -> Option<IpAddr> {
    let item = item.trim();
    item.parse()
        .ok()
        .or_else(|| item.split(';').find_map(parse_for))
}

/// `for=192.0.2.60:4711` or `for="[2001:db8::1]:4711"`; port and quotes may be missing.
fn parse_for(pair: &str) -> Option<IpAddr> {
    let (key, value) = pair.split_once('=')?;
    if !key.trim().eq_ignore_ascii_case("for") {
        return None;
    }
    let value = value.trim().trim_matches('"');
    if let Some(bracketed) = value.strip_prefix('[') {
        let (address, _) = bracketed.split_once(']')?;
        return address.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let address = value.split(':').next().unwrap_or_default();
    address.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

/// Whether an address means the same everywhere.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => is_global_v4(address),
            None => is_global_v6(address),
        },
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let is_this_network = first == 0;
    let is_carrier_nat = first == 100 && second & 0b1100_0000 == 64;
    let is_benchmark = first == 198 && second & 0b1111_1110 == 18;
    let is_reserved = first >= 240;
    !(is_this_network
        || is_carrier_nat
        || is_benchmark
        || is_reserved
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation())
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_documentation = first == 0x2001 && second == 0xdb8;
    !(is_documentation
        || address.is_unspecified()
        || address.is_loopback()
        || address.is_unique_local()
        || address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    /// Rows E14 to E26.
    #[test]
    fn clients_are_found_as_the_table_says() {
        for (number, setting, header, peer, expected) in [
            ("E14", None, None, "1.2.3.4", Some("1.2.3.4")),
            (
                "E15",
                None,
                Some(("x-forwarded-for", "10.0.0.5, 8.8.4.4, 1.1.1.1")),
                "10.0.0.1",
                Some("8.8.4.4"),
            ),
            (
                "E16",
                None,
                Some(("x-forwarded-for", "10.0.0.5")),
                "10.9.9.9",
                Some("10.0.0.5"),
            ),
            (
                "E18",
                None,
                Some(("forwarded", "for=192.0.2.60;proto=http;by=203.0.113.43")),
                "10.0.0.1",
                Some("192.0.2.60"),
            ),
            (
                "E19",
                None,
                Some(("forwarded", "for=\"[2001:4860:4860::8888]:4711\"")),
                "10.0.0.1",
                Some("2001:4860:4860::8888"),
            ),
            (
                "E20",
                None,
                Some(("X-Forwarded-For", "8.8.8.8")),
                "10.0.0.1",
                Some("8.8.8.8"),
            ),
            (
                "E21",
                None,
                Some(("x-forwarded", "8.8.8.8")),
                "10.0.0.1",
                Some("10.0.0.1"),
            ),
            (
                "E22",
                None,
                Some(("cf-connecting-ipv6", "2606:4700::1")),
                "10.0.0.1",
                Some("2606:4700::1"),
            ),
            (
                "E23",
                None,
                Some((
                    "x-forwarded-for",
                    "127.0.0.1, 169.254.1.1, 100.64.0.1, 8.8.8.8",
                )),
                "10.0.0.1",
                Some("8.8.8.8"),
            ),
            ("E24", None, None, "bad", None),
            (
                "E25",
                Some("x-custom"),
                Some(("x-custom", "10.0.0.9")),
                "8.8.8.8",
                Some("8.8.8.8"),
            ),
            (
                "E26",
                Some("x-custom"),
                Some(("x-forwarded-for", "1.1.1.1")),
                "8.8.8.8",
                None,
            ),
            (
                "own header without an address",
                Some("X-Custom"),
                Some(("x-custom", "bogus")),
                "8.8.8.8",
                None,
            ),
            (
                "own header",
                Some("X-Custom"),
                Some(("x-custom", "10.0.0.9, 9.9.9.9")),
                "8.8.8.8",
                Some("9.9.9.9"),
            ),
            (
                "IPv4 with port",
                None,
                Some(("x-forwarded-for", "8.8.8.8:80")),
                "10.0.0.1",
                Some("10.0.0.1"),
            ),
            (
                "Forwarded with port",
                None,
                Some(("forwarded", "proto=http; For=\"8.8.8.8:80\"")),
                "10.0.0.1",
                Some("8.8.8.8"),
            ),
            (
                "a name",
                None,
                Some(("forwarded", "for=_hidden, for=8.8.8.8")),
                "10.0.0.1",
                Some("8.8.8.8"),
            ),
            (
                "mapped",
                None,
                Some(("x-forwarded-for", "::ffff:10.0.0.1")),
                "8.8.8.8",
                Some("8.8.8.8"),
            ),
        ] {
            let headers: BTreeMap<String, String> = header
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let found = ClientIp::new(setting).find(&headers, peer.parse().ok());
            assert_eq!(
                found.map(|address| address.to_string()).as_deref(),
                expected,
                "{number}"
            );
        }
        let two = [("x-forwarded-for", "bogus"), ("x-real-ip", "8.8.8.8")];
        let two: BTreeMap<_, _> = two
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let found = ClientIp::default().find(&two, "10.0.0.1".parse().ok());
        assert_eq!(found, "10.0.0.1".parse().ok(), "E17");
    }

    #[test]
    fn several_headers_of_one_name_are_one_list() {
        let mut headers = http::HeaderMap::new();
        headers.append(
            "x-forwarded-for",
            http::HeaderValue::from_static("10.0.0.5"),
        );
        headers.append("x-forwarded-for", http::HeaderValue::from_static("8.8.8.8"));
        assert_eq!(
            ClientIp::default().find(&headers, None),
            "8.8.8.8".parse().ok()
        );
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_panic(value in "([fF]or=|\"|\\[|\\]|[0-9a-f:.]{1,12}|[;,:= ]){0,12}|\\PC{0,40}") {
            let headers = BTreeMap::from([("forwarded".to_owned(), value)]);
            let peer = IpAddr::from([8, 8, 8, 8]);
            prop_assert!(ClientIp::default().find(&headers, Some(peer)).is_some());
        }
    }
}
