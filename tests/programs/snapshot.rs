//! One of everything that a span can hold.

use ddtrace::{Span, SpanEvent, SpanKind, SpanLink};
use ddtrace_core::trace::{Site, enter};
use std::time::{Duration, UNIX_EPOCH};

ddtrace_core::site! { static REQUEST: Site = Site::new("web.request", "request", module_path!(), file!(), line!())
.with_resource("GET /users").with_span_type("web").with_kind(SpanKind::Server); }
ddtrace_core::site! { static QUERY: Site = Site::new("db.query", "query", module_path!(), file!(), line!())
.with_resource("SELECT 1").with_service("database").with_span_type("sql").with_kind(SpanKind::Client); }
ddtrace_core::site! { static BARE: Site = Site::new("bare", "bare", module_path!(), file!(), line!()); }

#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the card was refused")
    }
}

impl std::error::Error for Refused {}

pub(crate) fn run() {
    let guard = ddtrace::init();
    let earlier = {
        let span = Span::start_root(&BARE);
        span.id()
    };
    {
        let request = enter(&REQUEST);
        request.set_tag("http.method", "GET");
        request.set_tag("http.status_code", "500");
        request.set_tag("items", 3);
        request.set_tag("ratio", 0.5);
        request.set_tag("unicode", "naïve 語 🦀 \"quoted\"\n");
        request.add_link(
            SpanLink::new(earlier)
                .with_attribute("reason", "retry")
                .with_flags(1),
        );
        let moment = UNIX_EPOCH + Duration::from_nanos(1_732_400_000_123_456_789);
        request.add_event(
            SpanEvent::at("cache.miss", moment)
                .with_attribute("key", "users")
                .with_attribute("tries", 2_i64)
                .with_attribute("warm", false),
        );
        let query = enter(&QUERY);
        query.set_error(&Refused);
        drop(query);
        let mut by_hand = Span::start(&BARE);
        by_hand.set_name("by.hand");
        by_hand.set_resource("something");
        by_hand.manual_keep();
    }
    drop(guard);
    crate::report(4);
}
