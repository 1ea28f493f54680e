//! Server-sent events (HTML standard, section 9.2.6 "Interpreting an event stream").

use std::borrow::Cow;

/// One event of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SseFrame<'a> {
    /// What the field `event` said, or nothing.
    pub(crate) event: Cow<'a, str>,
    /// The lines of `data`, joined.
    pub(crate) data: Cow<'a, str>,
    /// Where in the body the event ended.
    pub(crate) end: usize,
}

/// The events of a body that have data. The last one counts without the blank line after it, too: some servers close the
/// connection instead of writing that line.
pub(crate) fn sse_frames(body: &[u8]) -> impl Iterator<Item = SseFrame<'_>> {
    let at = if body.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    Frames { body, at }
}

struct Frames<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    /// The next line without its end: `\n`, `\r\n` or `\r`.
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.body.get(self.at..).filter(|rest| !rest.is_empty())?;
        let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            self.at = self.body.len();
            return Some(rest);
        };
        let both = rest[end] == b'\r' && rest.get(end + 1) == Some(&b'\n');
        self.at += end + 1 + usize::from(both);
        Some(&rest[..end])
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = SseFrame<'a>;

    fn next(&mut self) -> Option<SseFrame<'a>> {
        let mut event = Cow::Borrowed("");
        let mut data: Option<Cow<'a, str>> = None;
        loop {
            let line = self.line();
            match line {
                None | Some([]) => {
                    if let Some(data) = data.take() {
                        return Some(SseFrame {
                            event,
                            data,
                            end: self.at,
                        });
                    }
                    line?;
                    event = Cow::Borrowed("");
                }
                Some(line) => match field(line) {
                    (b"data", value) => {
                        data = Some(match data {
                            None => String::from_utf8_lossy(value),
                            Some(before) => {
                                let mut joined = before.into_owned();
                                joined.push('\n');
                                joined.push_str(&String::from_utf8_lossy(value));
                                Cow::Owned(joined)
                            }
                        });
                    }
                    (b"event", value) => event = String::from_utf8_lossy(value),
                    _ => {}
                },
            }
        }
    }
}

/// A line's field and value; a comment has an empty field.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return (line, b"");
    };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data(body: &[u8]) -> Vec<(String, String)> {
        sse_frames(body)
            .map(|frame| (frame.event.into_owned(), frame.data.into_owned()))
            .collect()
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        // The first three bodies are examples of the standard.
        let cases: [(&str, &[(&str, &str)]); 8] = [
            (
                "data: YHOO\ndata: +2\ndata: 10\n\n",
                &[("", "YHOO\n+2\n10")],
            ),
            (
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event",
                &[
                    ("", "first event"),
                    ("", "second event"),
                    ("", " third event"),
                ],
            ),
            (
                "data\n\ndata\ndata\n\ndata:",
                &[("", ""), ("", "\n"), ("", "")],
            ),
            (
                "event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n",
                &[("a", "1"), ("", "2")],
            ),
            ("data: 1\r\rdata: 2\r\r", &[("", "1"), ("", "2")]),
            ("event: ping\n\ndata: 1\n\n", &[("", "1")]),
            ("\u{feff}data: 1\n\n", &[("", "1")]),
            ("", &[]),
        ];
        for (body, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|&(event, data)| (event.to_owned(), data.to_owned()))
                .collect();
            assert_eq!(data(body.as_bytes()), expected, "{body:?}");
        }
    }

    #[test]
    fn the_end_of_an_event_is_behind_its_blank_line() {
        let body = b"data: 1\n\ndata: 2\n\n";
        let ends: Vec<usize> = sse_frames(body).map(|frame| frame.end).collect();
        assert_eq!(ends, [9, 18]);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_to_its_end(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let mut last = 0;
            for frame in sse_frames(&body) {
                prop_assert!(frame.end > last && frame.end <= body.len());
                last = frame.end;
            }
        }

        #[test]
        fn what_is_written_as_events_reads_back(lines in proptest::collection::vec("[^\r\n]{0,20}", 1..8)) {
            let body: String = lines.iter().map(|line| format!("data: {line}\n\n")).collect();
            let read: Vec<String> = sse_frames(body.as_bytes()).map(|frame| frame.data.into_owned()).collect();
            prop_assert_eq!(read, lines);
        }
    }
}
