//! What the user did wrong, with the token at fault.

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// One or more messages, each with the tokens that its arrow covers.
#[derive(Debug)]
pub(crate) struct Error {
    messages: Vec<Message>,
}

#[derive(Debug)]
struct Message {
    start: Span,
    end: Span,
    text: String,
}

impl Error {
    /// An error that points at one token.
    pub(crate) fn at(span: Span, text: impl Into<String>) -> Error {
        Error {
            messages: vec![Message {
                start: span,
                end: span,
                text: text.into(),
            }],
        }
    }

    /// An error that points at everything from the first to the last of these tokens.
    pub(crate) fn over(tokens: &TokenStream, text: impl Into<String>) -> Error {
        let mut spans = tokens.clone().into_iter().map(|token| token.span());
        let start = spans.next().unwrap_or_else(Span::call_site);
        let end = spans.last().unwrap_or(start);
        Error {
            messages: vec![Message {
                start,
                end,
                text: text.into(),
            }],
        }
    }

    /// Both messages are shown, so that nobody has to compile once per mistake.
    pub(crate) fn and(mut self, other: Error) -> Error {
        self.messages.extend(other.messages);
        self
    }

    /// `::core::compile_error! { "…" }` for each message.
    ///
    /// rustc underlines from the first token of the invocation to its last one, so those two carry
    /// the spans of the user's tokens.
    pub(crate) fn into_compile_error(self) -> TokenStream {
        let mut out = TokenStream::new();
        for message in self.messages {
            let Message { start, end, text } = message;
            let mut literal = Literal::string(&text);
            literal.set_span(end);
            let mut braces = Group::new(
                Delimiter::Brace,
                TokenStream::from(TokenTree::from(literal)),
            );
            braces.set_span(end);
            let punct = |character, spacing| {
                let mut punct = Punct::new(character, spacing);
                punct.set_span(start);
                TokenTree::from(punct)
            };
            out.extend([
                punct(':', Spacing::Joint),
                punct(':', Spacing::Alone),
                Ident::new("core", start).into(),
                punct(':', Spacing::Joint),
                punct(':', Spacing::Alone),
                Ident::new("compile_error", start).into(),
                punct('!', Spacing::Alone),
                braces.into(),
            ]);
        }
        out
    }
}

/// Gathers the errors of several steps and fails at the end if there was one.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        self.0 = Some(match self.0.take() {
            Some(earlier) => earlier.and(error),
            None => error,
        });
    }

    /// The value of a step, or nothing after its error has been noted.
    pub(crate) fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn finish(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
