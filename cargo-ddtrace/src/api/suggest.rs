//! `GET /api/suggest`: keys, or values of a key, with how many spans have them.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::{Parameters, Raw};
use super::{Shared, apart};
use crate::store::segment::{Row, Segment, flag};

const SUGGESTED: usize = 50;
/// Different texts that are counted; beyond them a suggestion is of no use.
const COUNTED: usize = 100_000;

const RESERVED: [&str; 6] = [
    "service",
    "operation_name",
    "resource_name",
    "type",
    "status",
    "duration",
];

pub(super) async fn get(State(shared): State<Shared>, raw: Raw) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let key = parameters
        .text("key")
        .unwrap_or_default()
        .trim_start_matches('@')
        .to_owned();
    // An empty value asks for all values; none asks for keys.
    let value = parameters.given("value").map(str::to_lowercase);
    let list = apart(move || find(&shared, &key, value)).await;
    Ok(Json(json!({"suggestions": list})))
}

fn find(shared: &Shared, key: &str, value: Option<String>) -> Vec<Value> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    shared.store().scan(
        &mut counts,
        |counts, segment| match &value {
            None => count_keys(counts, segment),
            Some(_) => count_values(counts, segment, key),
        },
        |_, _| (),
    );
    let prefix = value.unwrap_or_else(|| key.to_lowercase());
    let mut found: Vec<_> = counts
        .into_iter()
        .filter(|(text, _)| text.to_lowercase().starts_with(&prefix))
        .collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    found.truncate(SUGGESTED);
    found
        .into_iter()
        .map(|(text, count)| json!({"text": text, "count": count}))
        .collect()
}

fn add(counts: &mut HashMap<String, u64>, segment: &Segment, by_number: HashMap<u32, u64>) {
    for (number, count) in by_number {
        let text = segment.strings.get(number);
        if let Some(known) = counts.get_mut(text) {
            *known += count;
        } else if counts.len() < COUNTED && !text.is_empty() {
            counts.insert(text.to_owned(), count);
        }
    }
}

fn count_keys(counts: &mut HashMap<String, u64>, segment: &Segment) {
    let mut by_number = HashMap::new();
    for row in &segment.rows {
        for key in segment
            .meta(row)
            .iter()
            .map(|(key, _)| *key)
            .chain(segment.metrics(row).map(|(key, _)| key))
        {
            *by_number.entry(key).or_insert(0) += 1;
        }
    }
    add(counts, segment, by_number);
    for key in RESERVED {
        *counts.entry(key.to_owned()).or_insert(0) += segment.rows.len() as u64;
    }
}

fn count_values(counts: &mut HashMap<String, u64>, segment: &Segment, key: &str) {
    let field: Option<fn(&Row) -> u32> = match key {
        "service" => Some(|row| row.service),
        "operation_name" => Some(|row| row.name),
        "resource_name" => Some(|row| row.resource),
        "type" => Some(|row| row.span_type),
        _ => None,
    };
    if key == "status" {
        for row in &segment.rows {
            *counts
                .entry(if row.is(flag::ERROR) { "error" } else { "ok" }.to_owned())
                .or_insert(0) += 1;
        }
        return;
    }
    let key = if key == "kind" { "span.kind" } else { key };
    let mut by_number = HashMap::new();
    for row in &segment.rows {
        if let Some(field) = field {
            *by_number.entry(field(row)).or_insert(0) += 1;
            continue;
        }
        for (_, value) in segment
            .meta(row)
            .iter()
            .filter(|(k, _)| segment.strings.get(*k) == key)
        {
            *by_number.entry(*value).or_insert(0) += 1;
        }
        for (_, value) in segment
            .metrics(row)
            .filter(|(k, _)| segment.strings.get(*k) == key)
        {
            if counts.len() < COUNTED {
                *counts.entry(value.to_string()).or_insert(0) += 1;
            }
        }
    }
    add(counts, segment, by_number);
}
