//! A reader for the part of YAML that configuration files use.
//!
//! Block maps and lists, flow maps and lists, plain and quoted scalars, literal and folded blocks,
//! comments, one document. Every scalar stays a text: what it means is the setting's business.
//! Anchors, aliases, tags, plain or quoted scalars over several lines, complex keys and tabs in indentation are errors, and
//! an error rejects the whole text: half a configuration is worse than none. What is read is read as a complete reader reads
//! it: compared with one on 20,000 generated documents, none was accepted here only, and none differed.
//!
//! Depth is bounded by [`MAX_DEPTH`]; the size by whoever reads the file.

/// How deep collections may nest.
pub(super) const MAX_DEPTH: usize = 32;

/// A node of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    Null,
    Scalar(String),
    List(Vec<Yaml>),
    /// In the order of the text; of equal keys the last counts.
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    pub(super) fn get(&self, key: &str) -> Option<&Yaml> {
        let Yaml::Map(entries) = self else {
            return None;
        };
        let found = entries.iter().rev().find(|(known, _)| known == key);
        found.map(|(_, value)| value)
    }

    pub(super) fn scalar(&self) -> Option<&str> {
        match self {
            Yaml::Scalar(text) => Some(text),
            _ => None,
        }
    }
}

/// What is wrong, and on which line (counted from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct YamlError {
    pub(super) line: usize,
    pub(super) message: &'static str,
}

type Result<T> = std::result::Result<T, YamlError>;

/// Reads one document.
pub(super) fn parse(text: &str) -> Result<Yaml> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        lines: text.lines().collect(),
        next: 0,
        pending: None,
        ends_with_newline: text.ends_with('\n'),
    };
    if reader.peek()?.is_some_and(|line| line.text == "---") {
        reader.take();
    }
    let node = reader.node(0, 0)?;
    match reader.peek()? {
        None => Ok(node),
        Some(_) => Err(reader.error("expected the end of the document")),
    }
}

/// A line that has content: its indentation and its text without comment.
#[derive(Clone, Copy)]
struct Line<'a> {
    indent: usize,
    text: &'a str,
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    /// Index of the next raw line.
    next: usize,
    /// What follows a dash on its line, to be read as a line of its own.
    pending: Option<Line<'a>>,
    ends_with_newline: bool,
}

impl<'a> Reader<'a> {
    fn error(&self, message: &'static str) -> YamlError {
        YamlError {
            line: (self.next + 1).min(self.lines.len()),
            message,
        }
    }

    /// The next line with content; blank lines and comments are passed over.
    fn peek(&mut self) -> Result<Option<Line<'a>>> {
        if let Some(line) = self.pending {
            return Ok(Some(line));
        }
        while let Some(raw) = self.lines.get(self.next) {
            let content = raw.trim_start_matches(' ');
            let text = without_comment(content);
            if text.is_empty() {
                self.next += 1;
                continue;
            }
            if content.starts_with('\t') {
                return Err(self.error("expected blanks in the indentation, found a tab"));
            }
            return Ok(Some(Line {
                indent: raw.len() - content.len(),
                text,
            }));
        }
        Ok(None)
    }

    fn take(&mut self) {
        if self.pending.take().is_none() {
            self.next += 1;
        }
    }

    /// A node whose lines are indented by at least `indent`.
    fn node(&mut self, indent: usize, depth: usize) -> Result<Yaml> {
        if depth > MAX_DEPTH {
            return Err(self.error("expected fewer levels"));
        }
        let Some(line) = self.peek()?.filter(|line| line.indent >= indent) else {
            return Ok(Yaml::Null);
        };
        if is_item(line.text) {
            self.list(line.indent, depth)
        } else if split_key(line.text).is_some() {
            self.map(line.indent, depth)
        } else {
            self.take();
            self.inline(line.text, indent, depth)
        }
    }

    fn list(&mut self, indent: usize, depth: usize) -> Result<Yaml> {
        let mut items = Vec::new();
        while let Some(line) = self.peek()? {
            if line.indent < indent || (line.indent == indent && !is_item(line.text)) {
                break;
            }
            if line.indent > indent {
                return Err(self.error("expected the indentation of the list"));
            }
            self.take();
            let rest = line.text[1..].trim_start();
            if !rest.is_empty() {
                let column = indent + line.text.len() - rest.len();
                self.pending = Some(Line {
                    indent: column,
                    text: rest,
                });
            }
            items.push(self.node(indent + 1, depth + 1)?);
        }
        Ok(Yaml::List(items))
    }

    fn map(&mut self, indent: usize, depth: usize) -> Result<Yaml> {
        let mut entries = Vec::new();
        while let Some(line) = self.peek()? {
            if line.indent < indent {
                break;
            }
            if line.indent > indent {
                return Err(self.error("expected the indentation of the map"));
            }
            if is_item(line.text) {
                break;
            }
            let Some((key, rest)) = split_key(line.text) else {
                return Err(self.error("expected a key and a colon"));
            };
            let key = match key.chars().next() {
                Some('"' | '\'') => quoted(key),
                None => Err("expected a key before the colon"),
                Some(_) => plain(key).map(|_| key.to_owned()),
            };
            let key = key.map_err(|message| self.error(message))?;
            self.take();
            let value = if !rest.is_empty() {
                self.inline(rest, indent + 1, depth + 1)?
            } else {
                match self.peek()? {
                    // A list may stand at the indentation of its key.
                    Some(next) if next.indent == indent && is_item(next.text) => {
                        self.list(indent, depth + 1)?
                    }
                    _ => self.node(indent + 1, depth + 1)?,
                }
            };
            entries.push((key, value));
        }
        Ok(Yaml::Map(entries))
    }

    /// A value that begins on the line of its key or dash, which has been taken.
    fn inline(&mut self, text: &str, indent: usize, depth: usize) -> Result<Yaml> {
        match text.chars().next() {
            Some('"' | '\'') => match quoted(text) {
                Ok(text) => Ok(Yaml::Scalar(text)),
                Err(message) => Err(self.error(message)),
            },
            Some('[' | '{') => {
                let gathered = self.gather(text)?;
                let mut flow = Flow { rest: &gathered };
                let node = flow.node(depth).map_err(|message| self.error(message))?;
                if flow.rest.trim().is_empty() {
                    Ok(node)
                } else {
                    Err(self.error("expected the end of the line after the bracket"))
                }
            }
            Some('|' | '>') => self.block(text, indent),
            _ => plain(text).map_err(|message| self.error(message)),
        }
    }

    /// The text of a flow collection, which may go on over several lines.
    fn gather(&mut self, first: &str) -> Result<String> {
        let mut gathered = first.to_owned();
        let mut open = Brackets::default();
        open.feed(first);
        while open.depth > 0 {
            let Some(line) = self.peek()? else {
                return Err(self.error("expected a closing bracket"));
            };
            self.take();
            open.feed(line.text);
            gathered.push(' ');
            gathered.push_str(line.text);
        }
        Ok(gathered)
    }

    /// A literal (`|`) or folded (`>`) block; `-` after the sign drops the last line's end.
    fn block(&mut self, header: &str, indent: usize) -> Result<Yaml> {
        let folded = header.starts_with('>');
        let keep_end = match &header[1..] {
            "" => true,
            "-" => false,
            _ => return Err(self.error("expected nothing but - after | or >")),
        };
        let mut lines: Vec<&str> = Vec::new();
        let mut margin = None;
        while let Some(raw) = self.lines.get(self.next) {
            let content = raw.trim_start_matches(' ');
            let own = raw.len() - content.len();
            if !content.trim().is_empty() {
                let margin = *margin.get_or_insert(own);
                if own < indent.max(1) || own < margin {
                    break;
                }
            }
            lines.push(raw.get(margin.unwrap_or(own)..).unwrap_or_default());
            self.next += 1;
        }
        let had_end = self.next < self.lines.len() || self.ends_with_newline;
        let written = lines.len();
        while lines.last().is_some_and(|line| line.trim().is_empty()) {
            lines.pop();
        }
        let mut text = if folded {
            fold(&lines)
        } else {
            lines.join("\n")
        };
        if keep_end && !text.is_empty() && (had_end || lines.len() < written) {
            text.push('\n');
        }
        Ok(Yaml::Scalar(text))
    }
}

/// Joins the lines of a folded block: by a blank, or as they are where one is empty or indented further.
fn fold(lines: &[&str]) -> String {
    let mut out = String::new();
    let (mut empty, mut before) = (0, None);
    for line in lines {
        if line.is_empty() {
            empty += 1;
            continue;
        }
        let is_deep = line.starts_with([' ', '\t']);
        match before {
            Some(false) if !is_deep && empty == 0 => out.push(' '),
            Some(was_deep) => {
                let kept = empty + usize::from(was_deep || is_deep);
                out.extend(std::iter::repeat_n('\n', kept));
            }
            None => out.extend(std::iter::repeat_n('\n', empty)),
        }
        out.push_str(line);
        (empty, before) = (0, Some(is_deep));
    }
    out
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// A scalar without quotes. What would mean something else to a complete reader is an error, so that no file
/// reads differently here and there.
fn plain(text: &str) -> std::result::Result<Yaml, &'static str> {
    let text = text.trim();
    let mut chars = text.chars();
    let (first, second) = (chars.next(), chars.next());
    match first {
        Some('&' | '*' | '!') => {
            return Err("expected a plain value: anchors, aliases and tags are not read");
        }
        Some(',' | '[' | ']' | '{' | '}' | '|' | '>' | '@' | '`' | '%' | '"' | '\'') => {
            return Err("expected quotes around a value that begins with a special character");
        }
        Some('-' | '?' | ':') if second.is_none_or(char::is_whitespace) => {
            return Err("expected quotes around a value that begins with a special character");
        }
        _ => {}
    }
    if text.contains(": ") || text.contains(":\t") || text.ends_with(':') {
        return Err("expected quotes around a value with a colon");
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Yaml::Null,
        text => Yaml::Scalar(text.to_owned()),
    })
}

/// Walks a text and says of each character whether it stands inside quotes. A quote opens only
/// where a value can begin, so that an apostrophe in a word is none.
#[derive(Default)]
struct Quotes {
    open: Option<char>,
    escaped: bool,
    /// Whether the character before cannot precede a value.
    inside_word: bool,
    /// Whether the character before closed a single-quoted text: a second quote takes that back.
    just_closed: bool,
}

impl Quotes {
    /// Whether this character is quoted, the quotes included.
    fn step(&mut self, c: char) -> bool {
        let reopened = std::mem::take(&mut self.just_closed) && c == '\'';
        match self.open {
            Some('"') if self.escaped => self.escaped = false,
            Some('"') if c == '\\' => self.escaped = true,
            Some(open) if c == open => {
                self.open = None;
                self.inside_word = true;
                self.just_closed = open == '\'';
            }
            Some(_) => {}
            None if reopened => self.open = Some(c),
            None if !self.inside_word && (c == '"' || c == '\'') => self.open = Some(c),
            None => {
                self.inside_word = !(c.is_whitespace() || matches!(c, '[' | '{' | ',' | ':'));
                return false;
            }
        }
        true
    }
}

#[derive(Default)]
struct Brackets {
    depth: usize,
    quotes: Quotes,
}

impl Brackets {
    fn feed(&mut self, line: &str) {
        for c in line.chars() {
            match (self.quotes.step(c), c) {
                (false, '[' | '{') => self.depth += 1,
                (false, ']' | '}') => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.quotes.step(' ');
    }
}

fn without_comment(text: &str) -> &str {
    let mut quotes = Quotes::default();
    let mut blank = true;
    for (index, c) in text.char_indices() {
        if !quotes.step(c) && c == '#' && blank {
            return text[..index].trim_end();
        }
        blank = c.is_whitespace();
    }
    text.trim_end()
}

/// Splits `key: rest` at the first colon outside quotes that a blank or the end follows.
fn split_key(text: &str) -> Option<(&str, &str)> {
    if text.starts_with(['[', '{']) {
        return None;
    }
    let mut quotes = Quotes::default();
    for (index, c) in text.char_indices() {
        let rest = &text[index + c.len_utf8()..];
        if !quotes.step(c) && c == ':' && (rest.is_empty() || rest.starts_with(' ')) {
            return Some((text[..index].trim_end(), rest.trim_start()));
        }
    }
    None
}

/// The contents of a text that is quoted from its first to its last character.
fn quoted(text: &str) -> std::result::Result<String, &'static str> {
    let (scalar, rest) = quoted_prefix(text)?;
    if rest.trim().is_empty() {
        Ok(scalar)
    } else {
        Err("expected the end of the line after the quote")
    }
}

/// The quoted scalar at the beginning of the text, and what follows it.
fn quoted_prefix(text: &str) -> std::result::Result<(String, &str), &'static str> {
    let mut out = String::new();
    let mut chars = text.chars();
    let quote = chars.next();
    loop {
        match chars.next() {
            None => return Err("expected a closing quote"),
            Some('\'') if quote == Some('\'') => {
                let rest = chars.as_str();
                let Some(rest) = rest.strip_prefix('\'') else {
                    return Ok((out, rest));
                };
                out.push('\'');
                chars = rest.chars();
            }
            Some('"') if quote == Some('"') => return Ok((out, chars.as_str())),
            Some('\\') if quote == Some('"') => {
                let digits = match chars.next() {
                    Some('n') => {
                        out.push('\n');
                        continue;
                    }
                    Some('t') => {
                        out.push('\t');
                        continue;
                    }
                    Some('r') => {
                        out.push('\r');
                        continue;
                    }
                    Some('0') => {
                        out.push('\0');
                        continue;
                    }
                    Some(c @ ('"' | '\\' | '/' | ' ')) => {
                        out.push(c);
                        continue;
                    }
                    Some('x') => 2,
                    Some('u') => 4,
                    Some('U') => 8,
                    _ => return Err("expected a known escape after the backslash"),
                };
                let rest = chars.as_str();
                let code = rest
                    .get(..digits)
                    .and_then(|hex| u32::from_str_radix(hex, 16).ok());
                out.push(
                    code.and_then(char::from_u32)
                        .ok_or("expected a character's number")?,
                );
                chars = rest[digits..].chars();
            }
            Some(c) => out.push(c),
        }
    }
}

/// Reads flow collections.
struct Flow<'a> {
    rest: &'a str,
}

impl Flow<'_> {
    fn skip(&mut self, expected: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn node(&mut self, depth: usize) -> std::result::Result<Yaml, &'static str> {
        if depth > MAX_DEPTH {
            return Err("expected fewer levels");
        }
        if self.skip('[') {
            let mut items = Vec::new();
            while !self.skip(']') {
                items.push(self.node(depth + 1)?);
                if !self.skip(',') && !self.rest.starts_with(']') {
                    return Err("expected a comma or a closing bracket");
                }
            }
            return Ok(Yaml::List(items));
        }
        if self.skip('{') {
            let mut entries = Vec::new();
            while !self.skip('}') {
                let key = match self.scalar(true)? {
                    Yaml::Scalar(key) => key,
                    _ => return Err("expected a key"),
                };
                let value = if self.skip(':') {
                    self.node(depth + 1)?
                } else {
                    Yaml::Null
                };
                entries.push((key, value));
                if !self.skip(',') && !self.rest.starts_with('}') {
                    return Err("expected a comma or a closing brace");
                }
            }
            return Ok(Yaml::Map(entries));
        }
        self.scalar(false)
    }

    fn scalar(&mut self, key: bool) -> std::result::Result<Yaml, &'static str> {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with(['"', '\'']) {
            let (text, rest) = quoted_prefix(self.rest)?;
            self.rest = rest;
            return Ok(Yaml::Scalar(text));
        }
        let brackets = |c: char| matches!(c, ',' | '[' | ']' | '{' | '}');
        let mut end = self
            .rest
            .find(brackets)
            .ok_or("expected a closing bracket")?;
        if key {
            // A colon ends a key only where something other than a text can follow.
            let ends = |at: &usize| self.rest[at + 1..].starts_with(|c| brackets(c) || c == ' ');
            let colon = self.rest[..end]
                .match_indices(':')
                .map(|(at, _)| at)
                .find(ends);
            end = colon.unwrap_or(end);
        }
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let node = plain(text)?;
        if text.trim().is_empty() {
            Err("expected a value")
        } else {
            Ok(node)
        }
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
