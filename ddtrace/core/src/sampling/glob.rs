//! The patterns of sampling rules.

/// A pattern for a whole text: `*` is any run of characters, `?` exactly one; case does not matter.
///
/// There is no escape, no class and no range: every other character stands for itself.
///
/// ```
/// use ddtrace_core::sampling::Glob;
///
/// assert!(Glob::new("web*").matches("WebShop"));
/// assert!(!Glob::new("GET /?").matches("GET /ab"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    pattern: Box<str>,
    matches_everything: bool,
}

impl Glob {
    /// Takes any text as a pattern.
    pub fn new(pattern: &str) -> Self {
        let matches_everything = !pattern.is_empty() && pattern.bytes().all(|byte| byte == b'*');
        Self {
            pattern: pattern.into(),
            matches_everything,
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether every text matches: the pattern has nothing but stars.
    pub const fn matches_everything(&self) -> bool {
        self.matches_everything
    }

    /// Whether the pattern names no character: it has at least one star, and apart from stars only question marks.
    pub(super) fn is_only_wildcards(&self) -> bool {
        let is_wildcard = |byte| byte == b'*' || byte == b'?';
        self.pattern.contains('*') && self.pattern.bytes().all(is_wildcard)
    }

    /// Whether the whole of `text` matches.
    ///
    /// Allocates nothing. Takes at worst the product of both lengths, in practice about the length of the text.
    pub fn matches(&self, text: &str) -> bool {
        if self.matches_everything {
            return true;
        }
        let mut pattern = self.pattern.chars();
        let mut rest = text.chars();
        // After a star: what follows it in the pattern, and where in the text that is tried.
        let mut retry = None;
        loop {
            let mut after = rest.clone();
            match (pattern.next(), after.next()) {
                (Some('*'), _) => {
                    if pattern.as_str().is_empty() {
                        return true;
                    }
                    retry = Some((pattern.clone(), rest.clone()));
                    continue;
                }
                (Some('?'), Some(_)) => {
                    rest = after;
                    continue;
                }
                (Some(expected), Some(found)) if is_same_letter(expected, found) => {
                    rest = after;
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            // The last star takes one character more, if there is one.
            let Some((after_star, tried)) = &mut retry else {
                return false;
            };
            if tried.next().is_none() {
                return false;
            }
            pattern = after_star.clone();
            rest = tried.clone();
        }
    }
}

fn is_same_letter(one: char, other: char) -> bool {
    one == other
        || one.eq_ignore_ascii_case(&other)
        || (!(one.is_ascii() && other.is_ascii()) && one.to_lowercase().eq(other.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_whole_texts_in_any_case() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("**", "x", true),
            ("?", "", false),
            ("?", "\u{e9}", true),
            ("?*", "a", true),
            ("?*", "", false),
            ("foo", "FOO", true),
            ("foo", "foo ", false),
            ("f??", "Foo", true),
            ("my-*", "my-service", true),
            ("my-*", "other", false),
            // C16.
            ("GET /?", "GET /ab", false),
            ("*.example.*", "shop.example.com", true),
            ("a*b*c", "axxbxxbxc", true),
            ("a*b*c", "axxbxxbx", false),
            ("*ab", "aab", true),
            ("\u{c9}t*", "\u{e9}t\u{e9}", true),
            ("[a-c]", "[a-c]", true),
            ("[a-c]", "b", false),
            ("^(foo|bar)[]\\$", "^(foo|bar)[]\\$", true),
        ] {
            assert_eq!(
                Glob::new(pattern).matches(text),
                expected,
                "{pattern:?} {text:?}"
            );
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_answered() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!Glob::new(&pattern).matches(&"a".repeat(2000)));
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_with_any_part_replaced(text in "\\PC{0,20}", from in 0_usize..20, to in 0_usize..20) {
            let characters: Vec<char> = text.chars().collect();
            let (from, to) = (from.min(characters.len()), to.min(characters.len()));
            let (from, to) = (from.min(to), from.max(to));
            let start: String = characters[..from].iter().collect();
            let end: String = characters[to..].iter().collect();
            let starred = format!("{start}*{end}");
            let questioned = format!("{start}{}{end}", "?".repeat(to - from));
            let (starred, questioned) = (Glob::new(&starred), Glob::new(&questioned));
            prop_assert!(starred.matches(&text));
            prop_assert!(questioned.matches(&text));
        }
    }
}
