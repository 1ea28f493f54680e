//! `#[trace]` on an `impl` block or an inline module: each function inside gets a span.
//!
//! Skipped without a word, unless `include(…)` names them or they have a `#[trace]` of their own: what
//! has no body, `const fn`; in modules `main`, test functions and modules for tests; in implementations
//! of traits that the language and the standard library call all the time (`Drop`, `Debug`, operators,
//! `Future`, …) everything, because a span there would cost more than what it measures, or would record
//! itself. `#[trace(skip)]` leaves out one item, `#[trace(…)]` on an item adds to or replaces the block's
//! options.

mod items;

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;

use crate::args::TraceArgs;
use crate::check;
use crate::error::{Error, Errors, Result};
use crate::expand::{self, Mode, Scope};
use crate::function::{self, Attr, Block, Item};
use crate::layer::{self, Known, Layer, Rank};
use crate::tokens::{Angles, is_ident, is_punct, ours, regroup};
use items::Piece;

/// Expands the block and everything in it.
pub(crate) fn expand(block: &Block, args: &TraceArgs, mode: Mode) -> Result<TokenStream> {
    check::block(block, args)?;
    Annotated { args, mode }.block(block, Some(args))
}

/// The item with our attributes on its parts removed: they mean nothing without the one on the block.
pub(crate) fn without_own_attributes(item: TokenStream) -> TokenStream {
    let Ok(Item::Block(block)) = function::parse(item.clone()) else {
        return item;
    };
    let Some(contents) = &block.contents else {
        return item;
    };
    let mut out = TokenStream::new();
    for mut piece in items::split(contents.stream()) {
        piece.attrs.retain(|attr| layer::Known::of(attr).is_none());
        piece.to_tokens(&mut out);
    }
    rebuild(&block, Some(regroup(contents, out)))
}

/// Traits whose functions are not traced unless they are named.
const BUSY: &[&str] = &[
    "Add",
    "AddAssign",
    "AsMut",
    "AsRef",
    "BitAnd",
    "BitAndAssign",
    "BitOr",
    "BitOrAssign",
    "BitXor",
    "BitXorAssign",
    "Borrow",
    "BorrowMut",
    "Clone",
    "Debug",
    "Default",
    "Deref",
    "DerefMut",
    "Deserialize",
    "Display",
    "Div",
    "DivAssign",
    "DoubleEndedIterator",
    "Drop",
    "Eq",
    "ExactSizeIterator",
    "Extend",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "FromIterator",
    "Future",
    "GlobalAlloc",
    "Hash",
    "Hasher",
    "Index",
    "IndexMut",
    "Into",
    "IntoIterator",
    "Iterator",
    "LowerHex",
    "Mul",
    "MulAssign",
    "Neg",
    "Not",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Rem",
    "RemAssign",
    "Serialize",
    "Shl",
    "ShlAssign",
    "Shr",
    "ShrAssign",
    "Stream",
    "Sub",
    "SubAssign",
    "Sum",
    "UpperHex",
    "Visit",
    "Wake",
];

struct Annotated<'a> {
    args: &'a TraceArgs,
    mode: Mode,
}

impl Annotated<'_> {
    /// `own` are the options whose `include` and `recursive` count for this very block.
    fn block(&self, block: &Block, own: Option<&TraceArgs>) -> Result<TokenStream> {
        let Some(contents) = &block.contents else {
            return Ok(rebuild(block, None));
        };
        let include = own.map(|args| args.include.as_slice()).unwrap_or_default();
        let mut errors = Errors::default();
        let mut out = TokenStream::new();
        let mut unused: Vec<&Ident> = include.iter().collect();
        let inside = Inside::new(block);
        let (inner, contents_tokens) = function::attrs::hoist(contents.stream());
        for piece in items::split(contents_tokens) {
            let name = piece.name();
            let named = name.as_ref().is_some_and(|name| include.contains(name));
            unused.retain(|ident| name.as_ref() != Some(*ident));
            out.extend(errors.note(self.piece(piece, &inside, named)));
        }
        for ident in unused {
            errors.push(Error::at(
                ident.span(),
                format!("there is no `{ident}` in this block"),
            ));
        }
        errors.finish()?;
        let new = regroup(contents, out);
        let mut attrs = block.attrs.clone();
        attrs.extend(inner);
        Ok(rebuild(
            &Block {
                keyword: block.keyword.clone(),
                attrs,
                head: block.head.clone(),
                contents: None,
            },
            Some(new),
        ))
    }

    fn piece(&self, mut piece: Piece, inside: &Inside, named: bool) -> Result<TokenStream> {
        let own = take_own(&mut piece.attrs)?;
        let Some(own) = own.map_or(Some(None), |own| {
            (own.skip_item.is_none()).then_some(Some(own))
        }) else {
            return Ok(piece.into_token_stream());
        };
        let asked = own.is_some() || named;
        let source = piece.to_token_stream();
        match piece.kind.as_str() {
            "fn" => {
                let Item::Function(mut function) = function::parse(source.clone())? else {
                    return Ok(source);
                };
                if !asked && inside.skips(&function) {
                    return Ok(source);
                }
                let own = own.unwrap_or_default();
                let own_skips = !own.skip.is_empty();
                let mut args = own.or(self.args);
                if !own_skips {
                    forget_unknown_skips(&mut args, &function);
                }
                let Some(trace) = Known::named("trace") else {
                    return Ok(source);
                };
                let layer = Layer::Span(Box::new(args));
                let layers = layer::collect((trace, layer), &mut function.attrs)?;
                let scope = Scope {
                    type_name: inside.type_name.clone(),
                    more_macros: inside.more_macros,
                };
                expand::function(*function, layers, &scope, self.mode)
            }
            "impl" if inside.is_module => self.nested(source, own, true),
            "mod" if inside.is_module => {
                let recursive = asked || (self.args.recursive.is_some() && !piece.is_test());
                self.nested(source, own, recursive)
            }
            _ => match own {
                Some(_) => Err(check::other("trace", None, piece.span())),
                None => Ok(source),
            },
        }
    }

    fn nested(
        &self,
        source: TokenStream,
        own: Option<TraceArgs>,
        enter: bool,
    ) -> Result<TokenStream> {
        let Item::Block(block) = function::parse(source.clone())? else {
            return Ok(source);
        };
        if !enter || block.contents.is_none() && own.is_none() {
            return Ok(source);
        }
        match own {
            Some(own) => {
                check::block(&block, &own)?;
                let include = own.clone();
                let args = own.or(self.args);
                Annotated {
                    args: &args,
                    mode: self.mode,
                }
                .block(&block, Some(&include))
            }
            None => self.block(&block, None),
        }
    }
}

/// What is known of the block that the items are in.
struct Inside {
    is_module: bool,
    type_name: Option<String>,
    /// An implementation of one of the traits that are skipped.
    is_busy: bool,
    more_macros: bool,
}

impl Inside {
    fn new(block: &Block) -> Inside {
        let is_module = block.keyword == "mod";
        let (of, for_type) = if is_module {
            (None, None)
        } else {
            header(&block.head)
        };
        Inside {
            is_module,
            is_busy: of.is_some_and(|of| BUSY.contains(&of.as_str())),
            type_name: for_type,
            more_macros: !block.attrs.iter().all(Attr::is_inert),
        }
    }

    fn skips(&self, function: &function::Function) -> bool {
        let test = function
            .attrs
            .iter()
            .any(|attr| attr.is_cfg_test() || attr.name() == "test" || attr.name() == "bench");
        function.body.is_none()
            || function.constness.is_some()
            || self.is_busy
            || test
            || (self.is_module && function.name == "main")
    }
}

impl Piece {
    fn name(&self) -> Option<Ident> {
        let at = self
            .tokens
            .iter()
            .position(|token| is_ident(token, &self.kind))?;
        match self.tokens.get(at + 1) {
            Some(TokenTree::Ident(name)) => Some(name.clone()),
            _ => None,
        }
    }

    fn is_test(&self) -> bool {
        self.attrs.iter().any(Attr::is_cfg_test)
            || self
                .name()
                .is_some_and(|name| name == "tests" || name == "test")
    }

    fn span(&self) -> Span {
        self.tokens
            .first()
            .map_or_else(Span::call_site, TokenTree::span)
    }
}

impl ToTokens for Piece {
    fn to_tokens(&self, out: &mut TokenStream) {
        for attr in &self.attrs {
            attr.to_tokens(out);
        }
        out.extend(self.tokens.iter().cloned());
    }
}

/// Removes the item's own `#[trace(…)]`.
fn take_own(attrs: &mut Vec<Attr>) -> Result<Option<TraceArgs>> {
    let is_trace =
        |attr: &Attr| layer::Known::of(attr).is_some_and(|known| known.rank == Rank::Span);
    let Some(at) = attrs.iter().position(is_trace) else {
        return Ok(None);
    };
    let attr = attrs.remove(at);
    TraceArgs::parse(attr.arguments(), attr.span()).map(Some)
}

/// `skip(password)` on a block is for those functions that have a `password`.
fn forget_unknown_skips(args: &mut TraceArgs, function: &function::Function) {
    if !args.skip.is_empty() {
        let names = function::Params::new(&function.inputs).names();
        args.skip.retain(|skip| names.contains(skip));
    }
    if args.args_all.is_none() {
        args.skip.clear();
    }
}

fn rebuild(block: &Block, contents: Option<Group>) -> TokenStream {
    let Block { attrs, head, .. } = block;
    ours!(#(#attrs)* #(#head)* #contents)
}

/// The trait and the type of `impl<…> Trait for Type where …`, by their names.
fn header(head: &[TokenTree]) -> (Option<String>, Option<String>) {
    let start = head
        .iter()
        .position(|token| is_ident(token, "impl"))
        .map_or(0, |at| at + 1);
    let head = &head[start..];
    let mut angles = Angles::default();
    let mut begin = 0;
    // The generic parameters of the block.
    if head.first().is_some_and(|token| is_punct(token, '<')) {
        for (at, token) in head.iter().enumerate() {
            angles.see(token);
            if angles.is_outside() {
                begin = at + 1;
                break;
            }
        }
    }
    let head = &head[begin.min(head.len())..];
    let mut angles = Angles::default();
    let mut separator = None;
    let mut end = head.len();
    for (at, token) in head.iter().enumerate() {
        angles.see(token);
        if !angles.is_outside() {
            continue;
        }
        // `for<'a>` belongs to a type.
        let binder = head.get(at + 1).is_some_and(|next| is_punct(next, '<'));
        if is_ident(token, "for") && !binder {
            separator = Some(at);
        }
        if is_ident(token, "where") {
            end = at;
            break;
        }
    }
    match separator {
        Some(at) => (name(&head[..at]), name(&head[at + 1..end])),
        None => (None, name(&head[..end])),
    }
}

/// `Foo` of `crate::Foo<T>`; other types as they are written.
fn name(ty: &[TokenTree]) -> Option<String> {
    let mut name = None;
    for token in ty {
        match token {
            TokenTree::Ident(ident) => name = Some(ident.to_string()),
            TokenTree::Punct(punct) if "&:!'".contains(punct.as_char()) => {}
            TokenTree::Group(_) if name.is_none() => return Some(token.to_string()),
            _ => break,
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trait_and_the_type_of_an_impl_are_found() {
        for (source, of, ty) in [
            ("impl Foo", None, Some("Foo")),
            (
                "impl<T: Fn() -> u8> crate::m::Foo<T> where T: X",
                None,
                Some("Foo"),
            ),
            (
                "unsafe impl<'a> Drop for Foo<'a>",
                Some("Drop"),
                Some("Foo"),
            ),
            (
                "impl std::fmt::Debug for &'a Foo",
                Some("Debug"),
                Some("Foo"),
            ),
            ("impl<T> From<Vec<T>> for [T]", Some("From"), Some("[T]")),
            ("impl Foo<for<'a> fn(&'a u8)>", None, Some("Foo")),
        ] {
            let tokens: TokenStream = source.parse().unwrap();
            let head: Vec<TokenTree> = tokens.into_iter().collect();
            let (found_of, found_ty) = header(&head);
            assert_eq!(
                (found_of.as_deref(), found_ty.as_deref()),
                (of, ty),
                "{source}"
            );
        }
    }
}
