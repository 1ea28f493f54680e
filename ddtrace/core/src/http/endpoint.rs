//! What kind of endpoint a path is, for frameworks that do not say (`http.endpoint`).

/// Segments beyond these say nothing about the endpoint.
const MAX_SEGMENTS: usize = 8;
/// A longer segment is a name that somebody made up.
const MIN_FREE_TEXT_BYTES: usize = 20;

/// The path of a URL with whatever looks like a parameter replaced by its class.
///
/// Takes a URL or a bare path. Bounded: eight segments, none longer than 19 bytes.
///
/// ```
/// use ddtrace_core::http::endpoint;
///
/// assert_eq!(endpoint("https://shop.example/users/123?tab=orders"), "/users/{param:int}");
/// ```
pub fn endpoint(url: &str) -> String {
    let mut parts = [""; MAX_PARTS];
    let length = endpoint_parts(url, &mut parts);
    parts[..length].concat()
}

/// The most parts that an endpoint has: segments, and the slashes before them.
pub(crate) const MAX_PARTS: usize = 2 * MAX_SEGMENTS;

/// The same in parts, for whoever has a place to join them. Gives their number.
pub(crate) fn endpoint_parts<'a>(url: &'a str, parts: &mut [&'a str; MAX_PARTS]) -> usize {
    let segments = path(url).split('/').filter(|segment| !segment.is_empty());
    let mut length = 0;
    for (segment, place) in segments.zip(parts.chunks_exact_mut(2)) {
        place[0] = "/";
        place[1] = class(segment).unwrap_or(segment);
        length += 2;
    }
    if length == 0 {
        parts[0] = "/";
        length = 1;
    }
    length
}

/// What is between the host and the query.
fn path(url: &str) -> &str {
    let end = url.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    let url = &url[..end.unwrap_or(url.len())];
    // Most are bare paths, in which a scheme need not be looked for.
    if !url.bytes().any(|byte| byte == b':') {
        return url;
    }
    let Some((_, after_scheme)) = url.split_once("://") else {
        return url;
    };
    after_scheme
        .find('/')
        .map_or("", |slash| &after_scheme[slash..])
}

/// The first class that a segment belongs to.
fn class(segment: &str) -> Option<&'static str> {
    let (mut digits, mut letters_of_hex, mut separators, mut reserved) = (0, 0, 0, 0);
    for byte in segment.bytes() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'a'..=b'f' | b'A'..=b'F' => letters_of_hex += 1,
            b'.' | b'_' | b'-' => separators += 1,
            b'%' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b':' | b'=' | b'@' => {
                reserved += 1
            }
            _ => {}
        }
    }
    let length = segment.len();
    if length >= 2 && digits == length && !segment.starts_with('0') {
        Some("{param:int}")
    } else if length >= 3 && digits > 0 && digits + separators == length {
        Some("{param:int_id}")
    } else if length >= 6 && digits > 0 && digits + letters_of_hex == length {
        Some("{param:hex}")
    } else if length >= 6 && digits > 0 && digits + letters_of_hex + separators == length {
        Some("{param:hex_id}")
    } else if length >= MIN_FREE_TEXT_BYTES || reserved > 0 {
        Some("{param:str}")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows E1 to E13.
    #[test]
    fn endpoints_are_classified_as_the_table_says() {
        for (number, url, expected) in [
            ("E1", "http://h/", "/"),
            ("E2", "", "/"),
            ("E3", "http://h/users/123", "/users/{param:int}"),
            ("E4", "http://h/users/007", "/users/{param:int_id}"),
            ("E5", "http://h/x/1.2.3", "/x/{param:int_id}"),
            ("E6", "http://h/x/abcdef", "/x/abcdef"),
            ("E7", "http://h/x/abc-123", "/x/{param:hex_id}"),
            (
                "E8",
                "http://h/files/very-long-filename-with-special-chars",
                "/files/{param:str}",
            ),
            ("E9", "http://h/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h"),
            ("E10", "http://h/x/12?y=3", "/x/{param:int}"),
            ("E11", "http://h/x/10", "/x/{param:int}"),
            ("E12", "http://h/x/1_2", "/x/{param:int_id}"),
            ("E13", "http://h/x/a=b", "/x/{param:str}"),
            ("no host", "/users/1//x/", "/users/1/x"),
            ("no path", "http://h", "/"),
            ("no path but a query", "http://h?a=/b", "/"),
            ("a fragment", "/a#/b", "/a"),
            ("hex", "/0af7651916cd43dd", "/{param:hex}"),
            ("no digit", "/---", "/---"),
        ] {
            assert_eq!(endpoint(url), expected, "{number}");
        }
    }

    proptest! {
        #[test]
        fn endpoints_are_bounded_paths(url in "\\PC{0,200}") {
            let endpoint = endpoint(&url);
            prop_assert!(endpoint.starts_with('/') && endpoint.len() <= MAX_SEGMENTS * MIN_FREE_TEXT_BYTES);
        }
    }
}
