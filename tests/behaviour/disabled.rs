//! With tracing switched off nothing is made and nothing is sent, and other people's traces pass through.

use crate::program::{command, number};
use ddtrace::Span;
use ddtrace::test_support::Recorder;
use ddtrace_core::trace::Site;
use ddtrace_tests::process;
use ddtrace_tests::weather::{Agent, Weather};
use std::collections::BTreeMap;

ddtrace_core::site! { static SERVE: Site = Site::new("serve", "serve", module_path!(), file!(), line!()); }

#[test]
fn nothing_is_made_and_nothing_is_sent() {
    let agent = Agent::start(Weather::Fair);
    for arguments in [
        &["runtime", "multi-thread"][..],
        &["failing"],
        &["dropped-futures"],
        &["annotated"],
        &["fork"],
    ] {
        let mut command = command(arguments, &agent.url());
        command.env("DD_TRACE_ENABLED", "false");
        let ended = process::run(&mut command);
        let report = ended.report();
        assert_eq!(
            (number(&report, "sent"), number(&report, "dropped")),
            (0, 0),
            "{ended:#?}"
        );
    }
    assert_eq!(agent.received().len(), 0);
}

#[test]
fn the_trace_of_others_passes_through() {
    let recorder = Recorder::with(|config| config.trace_enabled(false));
    let inbound: BTreeMap<String, String> = [
        ("x-datadog-trace-id", "12379814468735227512"),
        ("x-datadog-parent-id", "81985529216486895"),
        ("x-datadog-sampling-priority", "2"),
        ("x-datadog-origin", "rum"),
        ("x-datadog-tags", "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let mut span = Span::start_from(&SERVE, ddtrace::extract(&inbound));
    let mut outbound = BTreeMap::new();
    {
        let _entered = span.enter();
        ddtrace::inject(&mut outbound);
    }
    drop(span);
    for (name, value) in &inbound {
        // Tags keep no order.
        let sorted = |text: &str| {
            let mut parts: Vec<_> = text.split(',').map(str::to_owned).collect();
            parts.sort();
            parts
        };
        assert_eq!(
            outbound.get(name).map(|text| sorted(text)),
            Some(sorted(value)),
            "{name}: {outbound:?}"
        );
    }
    assert!(recorder.take().is_empty());
}
