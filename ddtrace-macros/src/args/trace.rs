//! The options of `#[trace]`.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};

use super::{Entry, Expr, Tag, Value, parse, tags};
use crate::error::{Error, Errors, Result};
use crate::tokens::Cursor;

/// Every option of `#[trace]`, in the order in which the documentation lists them.
const OPTIONS: &[&str] = &[
    "name",
    "short_name",
    "service",
    "resource",
    "span_type",
    "kind",
    "tags",
    "args",
    "args_all",
    "skip",
    "ret",
    "err",
    "parent",
    "link",
    "root",
    "enabled",
    "future",
    "stream",
    "iter",
    "enter_on_poll",
    "propagate",
    "recursive",
    "include",
    "crate",
];

/// What `#[trace(…)]` says, before it is known what it stands on.
#[derive(Clone, Default)]
pub(crate) struct TraceArgs {
    pub(crate) name: Option<Expr>,
    pub(crate) short_name: Option<Span>,
    pub(crate) service: Option<Expr>,
    pub(crate) resource: Option<Expr>,
    pub(crate) span_type: Option<Expr>,
    pub(crate) kind: Option<Kind>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) args: Vec<Ident>,
    pub(crate) args_all: Option<Span>,
    /// `skip(a, b)`: parameters that `args_all` leaves out.
    pub(crate) skip: Vec<Ident>,
    /// A bare `skip`: the item inside an annotated block that stays as it is.
    pub(crate) skip_item: Option<Span>,
    pub(crate) ret: Option<RetCapture>,
    pub(crate) err: ErrCapture,
    pub(crate) parent: Option<Expr>,
    pub(crate) link: Option<Expr>,
    pub(crate) root: Option<Span>,
    pub(crate) enabled: Option<Expr>,
    pub(crate) shape: Option<(Shape, Span)>,
    pub(crate) enter_on_poll: Option<Span>,
    /// `propagate = false` leaves calls to `tokio::spawn` and its like alone.
    pub(crate) propagate: Option<bool>,
    pub(crate) recursive: Option<Span>,
    pub(crate) include: Vec<Ident>,
    /// Where the facade is, if not at `::ddtrace`.
    pub(crate) path: Option<TokenStream>,
}

/// What the function returns, where the user says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Future,
    Stream,
    Iterator,
}

/// `span.kind`, as the variant of `ddtrace::SpanKind`.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) variant: Ident,
}

#[derive(Clone)]
pub(crate) enum RetCapture {
    /// `ret`: the value itself, with the span of the option.
    Value(Span),
    /// `ret = |r| …`: what this function makes of a reference to it.
    With(Expr),
}

/// Whether and how an `Err` that is returned marks the span.
#[derive(Clone, Default)]
pub(crate) struct ErrCapture {
    /// `err` or `err(…)` was written: the function has to return a `Result`.
    pub(crate) explicit: Option<Span>,
    /// `err = false`.
    pub(crate) off: bool,
    /// `err(handled)`: noted on the span as an exception that was dealt with.
    pub(crate) handled: bool,
    /// `err(filter = f)`: only errors for which `f(&error)` is true.
    pub(crate) filter: Option<Expr>,
}

impl TraceArgs {
    pub(crate) fn parse(tokens: TokenStream, attribute: Span) -> Result<TraceArgs> {
        let mut args = TraceArgs::default();
        let mut errors = Errors::default();
        for entry in parse(tokens, attribute)? {
            errors.note(args.take(entry));
        }
        errors.finish()?;
        Ok(args)
    }

    fn take(&mut self, entry: Entry) -> Result<()> {
        let span = entry.span();
        match entry.key.to_string().as_str() {
            "name" => self.name = Some(entry.expr("\"cart.price\"")?),
            "short_name" => self.short_name = Some(entry.flag()?),
            "service" => self.service = Some(entry.expr("\"payments\"")?),
            "resource" => self.resource = Some(entry.expr("order.id")?),
            "span_type" => self.span_type = Some(entry.expr("\"web\"")?),
            "kind" => self.kind = Some(Kind::new(&entry.expr("client")?)?),
            "tags" => match entry.value {
                Value::List(list) => self.tags = tags::parse(list.stream(), list.span())?,
                _ => return Err(Error::at(span, "`tags` needs a list: `tags(items = 3)`")),
            },
            "args" => self.args = entry.idents("the names of parameters")?,
            "args_all" => self.args_all = Some(entry.flag()?),
            "skip" => match entry.value {
                Value::None => self.skip_item = Some(span),
                _ => self.skip = entry.idents("the names of parameters")?,
            },
            "ret" => {
                self.ret = Some(match entry.value {
                    Value::None => RetCapture::Value(span),
                    Value::Expr(expr) => RetCapture::With(expr),
                    Value::List(_) => {
                        return Err(Error::at(
                            span,
                            "`ret` takes a function: `ret = |r| r.len()`",
                        ));
                    }
                });
            }
            "err" => self.err = ErrCapture::parse(entry)?,
            "parent" => self.parent = Some(entry.expr("context")?),
            "link" => self.link = Some(entry.expr("context")?),
            "root" => self.root = Some(entry.flag()?),
            "enabled" => self.enabled = Some(entry.expr("verbose()")?),
            "future" => self.set_shape(Shape::Future, entry.flag()?)?,
            "stream" => self.set_shape(Shape::Stream, entry.flag()?)?,
            "iter" => self.set_shape(Shape::Iterator, entry.flag()?)?,
            "enter_on_poll" => self.enter_on_poll = Some(entry.flag()?),
            "propagate" => self.propagate = Some(entry.boolean()?),
            "recursive" => self.recursive = Some(entry.flag()?),
            "include" => self.include = entry.idents("the names of functions or modules")?,
            "crate" => self.path = Some(path(&entry.expr("path::to::ddtrace")?)?),
            unknown => {
                return Err(Error::at(span, unknown_option(unknown)));
            }
        }
        Ok(())
    }

    fn set_shape(&mut self, shape: Shape, span: Span) -> Result<()> {
        if self.shape.is_some() {
            return Err(Error::at(
                span,
                "a function returns one of `future`, `stream` and `iter`, keep one of them",
            ));
        }
        self.shape = Some((shape, span));
        Ok(())
    }

    /// These options where they say something, else those of the block around the function.
    pub(crate) fn or(self, block: &TraceArgs) -> TraceArgs {
        fn list<T: Clone>(own: Vec<T>, outer: &[T]) -> Vec<T> {
            if own.is_empty() { outer.to_vec() } else { own }
        }
        let err = if self.err.is_default() {
            block.err.clone()
        } else {
            self.err
        };
        TraceArgs {
            short_name: match self.name {
                Some(_) => self.short_name,
                None => self.short_name.or(block.short_name),
            },
            name: self.name,
            service: self.service.or_else(|| block.service.clone()),
            resource: self.resource.or_else(|| block.resource.clone()),
            span_type: self.span_type.or_else(|| block.span_type.clone()),
            kind: self.kind.or_else(|| block.kind.clone()),
            tags: list(self.tags, &block.tags),
            args_all: match self.args.is_empty() {
                true => self.args_all.or(block.args_all),
                false => self.args_all,
            },
            args: self.args,
            skip: list(self.skip, &block.skip),
            skip_item: self.skip_item,
            ret: self.ret.or_else(|| block.ret.clone()),
            err,
            parent: self.parent,
            link: self.link,
            root: self.root.or(block.root),
            enabled: self.enabled.or_else(|| block.enabled.clone()),
            shape: self.shape,
            enter_on_poll: self.enter_on_poll.or(block.enter_on_poll),
            propagate: self.propagate.or(block.propagate),
            recursive: self.recursive,
            include: self.include,
            path: self.path.or_else(|| block.path.clone()),
        }
    }
}

impl ErrCapture {
    pub(super) fn parse(entry: Entry) -> Result<ErrCapture> {
        let span = entry.span();
        let mut err = ErrCapture {
            explicit: Some(span),
            ..ErrCapture::default()
        };
        let list = match entry.value {
            Value::None => return Ok(err),
            Value::Expr(_) => {
                if entry.boolean()? {
                    return Ok(err);
                }
                return Ok(ErrCapture {
                    off: true,
                    ..ErrCapture::default()
                });
            }
            Value::List(list) => list,
        };
        for entry in parse(list.stream(), list.span())? {
            match entry.key.to_string().as_str() {
                "handled" => {
                    entry.flag()?;
                    err.handled = true;
                }
                "filter" => err.filter = Some(entry.expr("is_serious")?),
                _ => {
                    return Err(Error::at(
                        entry.span(),
                        "expected `err(handled)` or `err(filter = is_serious)`",
                    ));
                }
            }
        }
        Ok(err)
    }

    /// Whether nothing was said about errors.
    pub(crate) fn is_default(&self) -> bool {
        self.explicit.is_none() && !self.off
    }
}

impl Kind {
    fn new(expr: &Expr) -> Result<Kind> {
        let text = expr.tokens().to_string();
        let variant = match text.trim_matches('"') {
            "internal" => "Internal",
            "server" => "Server",
            "client" => "Client",
            "producer" => "Producer",
            "consumer" => "Consumer",
            _ => {
                return Err(Error::over(
                    expr.tokens(),
                    "expected one of `internal`, `server`, `client`, `producer`, `consumer`",
                ));
            }
        };
        Ok(Kind {
            variant: Ident::new(variant, expr.span()),
        })
    }
}

/// A path such as `crate::telemetry::ddtrace`, and nothing else.
pub(crate) fn path(expr: &Expr) -> Result<TokenStream> {
    let is_path = expr.tokens().clone().into_iter().all(|token| match token {
        TokenTree::Ident(_) => true,
        TokenTree::Punct(punct) => punct.as_char() == ':',
        _ => false,
    });
    if !is_path {
        return Err(Error::over(
            expr.tokens(),
            "expected the path of the `ddtrace` crate: `crate = path::to::ddtrace`",
        ));
    }
    Ok(expr.tokens().clone())
}

/// Says which options there are, and which of them was probably meant.
fn unknown_option(unknown: &str) -> String {
    let hint = match unknown {
        "target" | "level" => Some("`enabled = …` switches a span off"),
        "fields" | "properties" => Some("tags are written `tags(key = value)`"),
        "skip_all" => Some("no argument is captured unless `args(…)` or `args_all` says so"),
        "type" | "r#type" => Some("the type of a span is `span_type`"),
        "follows_from" => Some("a link is written `link = context`"),
        "error" | "errors" => Some("errors are `err`, `err = false`, `err(handled)`"),
        _ => None,
    };
    super::unknown_option(unknown, hint, OPTIONS)
}

/// The facade's path for an attribute that may name another one.
pub(crate) fn find_path(cursor: &mut Cursor) -> Result<Option<TokenStream>> {
    let Some(key) = cursor.take_ident() else {
        return Ok(None);
    };
    if key != "crate" || cursor.take_punct('=').is_none() {
        return Err(Error::at(
            key.span(),
            "the only option is `crate = path::to::ddtrace`",
        ));
    }
    let expr = Expr::take(cursor, "a path after `crate =`")?;
    path(&expr).map(Some)
}
