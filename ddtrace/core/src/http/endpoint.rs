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
    let path = path(url);
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let mut endpoint = String::with_capacity(path.len().min(MAX_SEGMENTS * MIN_FREE_TEXT_BYTES));
    for segment in segments.take(MAX_SEGMENTS) {
        endpoint.push('/');
        endpoint.push_str(class(segment).unwrap_or(segment));
    }
    if endpoint.is_empty() {
        endpoint.push('/');
    }
    endpoint
}

/// What is between the host and the query.
fn path(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or_default();
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
