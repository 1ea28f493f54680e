//! Commands as texts.
//!
//! What is cut, and where, is dd-trace-py's `ddtrace/internal/utils/formats.py`; what is hidden is the agent's
//! `pkg/obfuscate/redis.go`, which hides it again.

use std::borrow::Cow;

/// The most characters of an argument.
const LONGEST_ARGUMENT: usize = 100;

/// The longest resource that an agent keeps, in bytes.
const LONGEST_NAMES: usize = 5_000;

/// At the end of what was cut.
const CUT: &str = "...";

/// In place of what is hidden.
const HIDDEN: &str = "?";

/// One command, or those of a pipeline, one a line.
#[derive(Debug)]
pub(crate) struct Text {
    /// The names alone.
    pub(crate) names: String,
    /// With arguments.
    pub(crate) raw: String,
    /// Characters that `raw` may still get; none once it was cut.
    left: Option<usize>,
}

impl Text {
    pub(crate) fn new(most_characters: usize) -> Self {
        Self {
            names: String::new(),
            // What most single commands need, and where a pipeline begins.
            raw: String::with_capacity(64),
            left: Some(most_characters),
        }
    }

    /// Whether another command would change nothing.
    pub(crate) fn is_full(&self) -> bool {
        self.left.is_none() && self.names.len() >= LONGEST_NAMES
    }

    /// Adds a command: its name and its arguments.
    pub(crate) fn add<'a>(&mut self, arguments: impl Iterator<Item = &'a [u8]>) {
        let mut rule = Rule::ShowAll;
        for (index, argument) in arguments.enumerate() {
            let separator = if index > 0 { ' ' } else { '\n' };
            if index == 0 {
                self.add_name(argument);
            }
            if self.left.is_none() {
                return;
            }
            if !self.raw.is_empty() {
                self.raw.push(separator);
            }
            match index {
                0 => rule = Rule::of(argument),
                1 => rule = rule.with_subcommand(argument),
                _ => {}
            }
            if rule.hides(index) {
                self.raw.push_str(HIDDEN);
                if !matches!(rule, Rule::HideEverySecond) {
                    return;
                }
            } else {
                self.add_argument(argument);
            }
        }
    }

    fn add_name(&mut self, name: &[u8]) {
        if self.names.len() >= LONGEST_NAMES {
            return;
        }
        if !self.names.is_empty() {
            self.names.push('\n');
        }
        let name = decoded(name);
        self.names
            .push_str(name.split(' ').next().unwrap_or_default());
    }

    fn add_argument(&mut self, argument: &[u8]) {
        let Some(left) = self.left else { return };
        let text = decoded(argument);
        let length = text.chars().count();
        if length > left {
            self.raw.extend(text.chars().take(left));
            self.raw.push_str(CUT);
            self.left = None;
        } else {
            self.raw.push_str(&text);
            self.left = Some(left - length);
        }
    }
}

/// An argument as a text of at most 100 characters; bytes that are none are written as `\xff`.
fn decoded(argument: &[u8]) -> Cow<'_, str> {
    // Almost every argument is short, and a text.
    if argument.len() <= LONGEST_ARGUMENT
        && let Ok(text) = std::str::from_utf8(argument)
    {
        return Cow::Borrowed(text);
    }
    // Enough for one character more than fits, however many bytes each of them has.
    let start = &argument[..argument.len().min(4 * (LONGEST_ARGUMENT + 1))];
    let mut text = String::with_capacity(start.len().min(LONGEST_ARGUMENT + CUT.len()));
    for chunk in start.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if let Some((end, _)) = text.char_indices().nth(LONGEST_ARGUMENT) {
        text.truncate(end);
        text.push_str(CUT);
    }
    Cow::Owned(text)
}

/// Which arguments of a command are hidden, by their places: the name has place 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    ShowAll,
    /// Those from a place on.
    HideFrom(usize),
    /// The values of names and values, which begin at place 2.
    HideEverySecond,
    /// Depends on the subcommand.
    Config,
    Sentinel,
}

impl Rule {
    fn of(name: &[u8]) -> Self {
        let rules: [(&[u8], Self); 6] = [
            (b"AUTH", Self::HideFrom(1)),
            (b"HELLO", Self::HideFrom(1)),
            (b"MIGRATE", Self::HideFrom(1)),
            (b"ACL", Self::HideFrom(2)),
            (b"CONFIG", Self::Config),
            (b"SENTINEL", Self::Sentinel),
        ];
        let rule = rules
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known));
        rule.map_or(Self::ShowAll, |(_, rule)| *rule)
    }

    fn with_subcommand(self, subcommand: &[u8]) -> Self {
        let sets = subcommand.eq_ignore_ascii_case(b"SET");
        match self {
            Self::Config if sets => Self::HideEverySecond,
            Self::Sentinel if sets => Self::HideFrom(3),
            Self::Config | Self::Sentinel => Self::ShowAll,
            decided => decided,
        }
    }

    fn hides(self, place: usize) -> bool {
        match self {
            Self::HideFrom(first) => place >= first,
            Self::HideEverySecond => place >= 3 && place % 2 == 1,
            Self::ShowAll | Self::Config | Self::Sentinel => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(most: usize, commands: &[&[&[u8]]]) -> Text {
        let mut text = Text::new(most);
        for command in commands {
            text.add(command.iter().copied());
        }
        text
    }

    #[test]
    fn commands_are_cut_as_the_reference_cuts_them() {
        let long = [b'a'; 200];
        let a100 = "a".repeat(100);
        let ten: Vec<&[u8]> = std::iter::once(&b"MGET"[..])
            .chain([&long[..]; 10])
            .collect();
        let cases: [(usize, &[&[u8]], String); 7] = [
            (1000, &[b"GET", b"kettle"], "GET kettle".to_owned()),
            (
                1000,
                &[b"SET", b"k\xc3\xa9", b"\xff\x00z"],
                "SET k\u{e9} \\xff\0z".to_owned(),
            ),
            (1000, &[b"SET", b"k", &long], format!("SET k {a100}...")),
            // 4 + 9 * 103 = 931 characters, which leaves 69 for the last.
            (
                1000,
                &ten,
                format!(
                    "MGET{} {}...",
                    format!(" {a100}...").repeat(9),
                    "a".repeat(69)
                ),
            ),
            (5, &[b"GET", b"kettle"], "GET ke...".to_owned()),
            (0, &[b"GET", b"kettle"], "...".to_owned()),
            (9, &[b"GET", b"kettle"], "GET kettle".to_owned()),
        ];
        for (most, command, expected) in cases {
            let text = text(most, &[command]);
            assert_eq!(text.raw, expected);
            assert_eq!(text.names.as_bytes(), command[0]);
        }
    }

    #[test]
    fn what_proves_who_somebody_is_is_hidden() {
        let cases: [(&[&str], &str); 11] = [
            (&["AUTH", "secret"], "AUTH ?"),
            (&["auth", "ada", "secret"], "auth ?"),
            (&["AUTH"], "AUTH"),
            (&["HELLO", "3", "AUTH", "ada", "secret"], "HELLO ?"),
            (
                &["MIGRATE", "host", "6379", "", "0", "10", "AUTH", "secret"],
                "MIGRATE ?",
            ),
            (&["ACL", "SETUSER", "ada", ">secret"], "ACL SETUSER ?"),
            (&["ACL", "LIST"], "ACL LIST"),
            (
                &[
                    "CONFIG",
                    "SET",
                    "requirepass",
                    "secret",
                    "masterauth",
                    "secret",
                ],
                "CONFIG SET requirepass ? masterauth ?",
            ),
            (&["CONFIG", "GET", "maxmemory"], "CONFIG GET maxmemory"),
            (
                &["SENTINEL", "SET", "main", "auth-pass", "secret"],
                "SENTINEL SET main ?",
            ),
            (&["SENTINEL", "MASTERS"], "SENTINEL MASTERS"),
        ];
        for (command, expected) in cases {
            let command: Vec<_> = command.iter().map(|argument| argument.as_bytes()).collect();
            assert_eq!(text(1000, &[&command]).raw, expected);
        }
    }

    #[test]
    fn pipelines_have_a_line_for_each_command_within_bounds() {
        let pipeline = text(
            1000,
            &[
                &[b"SET", b"k", b"1"],
                &[b"AUTH", b"secret"],
                &[b"GET", b"k"],
            ],
        );
        assert_eq!(pipeline.names, "SET\nAUTH\nGET");
        assert_eq!(pipeline.raw, "SET k 1\nAUTH ?\nGET k");
        assert!(!pipeline.is_full());
        let command: &[&[u8]] = &[b"GET", b"kettle"];
        let long = text(1000, &vec![command; 10_000]);
        assert!(long.is_full());
        assert!(long.names.len() < LONGEST_NAMES + LONGEST_ARGUMENT);
        assert!(long.raw.len() < 1500);
        assert!(long.raw.ends_with(CUT));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd_and_no_text_too_long(
            command in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..20),
            most in 0_usize..1000,
        ) {
            let command: Vec<_> = command.iter().map(Vec::as_slice).collect();
            let text = text(most, &[&command]);
            // The separators come on top, as in the reference.
            prop_assert!(text.raw.chars().count() <= most + command.len() + CUT.len() + 1);
        }
    }
}
