//! What can be said about a statement from its text alone.

/// The longest resource that an agent keeps, in bytes; what is beyond it would only be carried to be cut off.
const LONGEST: usize = 15_000;

/// The text as far as it is worth sending: cut at a character, to at most 15 000 bytes.
pub(super) fn capped(statement: &str) -> &str {
    if statement.len() <= LONGEST {
        return statement;
    }
    let mut end = LONGEST;
    while !statement.is_char_boundary(end) {
        end -= 1;
    }
    &statement[..end]
}

/// Whether the statement only reads, by its first word.
///
/// SQLite reports the rows changed by the *last* statement that changed any, so after one that only reads the number
/// means nothing.
pub(super) fn only_reads(statement: &str) -> bool {
    let word = first_word(statement);
    ["select", "values", "pragma", "explain"]
        .iter()
        .any(|reading| word.eq_ignore_ascii_case(reading))
}

/// The first word behind blanks, comments and opening parentheses; empty if there is none.
fn first_word(statement: &str) -> &str {
    let mut rest = statement;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(' || c == ';');
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
        } else {
            let end = rest
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len());
            return &rest[..end];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_word_tells_what_only_reads() {
        let cases = [
            ("SELECT 1", true),
            ("  select 1", true),
            ("/*ddps='x'*/ SELECT 1", true),
            ("-- why\nSELECT 1", true),
            ("(SELECT 1) UNION (SELECT 2)", true),
            ("PRAGMA foreign_keys", true),
            ("INSERT INTO a VALUES (1)", false),
            ("WITH x AS (SELECT 1) DELETE FROM a", false),
            ("/* SELECT", false),
            ("", false),
        ];
        for (statement, expected) in cases {
            assert_eq!(only_reads(statement), expected, "{statement}");
        }
    }

    #[test]
    fn long_statements_are_cut_between_characters() {
        assert_eq!(capped("SELECT 1"), "SELECT 1");
        let long = "é".repeat(LONGEST);
        assert_eq!(capped(&long).len(), LONGEST);
        let odd = format!("x{long}");
        assert_eq!(capped(&odd).len(), LONGEST - 1);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_for_a_first_word(statement in ".*") {
            let _ = only_reads(&statement);
            prop_assert!(statement.starts_with(capped(&statement)));
        }
    }
}
