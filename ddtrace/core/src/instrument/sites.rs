//! Every place in the program that makes spans.
//!
//! `unsafe` in this file: the link section that `linkme` puts the list into.
#![allow(unsafe_code)]

use crate::trace::Site;

/// All sites that are linked into the program, in the order of the linker.
///
/// One entry per annotated function, not per instantiation; listed does not mean reachable. [`site!`](crate::site) adds one.
#[linkme::distributed_slice]
pub static SITES: [Site];

/// Declares a static [`Site`](crate::trace::Site) that `init()` switches on with all others.
///
/// ```
/// use ddtrace_core::trace::{Site, SpanKind};
///
/// ddtrace_core::site! {
///     /// One statement.
///     static QUERY: Site = Site::new("postgres.query", "query", module_path!(), file!(), line!())
///         .with_kind(SpanKind::Client);
/// }
/// # let _ = &QUERY;
/// ```
#[macro_export]
macro_rules! site {
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: Site = $site:expr;) => {
        $(#[$attribute])*
        #[$crate::instrument::linkme::distributed_slice($crate::instrument::SITES)]
        #[linkme(crate = $crate::instrument::linkme)]
        $visibility static $name: $crate::trace::Site = $site;
    };
}

/// Switches spans on everywhere.
pub(crate) fn switch_on() {
    SITES.iter().for_each(Site::switch_on);
}

/// Switches everything off everywhere.
pub(crate) fn switch_off() {
    SITES.iter().for_each(Site::switch_off);
}
