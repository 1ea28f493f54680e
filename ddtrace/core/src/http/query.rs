//! Query strings, without the secrets in them.
//!
//! The built-in expression says what a secret looks like: a key that sounds like one with its value, or a value that is
//! one whatever its key (bearer and GitHub tokens, JSON web tokens, private keys). It is put together from named parts,
//! compiled when the first query is seen, and has no look-around: what must precede a web token is part of the match and
//! is put back.
//!
//! All expressions work on bytes and know ASCII only, for a query is ASCII: that keeps the tables of Unicode out of the
//! program. Matching takes time linear in the length of the query, whatever the expression.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

const REDACTED: &str = "<redacted>";

/// A query that is longer is not searched but redacted as a whole.
const MAX_QUERY_BYTES: usize = 64 * 1024;

/// How much memory an expression may take, compiled: about what the built-in one takes, twenty times.
const MAX_COMPILED_BYTES: usize = 2 * 1024 * 1024;

/// Whether queries become part of `http.url`, and what is taken out of them.
///
/// ```
/// use ddtrace_core::http::QueryTagging;
///
/// let mut url = "http://h/p".to_owned();
/// QueryTagging::default().append(&mut url, "password=1&a=b");
/// assert_eq!(url, "http://h/p?<redacted>&a=b");
/// ```
#[derive(Clone, Debug)]
pub struct QueryTagging {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Off,
    Plain,
    BuiltIn,
    Custom(Regex),
}

impl QueryTagging {
    /// `is_on` is `DD_HTTP_SERVER_TAG_QUERY_STRING` or its like, `expression` is
    /// `DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP`: if unset, the built-in one; if empty, nothing is taken out.
    ///
    /// An expression that is invalid switches queries off, for it was meant to hide something. That is also so for one
    /// with look-around or back-references, which the engine does not have.
    pub fn new(is_on: bool, expression: Option<&str>) -> (Self, Option<InvalidExpression>) {
        let kind = match expression {
            _ if !is_on => Kind::Off,
            None => Kind::BuiltIn,
            Some("") => Kind::Plain,
            Some(expression) => match compile(expression) {
                Ok(regex) => Kind::Custom(regex),
                Err(error) => {
                    let kind = Kind::Off;
                    return (Self { kind }, Some(InvalidExpression { error }));
                }
            },
        };
        (Self { kind }, None)
    }

    /// Appends `?` and the query, as far as it may be seen, to `url`; nothing if queries are off.
    pub fn append(&self, url: &mut String, query: &str) {
        if let Some(query) = self.shown(query) {
            url.push('?');
            url.push_str(&query);
        }
    }

    /// The query as far as it may be seen, borrowed if that is all of it; nothing if queries are off.
    ///
    /// The search takes about 2 ns per byte of the query, and nothing is allocated unless something is found. The very first
    /// search compiles the expression, which takes about a millisecond.
    pub fn shown<'a>(&self, query: &'a str) -> Option<Cow<'a, str>> {
        Some(match &self.kind {
            Kind::Off => return None,
            Kind::Plain => Cow::Borrowed(query),
            _ if query.is_empty() => Cow::Borrowed(query),
            // Owned, so that a borrowed text is always the query itself.
            _ if query.len() > MAX_QUERY_BYTES => Cow::Owned(REDACTED.to_owned()),
            Kind::BuiltIn => redacted(built_in(), query, boundary_length),
            Kind::Custom(regex) => redacted(regex, query, |_| 0),
        })
    }
}

/// The built-in expression.
impl Default for QueryTagging {
    fn default() -> Self {
        Self {
            kind: Kind::BuiltIn,
        }
    }
}

/// An expression that cannot be used; no query is tagged.
#[derive(Clone, Debug)]
pub struct InvalidExpression {
    error: regex::Error,
}

impl fmt::Display for InvalidExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a regular expression without look-around and back-references: {}",
            self.error
        )
    }
}

impl std::error::Error for InvalidExpression {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

fn compile(expression: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(expression)
        .unicode(false)
        .size_limit(MAX_COMPILED_BYTES)
        .build()
}

/// The query with every match replaced.
fn redacted<'a>(regex: &Regex, query: &'a str, kept: impl Fn(&[u8]) -> usize) -> Cow<'a, str> {
    let bytes = query.as_bytes();
    let mut matches = regex.find_iter(bytes).filter(|found| !found.is_empty());
    let Some(first) = matches.next() else {
        return Cow::Borrowed(query);
    };
    let mut text = String::with_capacity(query.len());
    let mut shown = 0;
    for found in std::iter::once(first).chain(matches) {
        let start = found.start() + kept(found.as_bytes());
        text.push_str(&String::from_utf8_lossy(&bytes[shown..start]));
        text.push_str(REDACTED);
        shown = found.end();
    }
    text.push_str(&String::from_utf8_lossy(&bytes[shown..]));
    Cow::Owned(text)
}

/// How many bytes at the start of a match of the built-in expression are no secret: the character before a web token, which
/// may be percent-encoded. No other alternative begins like that, and looking is cheaper than asking the engine for a group.
fn boundary_length(found: &[u8]) -> usize {
    let is_token_at = |start: usize| {
        let letters = found.get(start..start + 2);
        letters.is_some_and(|letters| letters.eq_ignore_ascii_case(b"ey"))
    };
    match found.first() {
        Some(b'%') if is_token_at(3) => 3,
        Some(byte) if !byte.is_ascii_alphanumeric() && is_token_at(1) => 1,
        _ => 0,
    }
}

fn built_in() -> &'static Regex {
    static BUILT_IN: OnceLock<Regex> = OnceLock::new();
    BUILT_IN.get_or_init(|| {
        let regex = compile(&built_in_expression());
        regex.expect("the expression is constant, and a test compiles it")
    })
}

/// A double quote, itself or percent-encoded; the parts below do the same for other characters.
const QUOTE: &str = r#"(?:"|%22)"#;
const BLANKS: &str = r"(?:\s|%20)";
const BLANKS_OR_TABS: &str = r"(?:\s|%20|%09)";

/// Keys that sound like a secret.
const KEYS: &[&str] = &[
    r"(?:old[-_]?|new[-_]?)?p(?:ass)?w(?:or)?d[12]?",
    r"pass(?:[-_]?phrase)?",
    r"secret",
    r"(?:api|private|public|access|secret|app(?:lication)?)[-_]?key(?:[-_]?id)?",
    r"token",
    r"consumer[-_]?(?:id|key|secret)",
    r"sign(?:ed|ature)?",
    r"auth(?:entication|orization)?",
];

fn built_in_expression() -> String {
    let key = KEYS.join("|");
    // The value of a query parameter, or of a JSON member in one.
    let parameter = format!(r"{BLANKS}*(?:=|%3D)[^&]+");
    let member =
        format!(r#"{QUOTE}{BLANKS}*(?::|%3A){BLANKS}*{QUOTE}(?:[^"%]|%(?:[^2]|2[^2]))+{QUOTE}"#);
    let bearer = format!(r"bearer{BLANKS}+[a-z0-9._-]+");
    let token = r"token(?::|%3A)[a-z0-9]{13,}";
    let github = r"gh[opsu]_[a-z0-9]{36}";
    let web_token = r"(?:^|[^a-z0-9]|%[0-9a-f]{2})ey[i-l](?:[a-z0-9_=-]|%3D)+\.ey[i-l](?:[a-z0-9_=-]|%3D)+(?:\.(?:[a-z0-9_.+/=-]|%3D|%2F|%2B)+)?";
    let label = format!(r"(?:[a-z\s]|%20)+PRIVATE{BLANKS}KEY");
    let private_key =
        format!(r"-{{5}}BEGIN{label}-{{5}}[^-]+-{{5}}END{label}(?:-{{5}})?(?:\n|%0A)?");
    let ssh_key = format!(
        r"(?:ssh-(?:rsa|dss)|ecdsa-[a-z0-9]+-[a-z0-9]+){BLANKS_OR_TABS}+(?:[a-z0-9/.+]|%2F|%5C|%2B){{100,}}(?:=|%3D)*(?:{BLANKS_OR_TABS}+[a-z0-9._-]+)?"
    );
    format!(
        "(?i){QUOTE}?(?:{key})(?:{parameter}|{member})|{bearer}|{token}|{github}|{web_token}|{private_key}|{ssh_key}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(tagging: &QueryTagging, query: &str) -> String {
        let mut url = String::new();
        tagging.append(&mut url, query);
        url
    }

    /// Rows E29 to E34, the examples of the system tests, and one for each alternative.
    #[test]
    fn secrets_are_taken_out_as_the_table_says() {
        let hundred = "a".repeat(100);
        let github = format!("x=ghp_{}&y=1", "a1B2".repeat(9));
        let ssh = format!("ecdsa-1-1%20{hundred}=%09test&json=1");
        let rsa = format!("k=ssh-rsa%20{hundred}%2F%3D%20me");
        for (number, query, expected) in [
            ("E29", "password=1&pw=2&a=b", "?<redacted>&pw=2&a=b"),
            ("E30", "x=Bearer%20abc.def", "?x=<redacted>"),
            (
                "E31",
                "key=1&api_key=2&appkey=3&apikey_id=4",
                "?key=1&<redacted>&<redacted>&<redacted>",
            ),
            (
                "E32",
                "j=%7B%22token%22%3A%22abc%22%7D",
                "?j=%7B<redacted>%7D",
            ),
            ("E33", "", "?"),
            ("E34", "t=token:abcdefghijklm", "?t=<redacted>"),
            (
                "system tests",
                "token=03cb9f67dbbc4cb8b9&key1=val1&key2=val2&pass=03cb9f67-dbbc-4cb8-b966-329951e10934&\
                 public_key=MDNjYjlmNjctZGJiYy00Y2I4LWI5NjYtMzI5OTUxZTEwOTM0&key3=val3&application-key=dogkey&\
                 json=%7B%20%22sign%22%3A%20%22%7D%7D%22%7D&json=%7B%20%22app-key%22%3A%20%22test%22%7D",
                "?<redacted>&key1=val1&key2=val2&<redacted>&<redacted>&key3=val3&<redacted>&\
                 json=%7B%20<redacted>%7D&json=%7B%20<redacted>%7D",
            ),
            ("ssh key", &ssh, "?<redacted>&json=1"),
            ("ssh key", &rsa, "?k=<redacted>"),
            (
                "a JSON value with other escapes",
                "j=\"secret\": \"%7B%2C%7D\"",
                "?j=<redacted>",
            ),
            ("%3D for =", "a=secret%3Dx&b=1", "?a=<redacted>&b=1"),
            ("GitHub token", &github, "?x=<redacted>&y=1"),
            (
                "token: and more",
                "t=token%3Aabcdefghijklmnop&y=1",
                "?t=<redacted>&y=1",
            ),
            (
                "token: and less",
                "t=token:abcdefghijkl",
                "?t=token:abcdefghijkl",
            ),
            ("web token", "x=eyJh.eyJz.sig&y=1", "?x=<redacted>&y=1"),
            (
                "web token after %3D",
                "x=a%3DeyJh.eyJz",
                "?x=a%3D<redacted>",
            ),
            ("web token without signature", "eyJh.eyJz", "?<redacted>"),
            ("web token within a word", "x=greyJh.eyJz", "?x=greyJh.eyJz"),
            (
                "private key",
                "k=-----BEGIN%20RSA%20PRIVATE%20KEY-----abc-----END%20RSA%20PRIVATE%20KEY-----%0A&y=1",
                "?k=<redacted>&y=1",
            ),
            (
                "old password",
                "old_password=1&newpwd2=3",
                "?<redacted>&<redacted>",
            ),
            ("not covered", "key=1&sig=2&pw=3", "?key=1&sig=2&pw=3"),
            (
                "not ASCII",
                "\u{e9}=1&secret=\u{e9}&\u{e9}=2",
                "?\u{e9}=1&<redacted>&\u{e9}=2",
            ),
        ] {
            assert_eq!(shown(&QueryTagging::default(), query), expected, "{number}");
        }
    }

    /// Row E42, and the other values of the settings.
    #[test]
    fn an_expression_of_ones_own_takes_the_place_of_the_built_in_one() {
        for (number, is_on, expression, expected, is_invalid) in [
            ("E42", true, Some("("), "", true),
            ("look-behind", true, Some("(?<=a)b"), "", true),
            ("back-reference", true, Some(r"(a)\1"), "", true),
            ("off", false, None, "", false),
            ("built in", true, None, "?a=1&<redacted>", false),
            ("empty", true, Some(""), "?a=1&secret=2", false),
            (
                "own",
                true,
                Some(r"(?i)A=\d"),
                "?<redacted>&secret=2",
                false,
            ),
            ("matches nothing", true, Some("x*"), "?a=1&secret=2", false),
        ] {
            let (tagging, error) = QueryTagging::new(is_on, expression);
            assert_eq!(shown(&tagging, "a=1&secret=2"), expected, "{number}");
            assert_eq!(error.is_some(), is_invalid, "{number}");
        }
    }

    #[test]
    fn a_query_too_long_to_search_is_not_shown() {
        assert_eq!(
            shown(&QueryTagging::default(), &"a".repeat(MAX_QUERY_BYTES + 1)),
            "?<redacted>"
        );
    }

    proptest! {
        #[test]
        fn the_value_of_a_secret_is_never_shown(
            before in "([a-z]{1,5}=[a-z0-9%]{0,9}&){0,3}",
            key in prop::sample::select(vec!["password", "API_KEY", "token", "access-token", "Authorization", "signature"]),
            // Names of these letters only, because `pwd` is a secret as well.
            after in "(&[x-z]{1,5}=[a-z0-9]{0,9}){0,3}",
        ) {
            let shown = shown(&QueryTagging::default(), &format!("{before}{key}=S3CRET{after}"));
            prop_assert!(!shown.contains("S3CRET"), "{}", shown);
            prop_assert!(shown.ends_with(&after));
        }

        #[test]
        fn any_query_is_searched_without_panic(query in "(%22|\"|token|=|:|eyJ|[.&]|%3D|-----BEGIN|\\PC){0,30}") {
            shown(&QueryTagging::default(), &query);
        }
    }
}
