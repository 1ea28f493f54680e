//! Puts written items into bodies that are not too large.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::multipart::Form;
use super::{MAX_BODY, Metadata, citestcov, citestcycle};

/// The most logs in a request.
const MAX_LOGS: usize = 1000;

/// What a body is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Shape {
    /// Events, with what they have in common, which may be added to.
    Tests(Arc<Mutex<Metadata>>),
    /// Coverages.
    Coverage,
    /// Logs.
    Logs,
}

impl Shape {
    /// Bodies for a request, each with the number of its items.
    pub fn bodies(&self, items: &[Vec<u8>]) -> Vec<(Form, usize)> {
        let mut bodies = Vec::new();
        for batch in self.batches(items) {
            let form = match self {
                Shape::Tests(metadata) => Form {
                    content_type: "application/msgpack".into(),
                    body: citestcycle::msgpack(&copy(metadata), batch).into(),
                },
                Shape::Coverage => citestcov::form(batch),
                Shape::Logs => Form {
                    content_type: "application/json".into(),
                    body: Bytes::from(joined("[", batch, "]")),
                },
            };
            bodies.push((form, batch.len()));
        }
        bodies
    }

    /// Contents of files, of items that were written as JSON.
    pub fn files(&self, items: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let prefix = match self {
            Shape::Tests(metadata) => citestcycle::json_prefix(&copy(metadata)),
            Shape::Coverage => r#"{"version":2,"coverages":["#.to_owned(),
            Shape::Logs => r#"{"logs":["#.to_owned(),
        };
        let batches = self.batches(items);
        let file = |batch: &&[Vec<u8>]| joined(&prefix, batch, "]}");
        batches.iter().map(file).collect()
    }

    /// Halves what is too large, until it is not or is a single item.
    fn batches<'a>(&self, items: &'a [Vec<u8>]) -> Vec<&'a [Vec<u8>]> {
        let common = match self {
            Shape::Tests(metadata) => {
                let metadata = copy(metadata);
                let texts = metadata.all.iter().chain(&metadata.test);
                texts.map(|(key, value)| key.len() + value.len() + 6).sum()
            }
            Shape::Coverage | Shape::Logs => 512,
        };
        let at_most = if matches!(self, Shape::Logs) {
            MAX_LOGS
        } else {
            usize::MAX
        };
        let mut done = Vec::new();
        let mut left = vec![items];
        while let Some(batch) = left.pop() {
            let size: usize = batch.iter().map(|item| item.len() + 1).sum();
            let is_small = size + common + 64 <= MAX_BODY && batch.len() <= at_most;
            if batch.is_empty() {
                continue;
            }
            if is_small || batch.len() == 1 {
                done.push(batch);
            } else {
                let (first, second) = batch.split_at(batch.len() / 2);
                left.extend([second, first]);
            }
        }
        done
    }
}

fn copy(metadata: &Mutex<Metadata>) -> Metadata {
    metadata
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

fn joined(prefix: &str, items: &[Vec<u8>], suffix: &str) -> Vec<u8> {
    let mut out = prefix.as_bytes().to_vec();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item);
    }
    out.extend_from_slice(suffix.as_bytes());
    out
}
