//! The tracing core: headers of every style, rules, queries, files of settings, answers of remote configuration.
//!
//! Headers are lines of `name: value`.

use std::net::IpAddr;

use ddtrace_core::config::{Config, MapEnvironment};
use ddtrace_core::http::{ClientIp, QueryTagging, hostname, sanitize_url};
use ddtrace_core::propagation::{
    Carrier, CarrierMut, InjectContext, ProbabilityUpdate, PropagationTags, Propagator,
    SpanContext, Style,
};
use ddtrace_core::remote_config::OfflineClient;
use ddtrace_core::sampling::{RuleSet, Sampler, SamplingSubject, SpanRules, TagLookup, TagValue};
use ddtrace_core::sql::Comment;
use ddtrace_core::trace::{SpanId, TraceId};

/// Headers as lines, any bytes in the values, any number of lines per name.
#[derive(Default)]
struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    fn parse(data: &[u8]) -> Self {
        let lines = data.split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
            let value = line[colon + 1..]
                .strip_prefix(b" ")
                .unwrap_or(&line[colon + 1..]);
            Some((name, value.to_vec()))
        });
        Self(lines.collect())
    }
}

impl Carrier for Headers {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(candidate, _)| candidate == name);
        found.map(|(_, value)| &value[..])
    }

    fn get_all<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        let found = self.0.iter().filter(|(candidate, _)| candidate == name);
        found.for_each(|(_, value)| visit(value));
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        self.0.iter().for_each(|(name, _)| visit(name));
    }
}

impl CarrierMut for Headers {
    fn set(&mut self, name: &str, value: &[u8]) {
        assert!(
            value.iter().all(|byte| matches!(byte, 0x20..=0x7e)),
            "only printable ASCII is written"
        );
        self.0.retain(|(candidate, _)| candidate != name);
        self.0.push((name.to_owned(), value.to_vec()));
    }
}

/// Reads headers in the given styles, passes on what was found, and reads that.
fn read_and_pass_on(data: &[u8], styles: &[Style]) -> Option<(SpanContext, Headers, SpanContext)> {
    let propagator = Propagator::new(styles, styles);
    let context = propagator.extract(&Headers::parse(data)).context?;
    assert!(!context.trace_id.is_zero());
    assert!(
        context
            .tags
            .iter()
            .all(|(key, _)| key.starts_with("_dd.p."))
    );
    let mut outbound = Headers::default();
    let error = propagator.inject(&InjectContext::remote(&context), &mut outbound);
    assert!(error.is_none() || context.propagation_error.is_none());
    let again = propagator
        .extract(&outbound)
        .context
        .expect("what is passed on can be read");
    assert_eq!(again.trace_id.low(), context.trace_id.low());
    assert_eq!(again.span_id, context.span_id);
    assert_eq!(again.priority, context.priority);
    Some((context, outbound, again))
}

/// `x-datadog-*`: bounded, and what is passed on is the same.
pub fn datadog_headers(data: &[u8]) {
    let Some((context, _, again)) = read_and_pass_on(data, &[Style::Datadog]) else {
        return;
    };
    assert!(
        context
            .origin
            .as_deref()
            .is_none_or(|origin| origin.len() <= 256)
    );
    assert_eq!(again.origin, context.origin);
    if context.propagation_error.is_none() {
        assert_eq!(again.trace_id, context.trace_id);
        // Adding the upper half may make the header too long; then there are none.
        assert!(again.tags == context.tags || again.tags.is_empty());
    }
}

/// What is kept of a `tracestate`: Datadog's member of at most 1024 bytes, or less and others, and the probability's of 256.
const LONGEST_TRACESTATE: usize = "dd=".len() + 1024 + ",ot=".len() + 256;

/// `traceparent` and `tracestate`, alone and beside `x-datadog-*`: bounded, and vendors stay in order.
pub fn tracecontext_headers(data: &[u8]) {
    if let Some((context, outbound, again)) = read_and_pass_on(data, &[Style::TraceContext]) {
        assert_eq!(again.trace_id, context.trace_id);
        assert!(
            context
                .tracestate
                .as_deref()
                .is_none_or(|tracestate| tracestate.len() <= LONGEST_TRACESTATE)
        );
        if let Some(tracestate) = Carrier::get(&outbound, "tracestate") {
            assert!(!tracestate.is_empty() && tracestate.len() <= 512);
            assert!(tracestate.split(|&byte| byte == b',').count() <= 32);
        }
    }
    let propagator = Propagator::default();
    let extracted = propagator.extract(&Headers::parse(data));
    for link in &extracted.links {
        assert!(!link.trace_id.is_zero() && !link.span_id.is_zero());
        let context = extracted
            .context
            .as_ref()
            .expect("a link is to a second trace");
        assert_ne!(link.trace_id, context.trace_id);
    }
}

/// `b3` and `x-b3-*`: what is passed on is the same in either style.
pub fn b3_headers(data: &[u8]) {
    for style in [Style::B3, Style::B3Multi] {
        let propagator = Propagator::new(&[style], &[style]);
        let Some(context) = propagator.extract(&Headers::parse(data)).context else {
            continue;
        };
        assert!(context.tags.is_empty() && context.origin.is_none());
        let mut outbound = Headers::default();
        let error = propagator.inject(&InjectContext::remote(&context), &mut outbound);
        assert_eq!(error, None);
        if context.span_id.is_some() {
            assert_eq!(propagator.extract(&outbound).context, Some(context));
        } else {
            // There is no word for it.
            assert!(outbound.0.is_empty());
        }
    }
}

/// `baggage` and its older form: bounded, and what is passed on is the same.
pub fn baggage_headers(data: &[u8]) {
    let headers = Headers::parse(data);
    let propagator = Propagator::default().with_old_baggage(true);
    let baggage = propagator.extract(&headers).baggage;
    assert!(baggage.len() <= 64);
    let tags = PropagationTags::default();
    let mut context = InjectContext::new(TraceId::default(), SpanId::default(), &tags);
    context.baggage = Some(&baggage);
    let mut outbound = Headers::default();
    assert_eq!(propagator.inject(&context, &mut outbound), None);
    let again = propagator.extract(&outbound).baggage;
    let header = Carrier::get(&outbound, "baggage").unwrap_or_default();
    assert!(header.len() <= 8192);
    let trimmed = baggage
        .iter()
        .map(|(key, value)| (key.trim(), value.trim()));
    let written: Vec<_> = trimmed
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .collect();
    assert!(again.iter().all(|pair| written.contains(&pair)));
    // Encoding makes it longer than what came in, and may cut it.
    let longest: usize = written
        .iter()
        .map(|(key, value)| 3 * (key.len() + value.len()) + 2)
        .sum();
    let mut keys: Vec<_> = written.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert!(again.len() == keys.len() || longest > 8192);
}

/// One value of `tracestate`: cleaned once it stays as it is, and the probability has numbers or is not there.
pub fn tracestate(data: &[u8]) {
    let parent = b"00-12345678901234567890123456789012-1234567890123456-01";
    let inbound = |tracestate: &[u8]| {
        let mut headers = Headers(vec![("traceparent".to_owned(), parent.to_vec())]);
        headers
            .0
            .push(("tracestate".to_owned(), tracestate.to_vec()));
        headers
    };
    let styles = &[Style::TraceContext];
    let propagator = Propagator::new(styles, styles);
    let context = propagator.extract(&inbound(data)).context;
    let context = context.expect("the parent is right");
    let Some(kept) = context.tracestate.as_deref() else {
        return;
    };
    let again = propagator.extract(&inbound(kept.as_bytes())).context;
    assert_eq!(again.and_then(|it| it.tracestate).as_deref(), Some(kept));

    for update in [
        ProbabilityUpdate::Unchanged,
        ProbabilityUpdate::Overruled(Some(7)),
    ] {
        let mut outbound = Headers::default();
        let mut inject = InjectContext::remote(&context);
        inject.probability = update;
        assert_eq!(propagator.inject(&inject, &mut outbound), None);
        let tracestate = Carrier::get(&outbound, "tracestate").unwrap_or_default();
        let tracestate = std::str::from_utf8(tracestate).expect("printable ASCII");
        let of_ot = |member: &'_ str| member.strip_prefix("ot=").map(str::to_owned);
        let members: Vec<String> = tracestate.split(',').filter_map(of_ot).collect();
        assert!(members.len() <= 1, "{tracestate}");
        for item in members.iter().flat_map(|member| member.split(';')) {
            let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            match item.split_once(':') {
                Some(("rv", digits)) => assert!(digits.len() == 14 && is_number(digits)),
                Some(("th", digits)) => {
                    assert!((1..=14).contains(&digits.len()) && is_number(digits));
                    assert_eq!(update, ProbabilityUpdate::Unchanged);
                }
                _ => {}
            }
        }
    }
}

/// Rules for single spans: whatever is read can be used.
pub fn span_rules(data: &[u8]) {
    let (rules, errors) = SpanRules::parse(&String::from_utf8_lossy(data));
    assert!(errors.iter().all(|error| !error.to_string().is_empty()));
    for (id, service, name) in [(1, "shop", "http.request"), (u64::MAX, "", "")] {
        if let Some(decision) = rules.sample(id, service, name) {
            assert!((0.0..=1.0).contains(&decision.rule_rate) && !rules.is_empty());
            assert_ne!(decision.max_per_second, Some(0.0));
        }
    }
}

/// Sampling rules: whatever is read can be used, and rates are shares.
pub fn sampling_rules(data: &[u8]) {
    struct Tags;

    impl TagLookup for Tags {
        fn tag(&self, key: &str) -> Option<TagValue<'_>> {
            Some(match key.len() % 3 {
                0 => TagValue::Text("text"),
                1 => TagValue::Number(5.0),
                _ => TagValue::Number(1.5),
            })
        }
    }

    let (rules, errors) = RuleSet::parse(&String::from_utf8_lossy(data));
    assert!(errors.iter().all(|error| !error.to_string().is_empty()));
    let decision = Sampler::new(rules, 1).decide(&SamplingSubject {
        trace_id_low: 7,
        service: "shop",
        env: "prod",
        name: "http.request",
        resource: "GET /cart/{id}",
        tags: &Tags,
    });
    for rate in [decision.rule_rate, decision.limit_rate, decision.agent_rate] {
        assert!(rate.is_none_or(|rate| (0.0..=1.0).contains(&rate)));
    }
    assert_eq!(decision.rule_rate.is_some(), decision.keep_rate.is_some());
}

/// Queries and URLs: if there are two lines, the first is an expression of the user's.
pub fn query_obfuscation(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (expression, query) = match text.split_once('\n') {
        Some((expression, query)) => (Some(expression), query),
        None => (None, &*text),
    };
    let (tagging, error) = QueryTagging::new(true, expression);
    let mut url = String::from("http://h");
    tagging.append(&mut url, query);
    assert_eq!(
        error.is_some(),
        url == "http://h",
        "an expression that fails hides all queries"
    );

    let sanitized = sanitize_url(query, &QueryTagging::default());
    assert!(sanitized.len() <= 8 * 1024);
    hostname(query);

    // Wherever it stands, the value of a key that says it is secret is hidden.
    let mut url = String::new();
    QueryTagging::default().append(
        &mut url,
        &format!("{}&password=S3CRET", query.replace("S3CRET", "")),
    );
    assert!(!url.contains("S3CRET"), "{url}");
}

/// The headers that name a client: there is always an answer if the peer is known.
pub fn client_ip(data: &[u8]) {
    let headers = Headers::parse(data);
    let peer = IpAddr::from([8, 8, 8, 8]);
    assert!(ClientIp::default().find(&headers, Some(peer)).is_some());
    ClientIp::default().find(&headers, None);
    ClientIp::new(Some("x-custom")).find(&headers, Some(peer));
}

/// Answers of remote configuration: as a whole, as the list in it, and as the content of a file of settings. Whatever they
/// hold, there is a next request, and what one file set is gone with it.
pub fn remote_config(data: &[u8]) {
    let environment = MapEnvironment::new().executable("fuzz");
    let mut client = OfflineClient::new(Config::builder().environment(&environment).build());
    client.accept(data);
    client.accept_list(data);
    let path = "datadog/2/APM_TRACING/fuzz/config";
    client.give(&[(path, data)]);
    let request: serde_json::Value =
        serde_json::from_slice(&client.request()).expect("a request is JSON");
    let states = &request["client"]["state"]["config_states"];
    let state = &states[0];
    let error = state["apply_error"].as_str().expect("a text");
    assert!(error.len() <= 1024);
    assert_eq!(state["apply_state"], if error.is_empty() { 2 } else { 3 });
    assert_eq!(client.in_force().len(), usize::from(error.is_empty()));
    let rules = RuleSet::parse(&client.config().sampling_rules);
    assert!(rules.1.is_empty(), "{:?}", rules.1);
    client.give(&[]);
    assert!(client.in_force().is_empty());
    assert_eq!(client.config().sampling_rules, "[]");
    assert!(client.config().tags.is_empty());
    assert!(client.config().header_tags.is_empty());
}

/// Stable configuration files, the same text as that of the host and that of the fleet: whatever they say there is a
/// configuration, every problem is one line, and what is read is bounded.
pub fn stable_configuration(data: &[u8]) {
    let environment = MapEnvironment::new()
        .variable("_DD_SC_LOCAL_FILE_OVERRIDE", "/local")
        .variable("_DD_SC_MANAGED_FILE_OVERRIDE", "/fleet")
        .variable("TIER", "gold")
        .argument("shop")
        .argument("--mode=fast")
        .executable("shop")
        .file("/local", data)
        .file("/fleet", data);
    let config = Config::builder().environment(&environment).build();
    assert!(!config.service.is_empty());
    for problem in config.problems() {
        let line = problem.to_string();
        assert!(!line.contains('\n'), "{line:?}");
    }
    for setting in config.settings() {
        // Default, host, fleet, and nothing else.
        assert!(setting.entries().len() <= 3);
        assert!(setting.entries().iter().all(|entry| {
            let limit = data.len().max(64 << 10);
            entry.raw.as_ref().is_none_or(|raw| raw.len() <= limit)
        }));
    }
}

/// Nine values, one a line, and a statement: the comment cannot be left from within, and the statement stays as it is.
pub fn sql_comment(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(10, '\n');
    let mut value = || lines.next().unwrap_or_default();
    let comment = Comment {
        database: value(),
        database_service: value(),
        env: value(),
        host: value(),
        peer_service: value(),
        service: value(),
        version: value(),
        base_hash: value(),
        traceparent: value(),
    };
    let statement = value();
    let commented = comment.prepend_to(statement);
    let before = commented
        .strip_suffix(statement)
        .expect("the statement is last");
    let values: Vec<_> = text.splitn(10, '\n').take(9).collect();
    let said: Vec<_> = values.iter().filter(|value| !value.is_empty()).collect();
    if said.is_empty() {
        assert_eq!(before, "");
        return;
    }
    let inside = before
        .strip_prefix("/*")
        .and_then(|rest| rest.strip_suffix("*/ "));
    let inside = inside.expect("a comment and a blank");
    assert!(!inside.contains("*/") && !inside.contains("/*"), "{inside}");
    assert_eq!(inside.matches('\'').count(), 2 * said.len(), "{inside}");
    let mut read: Vec<String> = inside.split(',').map(decoded).collect();
    let mut said: Vec<String> = said.iter().map(|value| (**value).to_owned()).collect();
    read.sort_unstable();
    said.sort_unstable();
    assert_eq!(read, said);
}

/// The value of an entry `key='value'`.
fn decoded(entry: &str) -> String {
    let (_, value) = entry.split_once("='").expect("a key and a value");
    let value = value.strip_suffix('\'').expect("a quote at the end");
    let (mut bytes, mut rest) = (Vec::new(), value.bytes());
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte.expect("two digits")).to_digit(16);
            let (high, low) = (digit(rest.next()), digit(rest.next()));
            let byte = 16 * high.expect("a digit") + low.expect("a digit");
            bytes.push(u8::try_from(byte).expect("two digits are a byte"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("what was encoded was text")
}
