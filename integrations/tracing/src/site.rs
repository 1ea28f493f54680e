//! One site per place in the source that makes tracing spans.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use ddtrace_core::instrument::keep_site;
use ddtrace_core::trace::Site;
use tracing::Metadata;

type Sites = HashMap<usize, Option<&'static Site>>;

/// By the address of the metadata, which is static.
static SITES: ArcSwapOption<Sites> = ArcSwapOption::const_empty();

/// The site of a span's metadata. Nothing if there are too many.
pub(crate) fn of(metadata: &'static Metadata<'static>) -> Option<&'static Site> {
    let key = std::ptr::from_ref(metadata).addr();
    if let Some(site) = SITES.load().as_ref().and_then(|sites| sites.get(&key)) {
        return *site;
    }
    add(key, metadata)
}

#[cold]
fn add(key: usize, metadata: &'static Metadata<'static>) -> Option<&'static Site> {
    let site = Site::new(
        metadata.name(),
        metadata.name(),
        metadata.module_path().unwrap_or(metadata.target()),
        metadata.file().unwrap_or_default(),
        metadata.line().unwrap_or_default(),
    );
    let made = keep_site(site.with_component("tracing"));
    let mut kept = made;
    SITES.rcu(|sites| {
        let mut sites = sites.as_deref().cloned().unwrap_or_default();
        // Another thread may have been first; the one made here is then not used.
        kept = *sites.entry(key).or_insert(made);
        Arc::new(sites)
    });
    kept
}
