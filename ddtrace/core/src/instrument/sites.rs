//! Every place in the program that makes spans.
//!
//! `unsafe` in this file: the link section that `linkme` puts the list into.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use crate::trace::Site;

/// All sites that are linked into the program, in the order of the linker.
///
/// One entry per annotated function, not per instantiation; listed does not mean reachable. [`site!`](crate::site) adds one.
///
/// Its name is that of the link section, which is why it says whose it is. The attributes write the name of the section
/// themselves, because the attribute macro of `linkme` would take the compiler longer than all the rest of an annotation.
#[linkme::distributed_slice]
pub static DDTRACE_SITES: [Site];

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
        #[$crate::instrument::linkme::distributed_slice($crate::instrument::DDTRACE_SITES)]
        #[linkme(crate = $crate::instrument::linkme)]
        $visibility static $name: $crate::trace::Site = $site;
    };
}

/// The most sites that are made at run time.
const MADE_LIMIT: usize = 8192;

/// Sites that are not in the program's text. Replaced as a whole when one is added: nobody waits, not even in the child of a fork
/// that happened meanwhile.
static MADE: ArcSwapOption<Vec<&'static Site>> = ArcSwapOption::const_empty();

/// Whether sites are switched on, for those that are made later.
static ARE_ON: AtomicBool = AtomicBool::new(false);

/// Keeps a site that is made at run time, for a bridge to a library that has places of its own: one per place, which are as
/// many as are written in the program. It lives as long as the program, and is switched like all others.
///
/// Nothing beyond 8192 of them: whoever makes one per call has not understood this.
pub fn keep_site(site: Site) -> Option<&'static Site> {
    let is_full = |sites: &Vec<_>| sites.len() >= MADE_LIMIT;
    if MADE.load().as_deref().is_some_and(is_full) {
        return None;
    }
    let site: &'static Site = Box::leak(Box::new(site));
    MADE.rcu(|sites| {
        let mut sites = sites.as_deref().cloned().unwrap_or_default();
        sites.push(site);
        Some(Arc::new(sites))
    });
    // It is in the list, so whoever switches from here on finds it; what was switched before is looked up.
    if ARE_ON.load(Ordering::SeqCst) {
        site.switch_on();
        if !ARE_ON.load(Ordering::SeqCst) {
            site.switch_off();
        }
    }
    Some(site)
}

fn for_each_made(switch: impl Fn(&Site)) {
    if let Some(sites) = &*MADE.load() {
        sites.iter().for_each(|site| switch(site));
    }
}

/// A site that is put into the list as the attributes do it. A `linkme` that called its section otherwise would leave every
/// annotated function out of the list, and only this one's absence would tell.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = "linkme_DDTRACE_SITES")]
static SENTINEL: Site = Site::new(
    "ddtrace.sentinel",
    "sentinel",
    module_path!(),
    file!(),
    line!(),
);

/// Whether what attributes write into the link section arrives in the list.
fn attributes_are_listed() -> bool {
    #[cfg(target_os = "linux")]
    return DDTRACE_SITES
        .iter()
        .any(|site| std::ptr::eq(site, &SENTINEL));
    #[cfg(not(target_os = "linux"))]
    true
}

/// Switches spans on everywhere.
pub(crate) fn switch_on() {
    if !attributes_are_listed() {
        crate::diagnostics::error(format_args!(
            "annotated functions are not listed in this program and make no spans: the linked version of the crate linkme \
             names its section otherwise than ddtrace expects"
        ));
    }
    DDTRACE_SITES.iter().for_each(Site::switch_on);
    ARE_ON.store(true, Ordering::SeqCst);
    for_each_made(Site::switch_on);
}

/// Switches everything off everywhere.
pub(crate) fn switch_off() {
    DDTRACE_SITES.iter().for_each(Site::switch_off);
    ARE_ON.store(false, Ordering::SeqCst);
    for_each_made(Site::switch_off);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_attributes_write_into_the_section_is_listed_once() {
        assert!(attributes_are_listed());
        let sentinels = DDTRACE_SITES
            .iter()
            .filter(|site| site.name() == "ddtrace.sentinel");
        assert_eq!(sentinels.count(), usize::from(cfg!(target_os = "linux")));
    }
}
