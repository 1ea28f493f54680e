//! The options of `#[dsm_checkpoint]`.

use proc_macro2::{Ident, Span, TokenStream};

use super::trace::path;
use super::{Entry, Expr, Tag, Value, parse, tags};
use crate::error::{Error, Errors, Result};

/// Every option, in the order in which the documentation lists them.
const OPTIONS: &[&str] = &[
    "type", "topic", "carrier", "group", "payload", "tags", "manual", "at", "span", "crate",
];

/// Which way the message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Consume,
    Produce,
}

/// What `#[dsm_checkpoint(…)]` says.
pub(crate) struct CheckpointArgs {
    pub(crate) direction: Direction,
    /// The word that says the direction.
    pub(crate) word: Ident,
    /// `type = …`
    pub(crate) system: Expr,
    pub(crate) topic: Expr,
    pub(crate) carrier: Option<Expr>,
    pub(crate) group: Option<Expr>,
    pub(crate) payload: Option<Expr>,
    pub(crate) tags: Vec<Tag>,
    /// `manual = false` leaves the tag `manual_checkpoint:true` out.
    pub(crate) manual: bool,
    /// `at = end`, with the word.
    pub(crate) at_end: Option<Span>,
    /// `span = true`.
    pub(crate) span: bool,
    /// Where the facade is, if not at `::ddtrace`.
    pub(crate) path: Option<TokenStream>,
}

/// The same while it is being read: what is mandatory may be missing yet.
#[derive(Default)]
struct Draft {
    system: Option<Expr>,
    topic: Option<Expr>,
    carrier: Option<Expr>,
    group: Option<Expr>,
    payload: Option<Expr>,
    tags: Vec<Tag>,
    not_manual: bool,
    at_end: Option<Span>,
    span: bool,
    path: Option<TokenStream>,
}

impl CheckpointArgs {
    pub(crate) fn parse(tokens: TokenStream, attribute: Span) -> Result<CheckpointArgs> {
        let mut entries = parse(tokens, attribute)?.into_iter();
        let (direction, word) = direction(entries.next(), attribute)?;
        let mut draft = Draft::default();
        let mut errors = Errors::default();
        for entry in entries {
            errors.note(draft.take(entry, direction));
        }
        let mut needed = |given: Option<Expr>, example: &str| {
            if given.is_none() {
                errors.push(Error::at(
                    word.span(),
                    format!(
                        "a checkpoint needs `{example}`: it is a part of the pathway's identity"
                    ),
                ));
            }
            given
        };
        let system = needed(draft.system.take(), "type = \"kafka\"");
        let topic = needed(draft.topic.take(), "topic = \"orders\"");
        errors.finish()?;
        match (system, topic) {
            (Some(system), Some(topic)) => Ok(CheckpointArgs {
                direction,
                word,
                system,
                topic,
                carrier: draft.carrier,
                group: draft.group,
                payload: draft.payload,
                tags: draft.tags,
                manual: !draft.not_manual,
                at_end: draft.at_end,
                span: draft.span,
                path: draft.path,
            }),
            _ => Err(Error::at(
                word.span(),
                "a checkpoint needs `type` and `topic`",
            )),
        }
    }
}

/// The first word of the list.
fn direction(first: Option<Entry>, attribute: Span) -> Result<(Direction, Ident)> {
    const WANTED: &str = "say first which way the message goes: `#[dsm_checkpoint(consume, …)]` or \
                          `#[dsm_checkpoint(produce, …)]`";
    let Some(entry) = first else {
        return Err(Error::at(attribute, WANTED));
    };
    let direction = match entry.key.to_string().as_str() {
        "consume" => Direction::Consume,
        "produce" => Direction::Produce,
        _ => return Err(Error::at(entry.span(), WANTED)),
    };
    entry.flag()?;
    Ok((direction, entry.key))
}

impl Draft {
    fn take(&mut self, entry: Entry, direction: Direction) -> Result<()> {
        let span = entry.span();
        match entry.key.to_string().as_str() {
            "type" | "r#type" => self.system = Some(entry.expr("\"kafka\"")?.or_argument()),
            "topic" => self.topic = Some(entry.expr("message.topic()")?.or_argument()),
            "carrier" => self.carrier = Some(entry.expr("message.headers()")?),
            "group" => self.group = Some(entry.expr("\"billing\"")?.or_argument()),
            "payload" => self.payload = Some(entry.expr("message.body")?),
            "tags" => match entry.value {
                Value::List(list) => self.tags = tags::parse(list.stream(), list.span())?,
                _ => {
                    return Err(Error::at(
                        span,
                        "`tags` needs a list: `tags(\"exchange\" = exchange)`",
                    ));
                }
            },
            "manual" => self.not_manual = !entry.boolean()?,
            "span" => self.span = entry.boolean()?,
            "at" => {
                let place = entry.expr("end")?;
                match (place.tokens().to_string().as_str(), direction) {
                    ("start", _) => {}
                    ("end", Direction::Produce) => self.at_end = Some(place.span()),
                    ("end", Direction::Consume) => {
                        return Err(Error::at(
                            place.span(),
                            "what is consumed has arrived before the function begins: `at = end` is for `produce`",
                        ));
                    }
                    _ => {
                        return Err(Error::over(
                            place.tokens(),
                            "a checkpoint is passed `at = start` or `at = end` of the function",
                        ));
                    }
                }
            }
            "crate" => self.path = Some(path(&entry.expr("path::to::ddtrace")?)?),
            "consume" | "produce" => {
                return Err(Error::at(
                    span,
                    "a message goes one way: keep one of `consume` and `produce`, at the beginning",
                ));
            }
            unknown => return Err(Error::at(span, unknown_option(unknown))),
        }
        Ok(())
    }
}

/// Says which options there are, and which of them was probably meant.
fn unknown_option(unknown: &str) -> String {
    let hint = match unknown {
        "system" | "kind" => Some("the system is `type = \"kafka\"`"),
        "queue" | "stream" | "subject" | "source" | "target" => {
            Some("topics, queues and streams are all `topic`")
        }
        "headers" => Some("what the pathway travels in is the `carrier`"),
        "payload_size" | "size" => Some("`payload = message.body` measures it"),
        "manual_checkpoint" => Some("it is written `manual = false`"),
        _ => None,
    };
    super::unknown_option(unknown, hint, OPTIONS)
}
