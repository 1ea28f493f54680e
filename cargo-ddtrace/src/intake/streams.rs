//! Taking in pipeline statistics: decode, check, keep.

use std::time::Instant;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};

use super::answer::Answer;
use super::pipeline_stats;
use super::take::{finish, raw, rejected, text, undecodable};
use crate::api::Shared;
use crate::store::counts::Client;
use crate::store::requests::{Raw, Request as KeptRequest};
use crate::store::{Change, now};
use crate::validate::streams::{Headers, check};
use crate::validate::{Findings, Level, request as rules};

/// Bytes of a payload: ten seconds of ten thousand pathways are a tenth of it.
const LIMIT: usize = 25 << 20;

pub(super) fn take(
    shared: &Shared,
    mut kept: KeptRequest,
    headers: &HeaderMap,
    body: &Bytes,
    begun: Instant,
) -> (Answer, u32) {
    let mut findings = Findings::default();
    if body.len() > LIMIT {
        kept.raw = Raw::TooLarge;
        let detail = format!("{} bytes, limit {LIMIT}", body.len());
        findings.add(rejected(&rules::TOO_LARGE, detail.clone()));
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        let answer = Answer::error(status, &rules::TOO_LARGE, &detail, None);
        return finish(shared, kept, answer, None, &findings, begun);
    }
    kept.raw = raw(body.clone());
    let payload = match pipeline_stats::read(body, &mut findings) {
        Ok(payload) => payload,
        Err(error) => return undecodable(shared, kept, &error, begun),
    };
    let sent = Headers {
        content_type: kept.content_type.clone(),
        encoding: kept.encoding.clone(),
        language: text(headers, "datadog-meta-lang"),
        tracer_version: text(headers, "datadog-meta-tracer-version"),
    };
    check(&payload, &sent, &mut findings);
    let client = Client {
        service: payload.service.clone(),
        env: payload.env.clone(),
        app_version: payload.version.clone(),
        language: payload.language.clone(),
        tracer_version: payload.tracer_version.clone(),
        ..Client::default()
    };
    let answer = match findings.list.iter().min_by_key(|found| found.rule.level) {
        Some(found) if shared.is_strict() && found.rule.level <= Level::Violation => {
            Answer::error(StatusCode::BAD_REQUEST, found.rule, &found.detail, None)
        }
        _ => Answer {
            status: StatusCode::ACCEPTED,
            ..Answer::ok("{}")
        },
    };
    let now = now();
    let patience = shared.store().change(|store| {
        store.meet(client, None, now);
        store.limits.orphan_after_ms
    });
    let due = now.saturating_add(
        i64::try_from(patience)
            .unwrap_or(0)
            .saturating_mul(1_000_000),
    );
    // The number of the request is known once it is kept; what is waited for refers to it. Readers may see the request a
    // moment before its streams, but the sender's answer comes after both.
    let (answer, number) = finish(shared, kept, answer, None, &findings, begun);
    shared.data_streams().lock().take(payload, number, now, due);
    shared.store().change(|store| store.note(Change::Streams));
    (answer, number)
}
