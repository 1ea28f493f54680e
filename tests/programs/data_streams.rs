//! Messages that are passed on, as Data Streams Monitoring sees them.

use std::collections::HashMap;

use ddtrace::data_streams as dsm;
use ddtrace::{Context, Span};
use ddtrace_core::trace::{Site, enter};
use serde_json::json;

ddtrace_core::site! { static HANDLE: Site = Site::new("handle", "handle", module_path!(), file!(), line!()); }

type Headers = HashMap<String, String>;

/// One message is produced, consumed within a span, and produces two more, one of them on another thread. Says which hashes
/// there were.
pub(crate) fn run() {
    let guard = ddtrace::init();
    let mut order = Headers::new();
    let first = dsm::produce("kafka", "orders")
        .payload_size(100)
        .into(&mut order);

    let mut handling = Span::start_root(&HANDLE);
    let entered = handling.enter();
    let consumed = dsm::consume("kafka", "orders")
        .group("billing")
        .manual(false)
        .payload_size(149)
        .from(&order);
    let mut invoice = Headers::new();
    let here = dsm::produce("kafka", "invoices").into(&mut invoice);
    let context = Context::current();
    let elsewhere = std::thread::spawn(move || {
        let _attached = context.attach();
        let _span = enter(&HANDLE);
        dsm::produce("kafka", "shipping").without_headers()
    });
    let elsewhere = elsewhere.join().expect("it does not panic");
    drop(entered);
    drop(handling);
    // The pathway of the span is over; that of the thread goes on.
    let current = dsm::current_pathway();

    dsm::kafka_produce_offset("orders", 0, 7, Some("c1"));
    dsm::kafka_commit_offset("billing", "orders", 0, 5, None);
    dsm::track_transaction("order-1", "billed");
    drop(guard);
    let hash = |pathway: Option<dsm::Pathway>| pathway.map(|pathway| pathway.hash().to_string());
    crate::report_with(
        2,
        json!({
            "first": hash(first), "consumed": hash(consumed), "here": hash(here),
            "elsewhere": hash(elsewhere), "current": hash(current),
            "header": order.get("dd-pathway-ctx-base64"),
        }),
    );
}
