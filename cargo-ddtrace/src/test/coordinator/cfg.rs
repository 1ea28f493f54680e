//! Conditions as `cfg(all(unix, target_arch = "x86_64"))`, against what `rustc --print cfg` says.

/// Whether a condition holds. One that can't be read does not.
pub(super) fn holds(condition: &str, facts: &[&str]) -> bool {
    let mut reader = Reader {
        rest: condition.trim(),
        facts,
        depth: 0,
    };
    reader.condition() == Some(true) && reader.rest.is_empty()
}

/// Nested deeper than anybody writes.
const DEPTH: usize = 32;

struct Reader<'c> {
    rest: &'c str,
    facts: &'c [&'c str],
    depth: usize,
}

impl Reader<'_> {
    fn eat(&mut self, text: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn condition(&mut self) -> Option<bool> {
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        self.rest = self.rest.trim_start();
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if word.is_empty() {
            return None;
        }
        if self.eat("(") {
            let mut all = true;
            let mut any = false;
            let mut count = 0;
            while !self.eat(")") {
                let one = self.condition()?;
                all &= one;
                any |= one;
                count += 1;
                if !self.eat(",") && !self.rest.starts_with(')') {
                    return None;
                }
            }
            self.depth -= 1;
            return match (word, count) {
                ("all", _) | ("cfg", 1) => Some(all),
                ("any", _) => Some(any),
                ("not", 1) => Some(!all),
                _ => None,
            };
        }
        self.depth -= 1;
        let fact = if self.eat("=") {
            let text = self.rest.strip_prefix('"')?;
            let (value, rest) = text.split_once('"')?;
            self.rest = rest;
            format!("{word}=\"{value}\"")
        } else {
            word.to_owned()
        };
        Some(match fact.as_str() {
            "true" => true,
            "false" => false,
            fact => self.facts.contains(&fact),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_as_the_compilers_do() {
        let facts = ["unix", "target_arch=\"x86_64\"", "debug_assertions"];
        for (condition, expected) in [
            ("cfg(unix)", true),
            ("cfg(windows)", false),
            ("cfg(all())", true),
            ("cfg(any())", false),
            ("cfg(all(unix, target_arch = \"x86_64\"))", true),
            ("cfg( all( unix , not(windows) , ) )", true),
            ("cfg(any(windows, target_arch=\"arm\"))", false),
            ("cfg(not(all(unix, debug_assertions)))", false),
            ("cfg(true)", true),
            ("cfg(unix", false),
            ("cfg(unix) and more", false),
            ("cfg(target_arch = x86_64)", false),
            ("", false),
        ] {
            assert_eq!(holds(condition, &facts), expected, "{condition}");
        }
        let deep = format!("cfg({}unix{})", "all(".repeat(100), ")".repeat(100));
        assert!(!holds(&deep, &facts));
    }
}
