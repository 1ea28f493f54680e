//! The place in the source that a span comes from.
//!
//! One static [`Site`] per annotated function. `linkme` collects them all into [`DDTRACE_SITES`](crate::instrument::DDTRACE_SITES), so
//! that `init()` finds each and sets its word. The word is the only thing that an expansion looks at when everything is off:
//! one relaxed load.

use std::sync::atomic::{AtomicU32, Ordering};

use super::service::ServiceId;

/// Bits of a site's word; the upper half is the number of the service that the site names.
pub(crate) mod bits {
    /// Spans are made here.
    pub(crate) const TRACE: u32 = 1;
}

const SERVICE_SHIFT: u32 = 16;

/// What a span does for its caller, as in the tag `span.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpanKind {
    /// Work inside the service.
    Internal,
    /// Answers a request from elsewhere.
    Server,
    /// Sends a request elsewhere and waits.
    Client,
    /// Sends a message.
    Producer,
    /// Takes a message.
    Consumer,
}

impl SpanKind {
    /// The tag's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// A static description of the spans that one place in the source makes.
///
/// The attributes write one per function; integrations write one per kind of span:
///
/// ```
/// use ddtrace_core::trace::{Site, SpanKind};
///
/// static QUERY: Site = Site::new("postgres.query", "query", module_path!(), file!(), line!())
///     .with_span_type("sql")
///     .with_kind(SpanKind::Client)
///     .with_component("sqlx");
/// assert_eq!(QUERY.name(), "postgres.query");
/// ```
///
/// `init()` switches on the sites that are in [`DDTRACE_SITES`](crate::instrument::DDTRACE_SITES); [`site!`](crate::site) declares one that is.
#[derive(Debug)]
pub struct Site {
    name: &'static str,
    function: &'static str,
    module: &'static str,
    file: &'static str,
    line: u32,
    kind: Option<SpanKind>,
    resource: Option<&'static str>,
    service: Option<&'static str>,
    span_type: Option<&'static str>,
    component: Option<&'static str>,
    word: AtomicU32,
}

impl Site {
    /// A site with an operation name and its place; everything else is left to defaults.
    pub const fn new(
        name: &'static str,
        function: &'static str,
        module: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        Self {
            name,
            function,
            module,
            file,
            line,
            kind: None,
            resource: None,
            service: None,
            span_type: None,
            component: None,
            word: AtomicU32::new(0),
        }
    }

    /// Sets the resource; without it, it equals the name.
    #[must_use]
    pub const fn with_resource(mut self, resource: &'static str) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Sets the service; without it, it is the parent's.
    #[must_use]
    pub const fn with_service(mut self, service: &'static str) -> Self {
        self.service = Some(service);
        self
    }

    /// Sets the span's type, for example `web` or `sql`.
    #[must_use]
    pub const fn with_span_type(mut self, span_type: &'static str) -> Self {
        self.span_type = Some(span_type);
        self
    }

    /// Sets the tag `span.kind`.
    #[must_use]
    pub const fn with_kind(mut self, kind: SpanKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Sets the tag `component`: the integration that makes these spans.
    #[must_use]
    pub const fn with_component(mut self, component: &'static str) -> Self {
        self.component = Some(component);
        self
    }

    /// The operation name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The function that was annotated.
    pub const fn function(&self) -> &'static str {
        self.function
    }

    /// The module path of the function.
    pub const fn module(&self) -> &'static str {
        self.module
    }

    /// The source file, as the compiler was given it.
    pub const fn file(&self) -> &'static str {
        self.file
    }

    /// The line of the attribute or the function.
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// The tag `span.kind`, if the site sets it.
    pub const fn kind(&self) -> Option<SpanKind> {
        self.kind
    }

    /// The resource, if the site sets it.
    pub const fn resource(&self) -> Option<&'static str> {
        self.resource
    }

    /// The service, if the site sets it.
    pub const fn service(&self) -> Option<&'static str> {
        self.service
    }

    /// The span's type, if the site sets it.
    pub const fn span_type(&self) -> Option<&'static str> {
        self.span_type
    }

    /// The integration, if the site names one.
    pub const fn component(&self) -> Option<&'static str> {
        self.component
    }

    /// Whether anything is switched on here. One relaxed load.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.word() != 0
    }

    #[inline]
    pub(crate) fn word(&self) -> u32 {
        self.word.load(Ordering::Relaxed)
    }

    /// Switches spans on.
    pub(crate) fn switch_on(&self) {
        let service = self
            .service
            .map_or(ServiceId::GLOBAL, super::service::intern);
        self.word.store(
            bits::TRACE | (u32::from(service.0) << SERVICE_SHIFT),
            Ordering::Relaxed,
        );
    }

    /// Switches everything off.
    pub(crate) fn switch_off(&self) {
        self.word.store(0, Ordering::Relaxed);
    }

    /// The service that a site's word names.
    #[inline]
    pub(crate) const fn service_of(word: u32) -> ServiceId {
        ServiceId((word >> SERVICE_SHIFT) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_carries_switch_and_service() {
        static SITE: Site = Site::new("a", "a", "m", "f", 1).with_service("site-test");
        assert!(!SITE.is_on());
        SITE.switch_on();
        assert!(SITE.is_on());
        let service = Site::service_of(SITE.word());
        assert_eq!(
            super::super::service::name(service).as_deref(),
            Some("site-test")
        );
        SITE.switch_off();
        assert!(!SITE.is_on());
    }
}
