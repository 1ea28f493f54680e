//! What is answered, whichever provider says it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::ask::words;

/// What providers do on bad days.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Answers with this status, and an error in the provider's words.
    Status(u16),
    /// Answers with something else than it should, and the status of success.
    Garbage,
    /// Closes the connection after so many pieces of a stream.
    CutAfter(usize),
    /// Says in the provider's words that something broke, after so many pieces of a stream.
    ErrorAfter(usize),
    /// Says nothing more after so many pieces of a stream, and keeps the connection open.
    HangAfter(usize),
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub(crate) text: String,
    pub(crate) thought: String,
    pub(crate) call: Option<(String, String)>,
    pub(crate) pace: Duration,
    pub(crate) fault: Option<Fault>,
}

impl Reply {
    /// A text. A stream brings it word by word.
    pub fn text(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            ..Self::default()
        }
    }

    /// The call of a tool, with its arguments in JSON.
    pub fn call(tool: &str, arguments: &str) -> Self {
        Self {
            call: Some((tool.to_owned(), arguments.to_owned())),
            ..Self::default()
        }
    }

    /// Something goes wrong.
    pub fn fault(fault: Fault) -> Self {
        Self::text("This is not going to end well.").but(fault)
    }

    /// With something that the model thinks before it answers.
    #[must_use]
    pub fn thinking(mut self, thought: &str) -> Self {
        thought.clone_into(&mut self.thought);
        self
    }

    /// With a pause before every piece of a stream.
    #[must_use]
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// With something that goes wrong.
    #[must_use]
    pub fn but(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// The text in pieces: words with the blank before them.
    pub(crate) fn pieces(&self) -> Vec<&str> {
        let mut pieces = Vec::new();
        let mut rest = self.text.as_str();
        while let Some(end) = rest.get(1..).and_then(|after| after.find(' ')) {
            let (piece, after) = rest.split_at(end + 1);
            pieces.push(piece);
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(rest);
        }
        pieces
    }

    /// A number for the tokens of the answer: words.
    pub(crate) fn tokens(&self) -> u64 {
        let called = self
            .call
            .as_ref()
            .map_or(0, |(_, arguments)| 1 + words(arguments));
        words(&self.text) + words(&self.thought) + called
    }

    /// The arguments of the call.
    pub(crate) fn arguments(&self) -> Value {
        let sent = self.call.as_ref().map(|(_, arguments)| arguments.as_str());
        serde_json::from_str(sent.unwrap_or_default()).unwrap_or_else(|_| json!({}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_sum_of_its_pieces() {
        for (text, pieces) in [
            ("", vec![]),
            ("one", vec!["one"]),
            ("one two", vec!["one", " two"]),
            (" a  é b", vec![" a", " ", " é", " b"]),
        ] {
            assert_eq!(Reply::text(text).pieces(), pieces);
        }
    }
}
