//! Spans of every sort that statistics tell apart.

use ddtrace::{Span, SpanKind};
use ddtrace_core::trace::{Site, enter};

ddtrace_core::site! { static REQUEST: Site = Site::new("web.request", "request", module_path!(), file!(), line!())
.with_resource("GET /users").with_span_type("web").with_kind(SpanKind::Server); }
ddtrace_core::site! { static QUERY: Site = Site::new("db.query", "query", module_path!(), file!(), line!())
.with_resource("SELECT 1 FROM users").with_service("database").with_span_type("sql").with_kind(SpanKind::Client); }
ddtrace_core::site! { static INSIDE: Site = Site::new("inside", "inside", module_path!(), file!(), line!()); }

/// Ten requests with a query and something internal each, every fifth of them failing; one is rejected by hand.
pub(crate) fn run() {
    let guard = ddtrace::init();
    for number in 0..10 {
        let request = enter(&REQUEST);
        request.set_tag("http.method", "GET");
        request.set_tag("http.route", "/users");
        request.set_tag("http.status_code", if number % 5 == 0 { 500 } else { 200 });
        request.set_error_flag(number % 5 == 0);
        let query = enter(&QUERY);
        query.set_tag("db.name", "users");
        drop(query);
        drop(enter(&INSIDE));
        if number == 9 {
            request.manual_drop();
        }
    }
    // The same alone counts, since it is the root.
    drop(Span::start_root(&INSIDE));
    drop(guard);
    crate::report(31);
}
