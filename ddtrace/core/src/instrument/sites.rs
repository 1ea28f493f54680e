//! Every place in the program that makes spans.
//!
//! `unsafe` in this file: the link section that `linkme` puts the list into.
#![allow(unsafe_code)]

use std::sync::{Mutex, PoisonError};

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

/// Sites that are not in the program's text.
static MADE: Mutex<Made> = Mutex::new(Made {
    sites: Vec::new(),
    are_on: false,
});

struct Made {
    sites: Vec<&'static Site>,
    are_on: bool,
}

/// Keeps a site that is made at run time, for a bridge to a library that has places of its own: one per place, which are as
/// many as are written in the program. It lives as long as the program, and is switched like all others.
///
/// Nothing beyond 8192 of them: whoever makes one per call has not understood this.
pub fn keep_site(site: Site) -> Option<&'static Site> {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if made.sites.len() >= MADE_LIMIT {
        return None;
    }
    let site: &'static Site = Box::leak(Box::new(site));
    if made.are_on {
        site.switch_on();
    }
    made.sites.push(site);
    Some(site)
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
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.are_on = true;
    made.sites.iter().for_each(|site| site.switch_on());
}

/// Switches everything off everywhere.
pub(crate) fn switch_off() {
    DDTRACE_SITES.iter().for_each(Site::switch_off);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.are_on = false;
    made.sites.iter().for_each(|site| site.switch_off());
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
