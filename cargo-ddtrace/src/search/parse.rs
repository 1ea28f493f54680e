//! From text to tree.

use std::fmt;

use super::tree::{Bound, Field, Node, Piece, Test};

/// How deep parentheses may be nested.
const MAX_DEPTH: usize = 32;
/// How long a query may be.
const MAX_LENGTH: usize = 4096;

/// A query that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadQuery {
    /// What was expected.
    pub sentence: String,
    /// Where, in UTF-16 code units.
    pub at: usize,
}

impl fmt::Display for BadQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// Parses a query: the tree, and the trees of its `root(…)`.
pub fn parse(text: &str) -> Result<(Node, Vec<Node>), BadQuery> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        roots: Vec::new(),
        in_root: false,
    };
    if text.len() > MAX_LENGTH {
        return Err(parser.error(format!("a query has at most {MAX_LENGTH} bytes")));
    }
    parser.space();
    if parser.rest().is_empty() {
        return Ok((Node::All, Vec::new()));
    }
    let node = parser.either()?;
    if !parser.rest().is_empty() {
        return Err(parser.error("this parenthesis was never opened"));
    }
    Ok((node, parser.roots))
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    roots: Vec<Node>,
    in_root: bool,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn error(&self, sentence: impl Into<String>) -> BadQuery {
        BadQuery {
            sentence: sentence.into(),
            at: self.text[..self.at].encode_utf16().count(),
        }
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Eats a word that is an operator: it must end there.
    fn word(&mut self, word: &str) -> bool {
        let ends = self
            .rest()
            .strip_prefix(word)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '(', ')']));
        if ends {
            self.at += word.len();
            self.space();
        }
        ends
    }

    fn either(&mut self) -> Result<Node, BadQuery> {
        let mut nodes = vec![self.both()?];
        while self.word("OR") {
            nodes.push(self.both()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::Or(nodes)
        })
    }

    fn both(&mut self) -> Result<Node, BadQuery> {
        let mut nodes = vec![self.one()?];
        loop {
            self.space();
            let joined = self.word("AND");
            let ends = self.rest().is_empty() || self.rest().starts_with(')') || {
                let at = self.at;
                let is_or = self.word("OR");
                self.at = at;
                is_or
            };
            if ends && !joined {
                break;
            }
            nodes.push(self.one()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::And(nodes)
        })
    }

    fn one(&mut self) -> Result<Node, BadQuery> {
        self.space();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH}")));
        }
        let node = self.one_within();
        self.depth -= 1;
        node
    }

    fn one_within(&mut self) -> Result<Node, BadQuery> {
        if self.rest().is_empty() {
            return Err(self.error("expected a term here"));
        }
        if self.rest().starts_with(')') {
            return Err(self.error("expected a term before ')'"));
        }
        if self.word("NOT")
            || (self.rest().starts_with('-') && self.rest().len() > 1 && self.eat("-"))
        {
            return Ok(Node::Not(Box::new(self.one()?)));
        }
        let begin = self.at;
        if self.eat("root(") {
            if self.in_root {
                self.at = begin;
                return Err(self.error("root(…) cannot stand within root(…)"));
            }
            self.in_root = true;
            let node = self.closed(begin)?;
            self.in_root = false;
            self.roots.push(node);
            return Ok(Node::Root(self.roots.len() - 1));
        }
        if self.eat("(") {
            return self.closed(begin);
        }
        self.term()
    }

    fn closed(&mut self, opened: usize) -> Result<Node, BadQuery> {
        let node = self.either()?;
        self.space();
        if !self.eat(")") {
            self.at = opened;
            return Err(self.error("this parenthesis is never closed"));
        }
        Ok(node)
    }

    fn term(&mut self) -> Result<Node, BadQuery> {
        if self.rest().starts_with('"') {
            let text = self.quoted()?;
            return Ok(Node::Term(Field::Any, Test::Contains(text.to_lowercase())));
        }
        let is_tag = self.eat("@");
        let begin = self.at;
        let end = self
            .rest()
            .find([':', ' ', '(', ')', '"'])
            .map_or(self.text.len(), |n| begin + n);
        let key = &self.text[begin..end];
        if !self.text[end..].starts_with(':') {
            if is_tag {
                self.at = end;
                return Err(self.error("expected ':' and a value after the name of the tag"));
            }
            return self.free_text();
        }
        if key.is_empty() {
            return Err(self.error("expected the name of a tag before ':'"));
        }
        self.at = end + 1;
        let field = field(key, is_tag);
        if self.eat("(") {
            return self.list(&field, end + 1);
        }
        let test = self.value(&field)?;
        Ok(Node::Term(field, test))
    }

    fn free_text(&mut self) -> Result<Node, BadQuery> {
        let word = self.bare(&[' ', '(', ')', '"']);
        if word.is_empty() {
            return Err(self.error("expected a term here"));
        }
        if word == "*" {
            return Ok(Node::All);
        }
        // Wildcards at its ends say what free text means anyway.
        let text = word.trim_matches('*').to_lowercase();
        Ok(Node::Term(
            Field::Any,
            if text.contains(['*', '?']) {
                glob(&word, true)
            } else {
                Test::Contains(text)
            },
        ))
    }

    /// `key:(a OR b)`.
    fn list(&mut self, field: &Field, opened: usize) -> Result<Node, BadQuery> {
        let mut nodes = Vec::new();
        loop {
            self.space();
            if self.eat(")") {
                break;
            }
            if self.rest().is_empty() {
                self.at = opened;
                return Err(self.error("this parenthesis is never closed"));
            }
            if self.word("OR") {
                continue;
            }
            let test = self.value(field)?;
            nodes.push(Node::Term(field.clone(), test));
        }
        if nodes.is_empty() {
            return Err(self.error("expected a value in the parentheses"));
        }
        Ok(Node::Or(nodes))
    }

    fn value(&mut self, field: &Field) -> Result<Test, BadQuery> {
        for (token, low) in [(">=", true), ("<=", false), (">", true), ("<", false)] {
            if self.eat(token) {
                let n = self.number(field)?;
                let bound = if token.len() == 2 {
                    Bound::Including(n)
                } else {
                    Bound::Excluding(n)
                };
                return Ok(if low {
                    Test::Range(bound, Bound::Open)
                } else {
                    Test::Range(Bound::Open, bound)
                });
            }
        }
        if self.rest().starts_with(['[', '{']) {
            return self.range(field);
        }
        if self.rest().starts_with('"') {
            return Ok(Test::Exact(self.quoted()?));
        }
        let begin = self.at;
        let word = self.bare(&[' ', ')', '"']);
        if word.is_empty() {
            return Err(self.error("expected a value after ':'"));
        }
        if *field == Field::Status && !matches!(word.as_str(), "error" | "ok") {
            self.at = begin;
            return Err(self.error("status is error or ok; HTTP statuses are @http.status_code"));
        }
        if *field == Field::Duration {
            self.at = begin;
            let n = self.number(field)?;
            return Ok(Test::Range(Bound::Including(n), Bound::Including(n)));
        }
        Ok(if word.contains(['*', '?']) {
            glob(&word, false)
        } else {
            Test::Exact(word)
        })
    }

    fn range(&mut self, field: &Field) -> Result<Test, BadQuery> {
        let opened = self.at;
        let including = self.eat("[") || !self.eat("{");
        self.space();
        let low = self.end_of_range(field)?;
        self.space();
        if !self.word("TO") {
            return Err(self.error("expected TO between the ends of the range"));
        }
        let high = self.end_of_range(field)?;
        self.space();
        let closes_including = self.rest().starts_with(']');
        if !self.eat("]") && !self.eat("}") {
            self.at = opened;
            return Err(self.error("this range is never closed"));
        }
        let bound = |n: Option<f64>, including| match n {
            None => Bound::Open,
            Some(n) if including => Bound::Including(n),
            Some(n) => Bound::Excluding(n),
        };
        Ok(Test::Range(
            bound(low, including),
            bound(high, closes_including),
        ))
    }

    fn end_of_range(&mut self, field: &Field) -> Result<Option<f64>, BadQuery> {
        if self.eat("*") {
            return Ok(None);
        }
        self.number(field).map(Some)
    }

    /// A number; a duration has a unit.
    fn number(&mut self, field: &Field) -> Result<f64, BadQuery> {
        let begin = self.at;
        let end = self
            .rest()
            .find([' ', ')', ']', '}'])
            .map_or(self.text.len(), |n| begin + n);
        let word = &self.text[begin..end];
        let (digits, unit) = if *field == Field::Duration {
            let split = word
                .find(|c: char| c.is_alphabetic() || c == 'µ')
                .unwrap_or(word.len());
            let unit = match &word[split..] {
                "" | "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" | "min" => 60e9,
                "h" => 3600e9,
                _ => {
                    self.at = begin + split;
                    return Err(self.error("expected a unit: ns, us, ms, s, m or h"));
                }
            };
            (&word[..split], unit)
        } else {
            (word, 1.0)
        };
        match digits.parse::<f64>() {
            Ok(n) if n.is_finite() => {
                self.at = end;
                Ok(n * unit)
            }
            _ => Err(self.error("expected a number here")),
        }
    }

    fn quoted(&mut self) -> Result<String, BadQuery> {
        let opened = self.at;
        self.at += 1;
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((n, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += n + 1;
                    return Ok(text);
                }
                '\\' => text.extend(chars.next().map(|(_, c)| c)),
                c => text.push(c),
            }
        }
        self.at = opened;
        Err(self.error("this quote is never closed"))
    }

    /// A word up to one of these characters; a backslash takes a character as it is, wildcards excepted, which stay
    /// wildcards.
    fn bare(&mut self, ends: &[char]) -> String {
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        let mut end = self.text.len();
        while let Some((n, c)) = chars.next() {
            if ends.contains(&c) {
                end = self.at + n;
                break;
            }
            match c {
                '\\' => text.extend(chars.next().map(|(_, c)| c)),
                c => text.push(c),
            }
        }
        self.at = end;
        text
    }
}

fn field(key: &str, is_tag: bool) -> Field {
    match key {
        "duration" => return Field::Duration,
        _ if is_tag => return Field::Tag(key.to_owned()),
        _ => {}
    }
    match key {
        "service" => Field::Service,
        "operation_name" | "name" => Field::Name,
        "resource_name" | "resource" => Field::Resource,
        "type" => Field::Type,
        "status" => Field::Status,
        "span_id" => Field::SpanId,
        "trace_id" => Field::TraceId,
        "kind" => Field::Tag("span.kind".to_owned()),
        other => Field::Tag(other.to_owned()),
    }
}

fn glob(word: &str, anywhere: bool) -> Test {
    let mut pieces = Vec::new();
    if anywhere {
        pieces.push(Piece::Any);
    }
    let mut text = String::new();
    for c in word.chars() {
        match c {
            '*' | '?' => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                let piece = if c == '*' { Piece::Any } else { Piece::One };
                if piece == Piece::One || pieces.last() != Some(&Piece::Any) {
                    pieces.push(piece);
                }
            }
            c => text.push(c),
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    if anywhere && pieces.last() != Some(&Piece::Any) {
        pieces.push(Piece::Any);
    }
    if pieces == [Piece::Any] {
        Test::Exists
    } else {
        Test::Glob(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tag(key: &str, test: Test) -> Node {
        Node::Term(Field::Tag(key.into()), test)
    }

    #[test]
    fn queries_become_trees() {
        let service = Node::Term(Field::Service, Test::Exact("payments".into()));
        let text = |t: &str| Node::Term(Field::Any, Test::Contains(t.into()));
        let cases = [
            ("", Node::All),
            (" * ", Node::All),
            ("service:payments", service.clone()),
            ("Boom", text("boom")),
            ("\"two words\"", text("two words")),
            ("a b", Node::And(vec![text("a"), text("b")])),
            (
                "a OR b c",
                Node::Or(vec![text("a"), Node::And(vec![text("b"), text("c")])]),
            ),
            (
                "(a OR b) AND c",
                Node::And(vec![Node::Or(vec![text("a"), text("b")]), text("c")]),
            ),
            ("-a", Node::Not(Box::new(text("a")))),
            ("NOT (a)", Node::Not(Box::new(text("a")))),
            ("@k:\"x y\"", tag("k", Test::Exact("x y".into()))),
            ("k:*", tag("k", Test::Exists)),
            (
                "@k:5*",
                tag("k", Test::Glob(vec![Piece::Text("5".into()), Piece::Any])),
            ),
            (
                "@k:[1 TO 5}",
                tag(
                    "k",
                    Test::Range(Bound::Including(1.0), Bound::Excluding(5.0)),
                ),
            ),
            (
                "@k:{* TO 5]",
                tag("k", Test::Range(Bound::Open, Bound::Including(5.0))),
            ),
            (
                "@k:>=5",
                tag("k", Test::Range(Bound::Including(5.0), Bound::Open)),
            ),
            (
                "@duration:>100ms",
                Node::Term(
                    Field::Duration,
                    Test::Range(Bound::Excluding(1e8), Bound::Open),
                ),
            ),
            (
                "service:(a OR b)",
                Node::Or(vec![
                    Node::Term(Field::Service, Test::Exact("a".into())),
                    Node::Term(Field::Service, Test::Exact("b".into())),
                ]),
            ),
        ];
        for (query, node) in cases {
            assert_eq!(parse(query), Ok((node, vec![])), "{query}");
        }
        assert_eq!(
            parse("a root(service:payments)"),
            Ok((Node::And(vec![text("a"), Node::Root(0)]), vec![service]))
        );
    }

    #[test]
    fn errors_point_at_the_character() {
        for (query, at, sentence) in [
            ("service:", 8, "expected a value after ':'"),
            ("ä (b", 2, "this parenthesis is never closed"),
            ("a)", 1, "this parenthesis was never opened"),
            ("a OR", 4, "expected a term here"),
            ("𝄞 \"b", 3, "this quote is never closed"),
            ("@k:[1 5]", 6, "expected TO between the ends of the range"),
            (
                "@duration:>5parsecs",
                12,
                "expected a unit: ns, us, ms, s, m or h",
            ),
            ("@k:>x", 4, "expected a number here"),
            (
                "status:500",
                7,
                "status is error or ok; HTTP statuses are @http.status_code",
            ),
            (
                "@k",
                2,
                "expected ':' and a value after the name of the tag",
            ),
        ] {
            assert_eq!(
                parse(query),
                Err(BadQuery {
                    sentence: sentence.into(),
                    at
                }),
                "{query}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a@:()\"\\-*?\\[\\]{}<>=0-9 \\\\äOR]{0,40}") {
            let _ = parse(&text);
        }
    }
}
