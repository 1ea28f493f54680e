//! `multipart/form-data` (RFC 7578), as much of it as senders of payloads use: parts with a name, whole in memory.

/// Parts of one body.
const PARTS: usize = 64;

/// One part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'b> {
    /// Its `name`.
    pub(super) name: String,
    /// Its content.
    pub(super) content: &'b [u8],
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters
        .split(';')
        .find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    let value = value.trim_matches('"');
    (!value.is_empty() && value.len() <= 70).then_some(value)
}

/// Reads the parts of a body.
pub(super) fn read<'b>(content_type: &str, body: &'b [u8]) -> Result<Vec<Part<'b>>, String> {
    let boundary = boundary(content_type).ok_or("the content type names no boundary")?;
    let delimiter = format!("--{boundary}");
    let mut rest = body
        .strip_prefix(delimiter.as_bytes())
        .ok_or("the body does not begin with the boundary")?;
    let between = format!("\r\n{delimiter}");
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        if parts.len() == PARTS {
            return Err(format!("more than {PARTS} parts"));
        }
        rest = rest
            .strip_prefix(b"\r\n")
            .ok_or("no line end behind a boundary")?;
        // A part without headers begins with the empty line at once.
        let (headers, content) = match rest.strip_prefix(b"\r\n") {
            Some(content) => (&b""[..], content),
            None => {
                let at = find(rest, b"\r\n\r\n").ok_or("a part has no end of its headers")?;
                (&rest[..at], &rest[at + 4..])
            }
        };
        let end = find(content, between.as_bytes()).ok_or("a part does not end")?;
        parts.push(Part {
            name: name(headers),
            content: &content[..end],
        });
        rest = &content[end + between.len()..];
    }
}

fn name(headers: &[u8]) -> String {
    let headers = String::from_utf8_lossy(headers);
    let found = headers.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    });
    found
        .and_then(|value| {
            let at = value.find(" name=\"").or_else(|| value.find(";name=\""))? + 7;
            value[at..].split('"').next()
        })
        .unwrap_or_default()
        .to_owned()
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_read() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"event\"; filename=\"event.json\"\r\nContent-Type: application/json\r\n\r\n{\"dummy\":true}\r\n--b\r\ncontent-disposition: form-data; name=\"coverage1\"\r\n\r\n\x00\r\n--\x01\r\n--b--\r\n";
        let parts = read("multipart/form-data; boundary=\"b\"", body).unwrap();
        assert_eq!(
            parts,
            [
                Part {
                    name: "event".into(),
                    content: b"{\"dummy\":true}"
                },
                Part {
                    name: "coverage1".into(),
                    content: b"\x00\r\n--\x01"
                },
            ]
        );
        for (kind, body) in [
            ("application/json", &body[..]),
            ("multipart/form-data", &body[..]),
            ("multipart/form-data; boundary=c", &body[..]),
            ("multipart/form-data; boundary=b", &body[..body.len() - 8]),
            ("multipart/form-data; boundary=b", b"--b"),
        ] {
            assert!(read(kind, body).is_err(), "{kind}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(prop::sample::select(b"--b\r\n: \"name=x".to_vec()), 0..60)) {
            let _ = read("multipart/form-data; boundary=b", &body);
        }
    }
}
