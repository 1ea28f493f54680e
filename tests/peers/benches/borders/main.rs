//! What it costs to read and write context, style by style, and to decide about a trace, beside the official tracer.
//!
//! Both sides work on the same `http::HeaderMap` with the same headers, at the same level: the propagator, without the span
//! that follows. Baggage is OpenTelemetry's own in the peer. The peer's sampler cannot be called by itself: its figure is
//! what a root span costs with so many rules, less what it costs with none; ours is [`Sampler::decide`] alone.
//!
//! Rounds go over both sides in turn, and the least of all rounds counts, so that a busy moment of the machine does not.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use datadog_opentelemetry::configuration::{Config, SamplingRuleConfig, TracePropagationStyle};
use datadog_opentelemetry::propagation::carrier::{Extractor, Injector};
use datadog_opentelemetry::propagation::context::{InjectSpanContext, SpanContext};
use datadog_opentelemetry::propagation::{DatadogCompositePropagator, ExtractResult};
use ddtrace_core::propagation::{Baggage, InjectContext, PropagationTags, Propagator, Style};
use ddtrace_core::sampling::{RuleSet, Sampler, SamplingSubject};
use ddtrace_core::trace::{SpanId, TraceId};
use ddtrace_peers::meter;
use ddtrace_peers::sink::Sink;
use ddtrace_peers::table::{Table, number};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::BaggagePropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;

#[global_allocator]
static ALLOCATOR: meter::Counting = meter::Counting;

/// Calls in a burst, and bursts.
const CALLS: u32 = 500;
const ROUNDS: u32 = 300;

/// Nanoseconds and allocations of a call, ours and the peer's.
#[derive(Clone, Copy)]
struct Cost {
    nanoseconds: f64,
    allocations: f64,
}

/// What two pieces of work cost, measured in turn.
fn compare(mut ours: impl FnMut(), mut theirs: impl FnMut()) -> [Cost; 2] {
    let mut least = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (least, work) in least
            .iter_mut()
            .zip([&mut ours as &mut dyn FnMut(), &mut theirs])
        {
            let start = Instant::now();
            for _ in 0..CALLS {
                work();
            }
            *least = start.elapsed().min(*least);
        }
    }
    let allocations = [&mut ours as &mut dyn FnMut(), &mut theirs].map(|work| {
        let (own, _) = meter::allocations(|| (0..CALLS).for_each(|_| work()), || {});
        own.count as f64 / f64::from(CALLS)
    });
    [0, 1].map(|side| Cost {
        nanoseconds: least[side].as_nanos() as f64 / f64::from(CALLS),
        allocations: allocations[side],
    })
}

fn row(table: &mut Table, name: &str, [ours, theirs]: [Cost; 2]) {
    table.row(
        name,
        vec![
            number(ours.nanoseconds),
            number(theirs.nanoseconds),
            number(ours.nanoseconds / theirs.nanoseconds),
            number(ours.allocations),
            number(theirs.allocations),
        ],
    );
}

const COLUMNS: [&str; 5] = [
    "ours ns",
    "datadog-opentelemetry ns",
    "ratio",
    "ours allocations",
    "its allocations",
];

/// A carrier of the peer's.
struct Headers(HeaderMap);

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values: Vec<_> = self
            .0
            .get_all(key)
            .iter()
            .flat_map(HeaderValue::to_str)
            .collect();
        (!values.is_empty()).then_some(values)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(key.as_bytes()), value.parse()) {
            self.0.insert(name, value);
        }
    }
}

impl opentelemetry::propagation::Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

impl opentelemetry::propagation::Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        Injector::set(self, key, value);
    }
}

/// What a browser sends beside the context, so that looking for headers has something to look through.
const OTHERS: [(&str, &str); 6] = [
    ("host", "shop.example"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, br"),
    ("content-type", "application/json"),
    ("content-length", "128"),
];

const DATADOG: [(&str, &str); 5] = [
    ("x-datadog-trace-id", "1311768467284833366"),
    ("x-datadog-parent-id", "9876543210987654321"),
    ("x-datadog-sampling-priority", "2"),
    ("x-datadog-origin", "synthetics"),
    (
        "x-datadog-tags",
        "_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000,_dd.p.usr.id=YQ==",
    ),
];

const W3C: [(&str, &str); 2] = [
    (
        "traceparent",
        "00-640cfd8d0000000012345678901234d6-891087b8d3a4f1b1-01",
    ),
    (
        "tracestate",
        "dd=s:2;o:synthetics;t.dm:-4;t.usr.id:YQ~~,foo=1,bar=2",
    ),
];

const B3_MULTI: [(&str, &str); 3] = [
    ("x-b3-traceid", "640cfd8d0000000012345678901234d6"),
    ("x-b3-spanid", "891087b8d3a4f1b1"),
    ("x-b3-sampled", "1"),
];

const B3: [(&str, &str); 1] = [("b3", "640cfd8d0000000012345678901234d6-891087b8d3a4f1b1-1")];

const BAGGAGE: [(&str, &str); 1] = [("baggage", "user.id=u-1,tier=gold,serverNode=DF%2028")];

fn headers(of_context: &[(&'static str, &'static str)]) -> HeaderMap {
    let all = OTHERS.iter().chain(of_context);
    all.map(|&(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    })
    .collect()
}

/// A row: its name, the headers that are read, and the style on both sides.
type Row = (
    &'static str,
    Vec<(&'static str, &'static str)>,
    Vec<Style>,
    Vec<TracePropagationStyle>,
);

fn rows() -> Vec<Row> {
    use TracePropagationStyle as Theirs;
    let both = vec![Style::Datadog, Style::TraceContext];
    let both_there = vec![Theirs::Datadog, Theirs::TraceContext];
    vec![
        (
            "datadog",
            DATADOG.into(),
            vec![Style::Datadog],
            vec![Theirs::Datadog],
        ),
        (
            "tracecontext",
            W3C.into(),
            vec![Style::TraceContext],
            vec![Theirs::TraceContext],
        ),
        (
            "b3multi",
            B3_MULTI.into(),
            vec![Style::B3Multi],
            vec![Theirs::B3Multi],
        ),
        (
            "b3",
            B3.into(),
            vec![Style::B3],
            vec![Theirs::B3SingleHeader],
        ),
        (
            "datadog,tracecontext",
            [&DATADOG[..], &W3C].concat(),
            both.clone(),
            both_there.clone(),
        ),
        ("the same, nothing there", Vec::new(), both, both_there),
    ]
}

fn their_propagator(styles: &[TracePropagationStyle]) -> DatadogCompositePropagator<Config> {
    let mut config = Config::builder();
    config.set_trace_propagation_style(styles.to_vec());
    DatadogCompositePropagator::new(Arc::new(config.build()))
}

fn their_context(
    propagator: &DatadogCompositePropagator<Config>,
    headers: &Headers,
) -> Option<SpanContext> {
    match propagator.extract(headers) {
        ExtractResult::Continue(context) => Some(context),
        _ => None,
    }
}

fn styles() {
    let mut reading = Table::new("reading a context, per call: least", &COLUMNS);
    let mut writing = Table::new("writing it into empty headers, per call: least", &COLUMNS);
    for (name, pairs, ours, theirs) in rows() {
        let inbound = Headers(headers(&pairs));
        let here = Propagator::new(&ours, &ours);
        let there = their_propagator(&theirs);
        let costs = compare(
            || drop(black_box(here.extract(black_box(&inbound.0)))),
            || drop(black_box(their_context(&there, black_box(&inbound)))),
        );
        row(&mut reading, name, costs);

        let Some(context) = here.extract(&inbound.0).context else {
            continue;
        };
        let mut copy = their_context(&there, &inbound).expect("the peer finds it as well");
        assert_eq!(u128::from(context.trace_id), copy.trace_id, "{name}");
        // As of a local span, which it mostly is.
        let mut local = InjectContext::remote(&context);
        local.is_remote = false;
        copy.is_remote = false;
        // The peer is given none either: it has a type for it that only it can make.
        local.tracestate = None;
        let costs = compare(
            || {
                let mut outbound = HeaderMap::with_capacity(12);
                here.inject(black_box(&local), &mut outbound);
                black_box(outbound);
            },
            || {
                let mut outbound = Headers(HeaderMap::with_capacity(12));
                let mut context = InjectSpanContext {
                    trace_id: copy.trace_id,
                    span_id: copy.span_id,
                    sampling: copy.sampling,
                    origin: copy.origin.as_deref(),
                    tags: &mut copy.tags,
                    is_remote: false,
                    tracestate: None,
                    ot_member: None,
                };
                there.inject(black_box(&mut context), &mut outbound);
                black_box(outbound.0);
            },
        );
        row(&mut writing, name, costs);
    }

    let inbound = Headers(headers(&BAGGAGE));
    let here = Propagator::new(&[Style::Baggage], &[Style::Baggage]);
    let there = BaggagePropagator::new();
    let costs = compare(
        || drop(black_box(here.extract(black_box(&inbound.0)))),
        || {
            drop(black_box(
                there.extract_with_context(&Context::new(), black_box(&inbound)),
            ))
        },
    );
    row(&mut reading, "baggage, 3 items", costs);
    let items = [
        ("user.id", "u-1"),
        ("tier", "gold"),
        ("serverNode", "DF 28"),
    ];
    let baggage: Baggage = items.into_iter().collect();
    let tags = PropagationTags::default();
    let mut context = InjectContext::new(TraceId::default(), SpanId::default(), &tags);
    context.baggage = Some(&baggage);
    let theirs = items.map(|(key, value)| KeyValue::new(key, value));
    let theirs = Context::new().with_baggage(theirs);
    let costs = compare(
        || {
            let mut outbound = HeaderMap::with_capacity(12);
            here.inject(black_box(&context), &mut outbound);
            black_box(outbound);
        },
        || {
            let mut outbound = Headers(HeaderMap::with_capacity(12));
            there.inject_context(black_box(&theirs), &mut outbound);
            black_box(outbound.0);
        },
    );
    row(&mut writing, "baggage, 3 items", costs);
    reading.print();
    writing.print();
}

/// Rules of which only the last one matches.
fn patterns(count: usize) -> Vec<String> {
    let others = (1..count).map(|number| format!("other-{number}-*"));
    others
        .chain((count > 0).then(|| "ben*".to_owned()))
        .collect()
}

fn our_sampler(rules: usize) -> Sampler {
    let rules: Vec<_> = patterns(rules)
        .iter()
        .map(|service| format!(r#"{{"service":"{service}","sample_rate":0.5}}"#))
        .collect();
    let (rules, errors) = RuleSet::parse(&format!("[{}]", rules.join(",")));
    assert!(errors.is_empty());
    Sampler::new(rules, -1)
}

fn their_provider(rules: usize, agent: &str) -> SdkTracerProvider {
    let rules = patterns(rules)
        .into_iter()
        .map(|service| SamplingRuleConfig {
            sample_rate: 0.5,
            service: Some(service),
            ..SamplingRuleConfig::default()
        });
    let mut config = Config::builder();
    config
        .set_service("bench".to_owned())
        .set_trace_agent_url(agent.to_owned())
        .set_trace_rate_limit(-1)
        .set_trace_sampling_rules(rules.collect());
    let tracing = datadog_opentelemetry::tracing().with_config(config.build());
    tracing.init_local().0
}

fn sampling() {
    let sink = Sink::start().expect("a free port");
    let mut table = Table::new("deciding about a trace, per call: least", &COLUMNS);
    let mut without = None;
    for rules in [0, 1, 10, 100] {
        let sampler = our_sampler(rules);
        let provider = their_provider(rules, &sink.url());
        let tracer = provider.tracer("bench");
        let mut id = 0_u64;
        let [ours, mut theirs] = compare(
            || {
                id = id.wrapping_add(0x9e37_79b9_7f4a_7c15);
                black_box(sampler.decide(black_box(&SamplingSubject {
                    trace_id_low: id,
                    service: "bench",
                    env: "",
                    name: "root",
                    resource: "root",
                    tags: &(),
                })));
            },
            || drop(black_box(tracer.start("root"))),
        );
        // A root span costs something without any rule.
        let base = *without.get_or_insert(theirs);
        let name = match rules {
            0 => "no rule (the peer's: the whole span)".to_owned(),
            1 => "1 rule".to_owned(),
            many => format!("{many} rules, the last matches"),
        };
        if rules > 0 {
            theirs.nanoseconds -= base.nanoseconds;
            theirs.allocations -= base.allocations;
        }
        row(&mut table, &name, [ours, theirs]);
        provider.shutdown().expect("the peer stops");
    }
    table.print();
}

const HELP: &str = "\
cargo bench --manifest-path tests/peers/Cargo.toml --bench borders -- [PART]...

parts   styles     reading and writing context, style by style
        sampling   a decision with 1, 10 and 100 rules
without a part: both
";

fn main() {
    let arguments = std::env::args().skip(1);
    let mut parts: Vec<_> = arguments.filter(|argument| argument != "--bench").collect();
    if parts.is_empty() {
        parts = ["styles", "sampling"].map(str::to_owned).to_vec();
    }
    for part in parts {
        match part.as_str() {
            "styles" => styles(),
            "sampling" => sampling(),
            "--help" => print!("{HELP}"),
            other => panic!("there is no part {other}\n\n{HELP}"),
        }
    }
}
