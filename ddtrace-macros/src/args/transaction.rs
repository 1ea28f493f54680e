//! The options of `#[dsm_transaction]`.

use proc_macro2::{Span, TokenStream};

use super::trace::path;
use super::{Entry, Expr, parse};
use crate::error::{Error, Errors, Result};

/// Every option, in the order in which the documentation lists them.
const OPTIONS: &[&str] = &["checkpoint", "id", "crate"];

/// What `#[dsm_transaction(…)]` says.
pub(crate) struct TransactionArgs {
    pub(crate) checkpoint: Expr,
    pub(crate) id: Expr,
    /// Where the facade is, if not at `::ddtrace`.
    pub(crate) path: Option<TokenStream>,
}

/// The same while it is being read.
#[derive(Default)]
struct Draft {
    checkpoint: Option<Expr>,
    id: Option<Expr>,
    path: Option<TokenStream>,
}

impl TransactionArgs {
    pub(crate) fn parse(tokens: TokenStream, attribute: Span) -> Result<TransactionArgs> {
        let mut draft = Draft::default();
        let mut errors = Errors::default();
        let entries = parse(tokens, attribute)?;
        // One that is given and wrong is said to be wrong, not to be missing.
        let is_given = |key: &str| entries.iter().any(|entry| entry.key == key);
        let given = (is_given("checkpoint"), is_given("id"));
        for entry in entries {
            errors.note(draft.take(entry));
        }
        for (is_given, needed) in [
            (given.0, "where a transaction is: `checkpoint = \"paid\"`"),
            (given.1, "which transaction it is: `id = order.id`"),
        ] {
            if !is_given {
                errors.push(Error::at(
                    attribute,
                    format!("`#[dsm_transaction]` has to be told {needed}"),
                ));
            }
        }
        errors.finish()?;
        match (draft.checkpoint, draft.id) {
            (Some(checkpoint), Some(id)) => Ok(TransactionArgs {
                checkpoint,
                id,
                path: draft.path,
            }),
            _ => Err(Error::at(
                attribute,
                "`#[dsm_transaction]` needs `checkpoint` and `id`",
            )),
        }
    }
}

impl Draft {
    fn take(&mut self, entry: Entry) -> Result<()> {
        let span = entry.span();
        match entry.key.to_string().as_str() {
            "checkpoint" => {
                let name = entry.expr("\"paid\"")?;
                if let Some(text) = name.as_text().filter(|text| text.to_string() == "\"\"") {
                    return Err(Error::at(
                        text.span(),
                        "a checkpoint needs a name: transactions are looked up by it",
                    ));
                }
                self.checkpoint = Some(name);
            }
            "id" => {
                let id = entry.expr("order.id")?.or_argument();
                if let Some(text) = id.as_text() {
                    return Err(Error::at(
                        text.span(),
                        "every call would be the same transaction: the `id` is an expression over the parameters",
                    ));
                }
                self.id = Some(id);
            }
            "crate" => self.path = Some(path(&entry.expr("path::to::ddtrace")?)?),
            unknown => return Err(Error::at(span, unknown_option(unknown))),
        }
        Ok(())
    }
}

/// Says which options there are, and which of them was probably meant.
fn unknown_option(unknown: &str) -> String {
    let hint = match unknown {
        "name" | "stage" | "step" => Some("the place that is passed is the `checkpoint`"),
        "transaction" | "transaction_id" | "key" => {
            Some("what tells transactions apart is the `id`")
        }
        _ => None,
    };
    super::unknown_option(unknown, hint, OPTIONS)
}
