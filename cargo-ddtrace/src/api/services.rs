//! `GET /api/services`: rates, errors and durations by service and resource.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::{Parameters, Raw};
use super::traces::percentile;
use super::{Shared, apart};
use crate::store::segment::{Row, Segment, flag};
use crate::store::{Kept, now};

/// Resources of a service that are listed.
const RESOURCES: usize = 100;

/// A time to look back from now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub from: i64,
    pub to: i64,
}

impl Window {
    pub(super) fn read(parameters: &Parameters, store: &Kept) -> Result<Window, ApiError> {
        let to = now();
        let from = match parameters.window()? {
            Some(window) => to.saturating_sub(i64::try_from(window.as_nanos()).unwrap_or(i64::MAX)),
            None => store
                .traces()
                .map(|(_, summary)| summary.start)
                .min()
                .unwrap_or(to),
        };
        Ok(Window {
            from: from.min(to - 1),
            to,
        })
    }

    pub(super) fn holds(&self, row: &Row) -> bool {
        let end = row.end();
        // The clock of another machine may be ahead; such a span belongs to now.
        end >= self.from
    }

    pub(super) fn seconds(&self) -> f64 {
        (self.to - self.from) as f64 / 1e9
    }

    pub(super) fn show(&self, into: &mut Value) {
        into["window_ms"] = ((self.to - self.from) / 1_000_000).into();
        into["from"] = self.from.to_string().into();
        into["to"] = self.to.to_string().into();
    }
}

/// Requests of one kind.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub requests: u64,
    pub errors: u64,
    pub durations: Vec<u64>,
}

impl Load {
    pub(super) fn add(&mut self, row: &Row) {
        self.add_one(row.duration.max(0) as u64, row.is(flag::ERROR));
    }

    pub(super) fn add_one(&mut self, duration: u64, error: bool) {
        self.requests += 1;
        self.errors += u64::from(error);
        self.durations.push(duration);
    }

    /// Counts, rates and percentiles; sorts the durations.
    pub(super) fn show(&mut self, window: &Window) -> Value {
        self.durations.sort_unstable();
        let error_rate = if self.requests == 0 {
            0.0
        } else {
            self.errors as f64 / self.requests as f64
        };
        json!({
            "requests": self.requests,
            "errors": self.errors,
            "rate": rounded(self.requests as f64 / window.seconds()),
            "error_rate": rounded(error_rate),
            "p50": percentile(&self.durations, 0.50),
            "p95": percentile(&self.durations, 0.95),
            "p99": percentile(&self.durations, 0.99),
        })
    }
}

fn rounded(n: f64) -> f64 {
    (n * 1e4).round() / 1e4
}

#[derive(Default)]
struct Service {
    types: BTreeSet<String>,
    spans: u64,
    load: Load,
    resources: HashMap<(String, String), Load>,
}

pub(super) async fn get(State(shared): State<Shared>, raw: Raw) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let window = Window::read(&parameters, &shared.store().lock())?;
    let answer = apart(move || walk(&shared, window)).await;
    Ok(Json(answer))
}

fn walk(shared: &Shared, window: Window) -> Value {
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    let rev = shared.store().scan(
        &mut services,
        |services, segment| add(services, segment, window),
        |_, store| store.rev,
    );
    let list: Vec<Value> = services
        .into_iter()
        .map(|(name, service)| show(name, service, &window))
        .collect();
    let mut answer = json!({"rev": rev, "services": list});
    window.show(&mut answer);
    answer
}

fn add(services: &mut BTreeMap<String, Service>, segment: &Segment, window: Window) {
    // Texts of a segment are numbers; names are looked up once per service and resource of it.
    let mut by_number: HashMap<u32, Service> = HashMap::new();
    let mut loads: HashMap<(u32, u32, u32), Load> = HashMap::new();
    for row in segment.rows.iter().filter(|row| window.holds(row)) {
        let service = by_number.entry(row.service).or_default();
        service.spans += 1;
        if row.is(flag::ENTRY) {
            service.load.add(row);
            loads
                .entry((row.service, row.resource, row.name))
                .or_default()
                .add(row);
            let span_type = segment.strings.get(row.span_type);
            if !span_type.is_empty() && !service.types.contains(span_type) {
                service.types.insert(span_type.to_owned());
            }
        }
    }
    for (number, found) in by_number {
        let service = services
            .entry(segment.strings.get(number).to_owned())
            .or_default();
        service.spans += found.spans;
        service.types.extend(found.types);
        merge(&mut service.load, found.load);
    }
    for ((number, resource, name), load) in loads {
        let Some(service) = services.get_mut(segment.strings.get(number)) else {
            continue;
        };
        let key = (
            segment.strings.get(resource).to_owned(),
            segment.strings.get(name).to_owned(),
        );
        merge(service.resources.entry(key).or_default(), load);
    }
}

pub(super) fn merge(into: &mut Load, load: Load) {
    into.requests += load.requests;
    into.errors += load.errors;
    into.durations.extend(load.durations);
}

fn show(name: String, mut service: Service, window: &Window) -> Value {
    let mut resources: Vec<_> = service.resources.into_iter().collect();
    resources.sort_by(|a, b| b.1.requests.cmp(&a.1.requests).then_with(|| a.0.cmp(&b.0)));
    let resources: Vec<Value> = resources
        .into_iter()
        .take(RESOURCES)
        .map(|((resource, name), mut load)| {
            let mut shown = load.show(window);
            shown["resource"] = resource.into();
            shown["name"] = name.into();
            shown
        })
        .collect();
    let mut shown = service.load.show(window);
    shown["service"] = name.into();
    shown["types"] = service.types.into_iter().collect();
    shown["spans"] = service.spans.into();
    shown["resources"] = resources.into();
    shown
}
