//! CI Visibility: events of test sessions, coverage, and the questions that a session asks before it begins.
//!
//! The Agent proxies these to the backend (`/evp_proxy/v2|v4/…`), agentless senders go there themselves; here both end. What
//! is sent is kept in the [`History`](crate::history::History), which also answers the questions. Test sessions go on whatever
//! the answer, so nothing here is refused but what can't be read.

use std::time::Instant;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};

use super::answer::Answer;
use super::multipart;
use super::take::{finish, raw, rejected, text};
use crate::api::Shared;
use crate::store::Change;
use crate::store::requests::Request as KeptRequest;
use crate::validate::{Findings, request as rules};

/// What a path of CI Visibility takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tests {
    /// Events of sessions, modules, suites and tests.
    Cycle,
    /// Coverage of tests.
    Coverage,
    /// A pack of git objects.
    Pack,
    /// A question to the backend.
    Question,
    /// Reports and logs: taken and kept, not understood.
    Report,
}

/// A path without what leads through the Agent's proxy, and whether that proxy passes compressed bodies.
pub(super) fn behind_proxy(path: &str) -> Option<(&str, bool)> {
    for (prefix, compressed) in [("/evp_proxy/v2", false), ("/evp_proxy/v4", true)] {
        if let Some(rest) = path.strip_prefix(prefix) {
            return Some((rest, compressed));
        }
    }
    let agentless = ["/api/v2/", "/api/intake/", "/api/unstable/"];
    agentless
        .iter()
        .any(|beginning| path.starts_with(beginning))
        .then_some((path, true))
}

impl Tests {
    /// What a path (behind the proxy) takes.
    pub(super) fn of(path: &str) -> Option<Tests> {
        Some(match path {
            "/api/v2/citestcycle" => Tests::Cycle,
            "/api/v2/citestcov" => Tests::Coverage,
            "/api/v2/git/repository/packfile" => Tests::Pack,
            "/api/v2/libraries/tests/services/setting"
            | "/api/v2/ci/libraries/tests"
            | "/api/v2/test/libraries/test-management/tests"
            | "/api/v2/ci/tests/skippable"
            | "/api/v2/git/repository/search_commits" => Tests::Question,
            "/api/v2/cicovreprt" | "/api/v2/cireport" | "/api/v2/logs" => Tests::Report,
            _ => return None,
        })
    }
}

/// Takes in a body.
pub(super) fn take(
    shared: &Shared,
    tests: Tests,
    mut kept: KeptRequest,
    headers: &HeaderMap,
    body: &Bytes,
    begun: Instant,
) -> (Answer, u32) {
    kept.raw = raw(body.clone());
    let path = kept.path.clone();
    let Some((path, passes_compressed)) = behind_proxy(&path) else {
        return refuse(shared, kept, "this is no path of the proxy", begun);
    };
    if !passes_compressed && !kept.encoding.is_empty() && kept.encoding != "identity" {
        return refuse(
            shared,
            kept,
            "version 2 of the proxy passes no compressed bodies",
            begun,
        );
    }
    let history = shared.history();
    let content_type = text(headers, "content-type");
    let taken = match tests {
        Tests::Cycle => history.take_cycle(body).map(|_| None),
        Tests::Coverage => multipart::read(&content_type, body).and_then(|parts| {
            let coverages = parts
                .iter()
                .filter(|part| part.name.starts_with("coverage"));
            for part in coverages {
                history.take_coverage(part.content)?;
            }
            Ok(None)
        }),
        Tests::Pack => multipart::read(&content_type, body).and_then(|parts| {
            let has = |name: &str| parts.iter().any(|part| part.name == name);
            if !has("pushedSha") || !has("packfile") {
                return Err("pushedSha or packfile is missing".to_owned());
            }
            history.take_pack();
            Ok(None)
        }),
        Tests::Question => match serde_json::from_slice::<serde_json::Value>(body) {
            Ok(_) => Ok(history.answer(path, body)),
            Err(error) => Err(error.to_string()),
        },
        Tests::Report => Ok(None),
    };
    match taken {
        Ok(answer) => {
            shared.store().change(|store| store.note(Change::Tests));
            let answer = match answer {
                Some(answer) => Answer::ok(&answer.to_string()),
                None => Answer {
                    status: StatusCode::ACCEPTED,
                    ..Answer::ok("{}")
                },
            };
            finish(shared, kept, answer, None, &Findings::default(), begun)
        }
        Err(what) => refuse(shared, kept, &what, begun),
    }
}

fn refuse(shared: &Shared, kept: KeptRequest, what: &str, begun: Instant) -> (Answer, u32) {
    let mut findings = Findings::default();
    findings.add(rejected(&rules::UNDECODABLE, what.to_owned()));
    let answer = Answer::error(StatusCode::BAD_REQUEST, &rules::UNDECODABLE, what, None);
    finish(shared, kept, answer, None, &findings, begun)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn both_ways_lead_to_the_same_path() {
        assert_eq!(
            behind_proxy("/evp_proxy/v4/api/v2/citestcycle"),
            Some(("/api/v2/citestcycle", true))
        );
        assert_eq!(
            behind_proxy("/evp_proxy/v2/api/v2/citestcycle"),
            Some(("/api/v2/citestcycle", false))
        );
        assert_eq!(
            behind_proxy("/api/v2/citestcov"),
            Some(("/api/v2/citestcov", true))
        );
        assert_eq!(behind_proxy("/v0.4/traces"), None);
        assert_eq!(Tests::of("/api/v2/apmtelemetry"), None);
    }
}
