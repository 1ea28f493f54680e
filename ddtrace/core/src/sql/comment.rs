//! The comment by which Database Monitoring ties a statement to the service, or the span, that sent it.
//!
//! `/*dddbs='orders-db',dde='prod',ddps='shop',ddpv='1.2'*/ SELECT …`: keys in alphabetical order, values
//! percent-encoded, so that neither a quote nor the end of a comment can come from a value.

use std::fmt::{self, Write};

/// What a comment says. Empty values are left out, and so is a comment without values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Comment<'a> {
    /// `dddb`: name of the database.
    pub database: &'a str,
    /// `dddbs`: service of the database, that of the query's span.
    pub database_service: &'a str,
    /// `dde`: environment of the program.
    pub env: &'a str,
    /// `ddh`: host of the database.
    pub host: &'a str,
    /// `ddprs`: peer service of the query's span, if the user set one.
    pub peer_service: &'a str,
    /// `ddps`: service of the program.
    pub service: &'a str,
    /// `ddpv`: version of the program.
    pub version: &'a str,
    /// `ddsh`: the base hash, in decimal.
    pub base_hash: &'a str,
    /// `traceparent`: the query's span in the W3C format, in full mode only.
    pub traceparent: &'a str,
}

impl Comment<'_> {
    /// The statement with the comment in front of it.
    pub fn prepend_to(&self, statement: &str) -> String {
        let mut text = String::with_capacity(statement.len() + 192);
        // Writing to a string does not fail.
        let _ = write!(text, "{self}");
        text.push_str(statement);
        text
    }

    fn entries(&self) -> [(&'static str, &str); 9] {
        [
            ("dddb", self.database),
            ("dddbs", self.database_service),
            ("dde", self.env),
            ("ddh", self.host),
            ("ddprs", self.peer_service),
            ("ddps", self.service),
            ("ddpv", self.version),
            ("ddsh", self.base_hash),
            ("traceparent", self.traceparent),
        ]
    }
}

/// The comment and the blank after it, or nothing.
impl fmt::Display for Comment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (key, value) in self.entries() {
            if value.is_empty() {
                continue;
            }
            write!(
                f,
                "{}{key}='{}'",
                if first { "/*" } else { "," },
                PercentEncoded(value)
            )?;
            first = false;
        }
        if first { Ok(()) } else { f.write_str("*/ ") }
    }
}

/// Everything but letters, digits and `_ . - ~ /` as `%XX`, the set that the other tracers leave alone.
struct PercentEncoded<'a>(&'a str);

impl fmt::Display for PercentEncoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"_.-~/".contains(&byte) {
                f.write_char(char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_have_sorted_keys_and_leave_empty_values_out() {
        let cases = [
            (Comment::default(), ""),
            (
                Comment {
                    service: "shop",
                    version: "1.2",
                    env: "prod",
                    database_service: "orders-db",
                    ..Comment::default()
                },
                "/*dddbs='orders-db',dde='prod',ddps='shop',ddpv='1.2'*/ ",
            ),
            (
                Comment {
                    database: "orders",
                    host: "db 1",
                    peer_service: "it's",
                    base_hash: "13726736425436231466",
                    traceparent: "00-0000000000000000000000000000000a-000000000000000b-01",
                    ..Comment::default()
                },
                "/*dddb='orders',ddh='db%201',ddprs='it%27s',ddsh='13726736425436231466',traceparent='00-0000000000000000000000000000000a-000000000000000b-01'*/ ",
            ),
        ];
        for (comment, expected) in cases {
            assert_eq!(comment.to_string(), expected);
            assert_eq!(
                comment.prepend_to("SELECT 1"),
                format!("{expected}SELECT 1")
            );
        }
    }

    proptest! {
        #[test]
        fn no_value_ends_the_comment_or_its_quotes(value in ".{1,64}") {
            let text = Comment { service: &value, ..Comment::default() }.to_string();
            let inner = text.strip_prefix("/*ddps='").unwrap().strip_suffix("'*/ ").unwrap();
            prop_assert!(!inner.contains(['\'', '*', '\\', '\n']));
        }
    }
}
