//! A proxy that is asked to `CONNECT` (RFC 9110, §9.3.6).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest answer to `CONNECT` that is read.
const MAX_HEAD: usize = 8 * 1024;

/// Where the proxy is, and who we are to it.
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// `user:password`, encoded for the header.
    credentials: Option<String>,
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`.
    pub(super) fn parse(text: &str) -> Option<Proxy> {
        let text = text.trim();
        let scheme_end = text.find("://")?;
        if !text[..scheme_end].eq_ignore_ascii_case("http") {
            return None;
        }
        let rest = &text[scheme_end + 3..];
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, authority),
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                (host, port.strip_prefix(':'))
            }
            None => match address.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            },
        };
        if host.is_empty() {
            return None;
        }
        let port = match port {
            Some(port) => port.parse().ok()?,
            None => 80,
        };
        Some(Proxy {
            host: host.to_owned(),
            port,
            credentials: credentials.map(|text| crate::base64::encode(&percent_decoded(text))),
        })
    }

    /// Asks for a tunnel to `target`, which is `host:port`.
    pub(super) async fn connect<S>(&self, stream: &mut S, target: &str) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(credentials) = &self.credentials {
            request.push_str("Proxy-Authorization: Basic ");
            request.push_str(credentials);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        // Byte by byte: what follows the head belongs to the tunnel. It is short and comes once per connection.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= MAX_HEAD {
                return Err(io::Error::other("the proxy's answer does not end"));
            }
            head.push(stream.read_u8().await?);
        }
        match status(&head) {
            Some(200..=299) => Ok(()),
            Some(status) => Err(io::Error::other(format!("the proxy answered {status}"))),
            None => Err(io::Error::other("the proxy does not speak HTTP")),
        }
    }
}

/// The status of an answer that begins with `HTTP/1.x NNN`.
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(2..5)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Credentials in a URL have their special characters as `%XX`.
fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut bytes = text.as_bytes().iter();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        let ahead = bytes.as_slice();
        match (byte, digit(ahead.first()), digit(ahead.get(1))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                bytes.nth(1);
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let cases = [
            ("http://p:3128", Some(("p", 3128, None))),
            ("HTTP://p", Some(("p", 80, None))),
            ("http://[::1]:8/x", Some(("::1", 8, None))),
            // RFC 7617, §2: the example of the scheme.
            (
                "http://Aladdin:open%20sesame@p:1",
                Some(("p", 1, Some("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="))),
            ),
            ("https://p:1", None),
            ("p:1", None),
            ("http://", None),
            ("http://p:x", None),
            ("http://[::1", None),
        ];
        for (text, expected) in cases {
            let proxy = Proxy::parse(text);
            let shown = proxy
                .as_ref()
                .map(|proxy| (&*proxy.host, proxy.port, proxy.credentials.as_deref()));
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn only_a_good_answer_opens_the_tunnel() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let proxy = Proxy::parse("http://u:p@proxy:1").unwrap();
        let cases: [(&[u8], Option<&str>); 5] = [
            (
                b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n",
                None,
            ),
            (
                b"HTTP/1.0 407 Who are you\r\n\r\n",
                Some("the proxy answered 407"),
            ),
            (b"SSH-2.0-x\r\n\r\n", Some("the proxy does not speak HTTP")),
            (b"HTTP/1.1 2\r\n\r\n", Some("the proxy does not speak HTTP")),
            (&[b'x'; 9000], Some("the proxy's answer does not end")),
        ];
        for (answer, expected) in cases {
            runtime.block_on(async {
                let (mut ours, mut theirs) = tokio::io::duplex(64 * 1024);
                theirs.write_all(answer).await.unwrap();
                let result = proxy.connect(&mut ours, "intake.example:443").await;
                assert_eq!(
                    result.err().map(|error| error.to_string()).as_deref(),
                    expected
                );
                drop(ours);
                let mut asked = String::new();
                theirs.read_to_string(&mut asked).await.unwrap();
                assert_eq!(
                    asked,
                    "CONNECT intake.example:443 HTTP/1.1\r\nHost: intake.example:443\r\n\
                     Proxy-Authorization: Basic dTpw\r\n\r\n"
                );
            });
        }
    }
}
