//! URLs as tags: without passwords, bounded, and with no more of the query than may be seen.

use std::borrow::Cow;

use super::query::QueryTagging;

/// A URL that is longer is cut.
const MAX_URL_BYTES: usize = 8 * 1024;

/// What a server knows about the URL of a request.
///
/// ```
/// use ddtrace_core::http::{QueryTagging, UrlParts};
///
/// let url = UrlParts { scheme: "https", host: "shop.example:8443", path: "/cart", query: Some("token=1&a=b") };
/// assert_eq!(url.to_tag(&QueryTagging::default()), "https://shop.example:8443/cart?<redacted>&a=b");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct UrlParts<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The host, with its port if that is not the scheme's; from the request's authority or its `Host`. Can be empty.
    pub host: &'a str,
    /// The path, beginning with a slash.
    pub path: &'a str,
    /// What follows `?`; `None` if there is no question mark.
    pub query: Option<&'a str>,
}

impl UrlParts<'_> {
    /// The value of `http.url`: without a host just path and query.
    pub fn to_tag(&self, tagging: &QueryTagging) -> String {
        let mut url = String::new();
        self.with_tag(tagging, |parts| url = parts.concat());
        url
    }

    /// Hands the same to `write` in parts, for whoever has a place to join them. Allocates nothing, unless the query has secrets or
    /// the whole is too long.
    pub fn with_tag(&self, tagging: &QueryTagging, write: impl FnOnce(&[&str])) {
        let host = without_userinfo(self.host);
        let (scheme, separator) = match host {
            "" => ("", ""),
            _ => (self.scheme, "://"),
        };
        let query = self.query.and_then(|query| tagging.shown(query));
        let (mark, query) = match &query {
            Some(query) => ("?", &**query),
            None => ("", ""),
        };
        let parts = [scheme, separator, host, self.path, mark, query];
        if parts.iter().map(|part| part.len()).sum::<usize>() <= MAX_URL_BYTES {
            return write(&parts);
        }
        let mut url = parts.concat();
        cut(&mut url);
        write(&[&url]);
    }
}

/// What a client's span says of an absolute URL apart from the URL itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer<'a> {
    /// The name, without brackets.
    pub(crate) host: Option<&'a str>,
    /// The URL's port, or its scheme's.
    pub(crate) port: Option<u16>,
}

impl<'a> Peer<'a> {
    /// Reads the authority, once for both.
    pub(crate) fn of(url: &'a str) -> Self {
        let start = authority_start(url);
        let Some(scheme) = url[..start].strip_suffix("://") else {
            return Self {
                host: hostname(url),
                port: None,
            };
        };
        let host = host_and_port(&url[start..]);
        let after_host = host.rsplit_once(']').map_or(host, |(_, after)| after);
        let port = match after_host.rsplit_once(':') {
            Some((_, port)) => port.parse().ok(),
            None if scheme.eq_ignore_ascii_case("http") => Some(80),
            None if scheme.eq_ignore_ascii_case("https") => Some(443),
            None => None,
        };
        Self {
            host: name(host),
            port,
        }
    }
}

/// A whole URL as a tag: userinfo removed, the query shown as `tagging` says, at most 8 KiB.
///
/// Copies only if there is something to change.
///
/// ```
/// use ddtrace_core::http::{QueryTagging, sanitize_url};
///
/// let url = sanitize_url("https://user:password@shop.example/cart?token=1#top", &QueryTagging::default());
/// assert_eq!(url, "https://shop.example/cart?<redacted>#top");
/// ```
pub fn sanitize_url<'a>(url: &'a str, tagging: &QueryTagging) -> Cow<'a, str> {
    let (before_fragment, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let (location, query) = match before_fragment.split_once('?') {
        Some((location, query)) => (location, Some(query)),
        None => (before_fragment, None),
    };
    let authority_start = authority_start(location);
    let authority_end = location[authority_start..]
        .find('/')
        .map_or(location.len(), |slash| authority_start + slash);
    let authority = &location[authority_start..authority_end];
    let host = without_userinfo(authority);
    let query = query.map(|query| tagging.shown(query));
    let is_query_shown = match &query {
        None | Some(Some(Cow::Borrowed(_))) => true,
        Some(None | Some(Cow::Owned(_))) => false,
    };
    if is_query_shown && host.len() == authority.len() && url.len() <= MAX_URL_BYTES {
        return Cow::Borrowed(url);
    }
    let mut clean = String::with_capacity(url.len().min(MAX_URL_BYTES));
    clean.push_str(&location[..authority_start]);
    clean.push_str(host);
    clean.push_str(&location[authority_end..]);
    if let Some(Some(query)) = query {
        clean.push('?');
        clean.push_str(&query);
    }
    clean.push_str(fragment);
    cut(&mut clean);
    Cow::Owned(clean)
}

/// The host of a URL, without userinfo, port and brackets; for `http.referrer_hostname` and `out.host`.
///
/// ```
/// use ddtrace_core::http::hostname;
///
/// assert_eq!(hostname("https://user@ref.example:8080/x"), Some("ref.example"));
/// assert_eq!(hostname("/only/a/path"), None);
/// ```
pub fn hostname(url: &str) -> Option<&str> {
    let start = authority_start(url);
    if start == 0 {
        return None;
    }
    name(host_and_port(&url[start..]))
}

/// What an authority says without userinfo, from its first byte on.
fn host_and_port(from_authority: &str) -> &str {
    let end = from_authority
        .bytes()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    without_userinfo(&from_authority[..end.unwrap_or(from_authority.len())])
}

/// The host without its port and brackets.
fn name(host: &str) -> Option<&str> {
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next(),
        None => host.split(':').next(),
    };
    name.filter(|name| !name.is_empty())
}

/// A text for a tag, such as an error's, with `<url>` in place of every URL in it: those may have secrets in them.
///
/// Copies only if there is one.
///
/// ```
/// use ddtrace_core::http::without_urls;
///
/// assert_eq!(without_urls("no tea"), "no tea");
/// assert_eq!(without_urls("no answer from (https://u:p@shop.example/?token=1), twice"), "no answer from (<url> twice");
/// ```
pub fn without_urls(text: &str) -> Cow<'_, str> {
    const SEPARATOR: &str = "://";
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(SEPARATOR) {
        let of_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let scheme = rest.as_bytes()[..at]
            .iter()
            .rev()
            .take_while(|byte| of_scheme(byte));
        let start = at - scheme.count();
        // Everything else may stand in a URL, brackets and quotes included.
        let end = rest[at..]
            .find(char::is_whitespace)
            .map_or(rest.len(), |end| at + end);
        clean.push_str(&rest[..start]);
        clean.push_str("<url>");
        rest = &rest[end..];
    }
    if clean.is_empty() {
        return Cow::Borrowed(text);
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// Where the authority begins, if there is one; 0 for a bare path.
fn authority_start(location: &str) -> usize {
    if location.starts_with("//") {
        return "//".len();
    }
    let is_scheme = |scheme: &str| {
        !scheme.is_empty()
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    // A scheme has no colon in it, so the first one says whether there is any.
    let colon = location.bytes().position(|byte| byte == b':').unwrap_or(0);
    if is_scheme(&location[..colon]) && location[colon..].starts_with("://") {
        colon + "://".len()
    } else {
        0
    }
}

fn without_userinfo(authority: &str) -> &str {
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

fn cut(url: &mut String) {
    if url.len() > MAX_URL_BYTES {
        let end = (0..=MAX_URL_BYTES)
            .rev()
            .find(|&end| url.is_char_boundary(end));
        url.truncate(end.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_url_is_left_in_any_text(text in ".*", before in "[a-z (]*", after in "[ -~]*") {
            prop_assert!(!without_urls(&text).contains("://"));
            let text = format!("{before}http://h/?token={after}");
            let clean = without_urls(&text);
            prop_assert!(!clean.contains("token"), "{}", clean);
        }
    }

    /// Rows E27 to E34, and what the reference's own tests have.
    #[test]
    fn urls_are_cleaned_as_the_table_says() {
        let built_in = QueryTagging::default();
        for (number, url, expected) in [
            ("E27", "http://h/p", "http://h/p"),
            ("E28", "/rel@x", "/rel@x"),
            (
                "E29",
                "http://h/p?password=1&pw=2&a=b",
                "http://h/p?<redacted>&pw=2&a=b",
            ),
            (
                "E30",
                "http://h/p?x=Bearer%20abc.def",
                "http://h/p?x=<redacted>",
            ),
            (
                "E32",
                "http://h/p?j=%7B%22token%22%3A%22abc%22%7D",
                "http://h/p?j=%7B<redacted>%7D",
            ),
            ("E33", "http://h/p?", "http://h/p?"),
            (
                "E34",
                "http://h/p?t=token:abcdefghijklm",
                "http://h/p?t=<redacted>",
            ),
            (
                "a fragment",
                "http://e/s?token=03cb9f67&q=query#frag?ment",
                "http://e/s?<redacted>&q=query#frag?ment",
            ),
            (
                "userinfo",
                "http://u:p@h:1/p@q?a=b@c",
                "http://h:1/p@q?a=b@c",
            ),
            ("a password with @", "http://u:p@ss@h/", "http://h/"),
            ("no scheme", "//u:p@h/x", "//h/x"),
            (
                "a URL in the path",
                "/go/http://u:p@h/",
                "/go/http://u:p@h/",
            ),
            ("no path", "http://u:p@h?a=1", "http://h?a=1"),
        ] {
            assert_eq!(sanitize_url(url, &built_in), expected, "{number}");
        }
    }

    /// Row E42 and its likes: what is off is not there.
    #[test]
    fn without_query_tagging_only_the_query_is_missing() {
        let (off, _) = QueryTagging::new(false, None);
        assert_eq!(
            sanitize_url("http://e/s?q=query#frag?ment", &off),
            "http://e/s#frag?ment"
        );
        let parts = UrlParts {
            scheme: "http",
            host: "u:p@h",
            path: "/p",
            query: Some("a=b"),
        };
        assert_eq!(parts.to_tag(&off), "http://h/p");
    }

    #[test]
    fn long_urls_are_cut_between_characters() {
        let url = format!("http://h/{}", "\u{e9}".repeat(MAX_URL_BYTES));
        let cut = sanitize_url(&url, &QueryTagging::default());
        assert_eq!(cut.len(), MAX_URL_BYTES - 1);
        let parts = UrlParts {
            scheme: "",
            host: "",
            path: &url,
            query: None,
        };
        assert_eq!(parts.to_tag(&QueryTagging::default()), cut);
    }

    #[test]
    fn hosts_are_found() {
        for (url, expected) in [
            ("https://ref.example/x", Some("ref.example")),
            ("https://ref.example?x", Some("ref.example")),
            ("http://u:p@[2001:db8::1]:80/", Some("2001:db8::1")),
            ("//cdn.example/x", Some("cdn.example")),
            ("http:///x", None),
            ("ref.example", None),
            ("", None),
        ] {
            assert_eq!(hostname(url), expected, "{url}");
        }
    }

    #[test]
    fn the_port_is_the_urls_or_the_schemes() {
        let cases = [
            ("http://h/p", Some("h"), Some(80)),
            ("https://h?x", Some("h"), Some(443)),
            ("http://u:p@h:8126/p:1", Some("h"), Some(8126)),
            ("http://[::1]:9/", Some("::1"), Some(9)),
            ("http://[::1]/", Some("::1"), Some(80)),
            ("http://h:x/", Some("h"), None),
            ("ftp://h/", Some("h"), None),
            ("//h:80/", Some("h"), None),
            ("/p", None, None),
        ];
        for (url, host, port) in cases {
            assert_eq!(Peer::of(url), Peer { host, port }, "{url}");
            assert_eq!(hostname(url), host, "{url}");
        }
    }

    proptest! {
        #[test]
        fn userinfo_is_never_shown(user in "[a-z:@]{0,8}", path in "(/[a-z@:?#]{0,6}){0,3}") {
            let url = format!("http://S3CRET:{user}@h{path}");
            let shown = sanitize_url(&url, &QueryTagging::default());
            prop_assert!(!shown.contains("S3CRET"), "{}", shown);
        }

        #[test]
        fn any_url_is_cleaned_without_panic(url in "(http|://|//|@|:|/|\\?|#|\\[|\\]|\\PC){0,20}") {
            sanitize_url(&url, &QueryTagging::default());
            hostname(&url);
        }
    }
}
