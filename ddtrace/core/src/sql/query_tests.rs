//! The comment of every mode.
//!
//! `unsafe` in this file: the link section that `site!` uses.

#![allow(unsafe_code)]

use super::super::system::Sites;
use super::*;
use crate::config::{Config, MapEnvironment};
use crate::export::SpanData;
use crate::instrument::Settings;
use crate::process_tags::ProcessTags;
use crate::test_support::Recorder;
use crate::trace::current_config;

static SETTINGS: Settings = Settings::of("sqlx");

crate::site! { static SITE: Site = Site::new("postgres.query", "query", module_path!(), file!(), line!()); }

static SYSTEM: System = System::postgres(Sites {
    query: &SITE,
    commit: &SITE,
    rollback: &SITE,
    connect: &SITE,
});

/// What goes to the database for `SELECT 1`, with its span, and the configuration.
fn sent(variables: &[(&str, &str)]) -> (Option<Commented>, SpanData, Arc<Config>) {
    let environment = [("DD_ENV", "prod"), ("DD_VERSION", "1.2")]
        .iter()
        .chain(variables)
        .fold(MapEnvironment::new(), |environment, &(name, value)| {
            environment.variable(name, value)
        });
    // A configuration outlives whoever makes it.
    let environment = Box::leak(Box::new(environment));
    let recorder = Recorder::with(|config| config.service("shop").environment(environment));
    let target = Target::server("db1", 5432, "orders", "ada");
    let mut query = Query::start(SETTINGS.get(), &SYSTEM, &target, "SELECT 1");
    let commented = query.comment(&target, "SELECT 1");
    let config = current_config().unwrap();
    drop(query);
    (commented, recorder.take().remove(0), config)
}

#[test]
fn every_mode_has_its_comment() {
    // I11, I12
    let names = "dddb='orders',dddbs='postgres',dde='prod',ddh='db1',ddps='shop',ddpv='1.2'";
    let by_database = names.replace("dddbs='postgres'", "dddbs='orders'");
    let with_peer = names.replace("ddps=", "ddprs='pg',ddps=");
    let service = ("DD_DBM_PROPAGATION_MODE", "service");
    let dynamic = ("DD_DBM_PROPAGATION_MODE", "dynamic_service");
    let base_hash = ("DD_DBM_INJECT_SQL_BASEHASH", "true");
    let no_process_tags = ("DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED", "false");
    let by_peer = ("DD_TRACE_PEER_SERVICE_DEFAULTS_ENABLED", "true");
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, bool);
    let cases: [Case<'_>; 9] = [
        (&[], None, false),
        (&[base_hash], None, false),
        (&[("DD_DBM_PROPAGATION_MODE", "disabled")], None, false),
        (&[service], Some(names), false),
        (&[service, base_hash], Some(names), true),
        (&[dynamic], Some(names), true),
        (&[dynamic, no_process_tags], Some(names), false),
        (&[service, by_peer], Some(&by_database), false),
        (
            &[service, ("DD_TAGS", "peer.service:pg")],
            Some(&with_peer),
            false,
        ),
    ];
    for (variables, expected, has_base_hash) in cases {
        let (commented, span, config) = sent(variables);
        let hash = ProcessTags::of(&config).base_hash("").to_string();
        let text = commented.as_ref().map(|commented| &*commented.text);
        let expected = expected.map(|names| match has_base_hash {
            true => format!("/*{names},ddsh='{hash}'*/ SELECT 1"),
            false => format!("/*{names}*/ SELECT 1"),
        });
        assert_eq!(text, expected.as_deref(), "{variables:?}");
        assert!(commented.is_none_or(|commented| commented.is_same_for_every_call));
        let tag = span.meta("_dd.propagated_hash");
        assert_eq!(tag, has_base_hash.then_some(&*hash), "{variables:?}");
        assert_eq!(span.meta("_dd.dbm_trace_injected"), None);
        assert_eq!(span.resource, "SELECT 1");
    }
}

#[test]
fn the_full_mode_names_the_span() {
    let full = ("DD_DBM_PROPAGATION_MODE", "full");
    let (commented, span, _) = sent(&[full, ("DD_DBM_INJECT_SQL_BASEHASH", "true")]);
    let commented = commented.unwrap();
    assert!(!commented.is_same_for_every_call);
    let names = "dddb='orders',dddbs='postgres',dde='prod',ddh='db1',ddps='shop',ddpv='1.2'";
    let traceparent = format!("00-{}-{:016x}-01", span.trace_id, span.span_id);
    assert_eq!(
        commented.text,
        format!("/*{names},traceparent='{traceparent}'*/ SELECT 1")
    );
    assert_eq!(span.meta("_dd.dbm_trace_injected"), Some("true"));
    assert_eq!(span.meta("_dd.propagated_hash"), None);
}
