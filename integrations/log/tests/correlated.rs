//! Records and the ids in them, as a logger sees them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::{self, Site, enter};
use ddtrace_log::Correlated;
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Log, Metadata, Record};

ddtrace_core::site! { static WORK: Site = Site::new("work", "work", module_path!(), file!(), line!()); }

type Pairs = BTreeMap<String, String>;

/// Keeps the pairs of what it is given.
#[derive(Clone, Default)]
struct Keeps(Arc<Mutex<Vec<Pairs>>>);

struct Visitor(Pairs);

impl<'kvs> VisitSource<'kvs> for Visitor {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.insert(key.to_string(), value.to_string());
        Ok(())
    }
}

impl Log for Keeps {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        let mut visitor = Visitor(Pairs::new());
        record.key_values().visit(&mut visitor).unwrap();
        self.0.lock().unwrap().push(visitor.0);
    }

    fn flush(&self) {}
}

/// What a logger is given for a record with one pair of its own.
fn logged(level: Level) -> Vec<Pairs> {
    let keeps = Keeps::default();
    let own = [("items", 3)];
    let mut record = Record::builder();
    record.level(level).key_values(&own);
    Correlated::new(keeps.clone()).log(&record.args(format_args!("placed")).build());
    let kept = keeps.0.lock().unwrap();
    kept.clone()
}

fn pairs(all: &[(&str, &str)]) -> Pairs {
    all.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn records_have_the_fields_behind_their_own() {
    let _recorder = Recorder::with(|config| config.env("prod"));
    let outside = [
        ("items", "3"),
        ("dd.service", "test"),
        ("dd.env", "prod"),
        ("dd.version", ""),
        ("dd.trace_id", "0"),
        ("dd.span_id", "0"),
    ];
    assert_eq!(logged(Level::Info), [pairs(&outside)]);
    assert_eq!(
        ddtrace_log::ids().to_string(),
        "dd.service=test dd.env=prod dd.version= dd.trace_id=0 dd.span_id=0"
    );

    let guard = enter(&WORK);
    let (trace_id, _, _) = trace::active_ids().unwrap();
    let inside = &logged(Level::Info)[0];
    assert_eq!(inside["dd.trace_id"], trace_id.to_string());
    assert_eq!(inside["dd.span_id"], guard.span_id().get().to_string());
    assert!(logged(Level::Debug).is_empty());
}

#[test]
fn records_are_as_they_were_without_a_tracer_or_with_injection_off() {
    let own = [pairs(&[("items", "3")])];
    assert_eq!(logged(Level::Info), own);
    let _recorder = Recorder::with(|config| config.set("DD_LOGS_INJECTION", "false"));
    assert_eq!(logged(Level::Info), own);
    assert_eq!(ddtrace_log::ids().to_string(), "");
}
