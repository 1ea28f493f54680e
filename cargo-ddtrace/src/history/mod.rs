//! Test sessions: as they were received, as they are kept, and what follows from them for the next run.
//!
//! ```text
//! citestcycle, citestcov ─▶ sessions (newest 200) ─▶ pages, API
//!                               │    └─▶ disk: one file per session, with --data
//!                               └─▶ known tests ┐
//! settings, management, skippable (files) ──────┴─▶ answers to whoever runs tests
//! ```
//!
//! This is the one store that outlives the process, and only on request. It is bounded by sessions, tests and the length
//! of texts; a session on disk is written whole when its end comes, so a run that was killed leaves nothing half.

mod answers;
pub mod coverage;
mod disk;
pub mod session;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::intake::msgpack::{self, Reader};
use session::{Run, Session, id};

/// Commits that are remembered as known.
const COMMITS: usize = 10_000;
/// Coverages that wait for their tests.
const EARLY: usize = 20_000;
/// Runs over all sessions that are held in memory.
const RUNS: usize = 1_000_000;

/// Sessions, and what was pushed.
#[derive(Debug, Default)]
pub struct History {
    kept: Mutex<Kept>,
    /// Where sessions are kept over restarts, and where answers may lie.
    data: Option<PathBuf>,
    /// Whether settings ask for coverage.
    impact: bool,
}

#[derive(Debug, Default)]
struct Kept {
    /// Oldest first.
    sessions: VecDeque<Session>,
    management: Value,
    /// Commits whose packs have come.
    commits: BTreeSet<String>,
    /// Commits that were asked about last, and are known once a pack comes.
    asked: Vec<String>,
    /// Files of coverages that came before their tests, by session and run.
    early: HashMap<(String, String), Vec<FileLines>>,
    /// Why a session could not be written.
    trouble: Option<String>,
}

impl History {
    /// What is in a folder, if there is one.
    pub fn open(data: Option<PathBuf>, impact: bool) -> History {
        let sessions = data.as_deref().map(disk::read).unwrap_or_default();
        let management = answers::file(data.as_deref(), "test_management.json");
        let mut kept = Kept {
            sessions: sessions.into(),
            management: management.unwrap_or_else(answers::no_management),
            ..Kept::default()
        };
        kept.bound();
        History {
            kept: Mutex::new(kept),
            data,
            impact,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes in a payload of events; gives how many events were in it.
    pub fn take_cycle(&self, body: &[u8]) -> Result<usize, String> {
        let payload = decode(body)?;
        let events = payload["events"]
            .as_array()
            .ok_or("events is missing or no array")?;
        let mut kept = self.lock();
        let mut ended = Vec::new();
        for event in events {
            let content = &event["content"];
            let id = id(&content["test_session_id"]);
            if id.is_empty() {
                continue;
            }
            let place = kept.session(&id, &payload["metadata"]);
            match event["type"].as_str() {
                Some("test") => {
                    let mut run = Run::read(content);
                    let early = kept.early.remove(&(id.clone(), run.span_id.clone()));
                    for (file, bitmap) in early.into_iter().flatten() {
                        run.cover(&file, &bitmap);
                    }
                    kept.sessions[place].add(run);
                }
                Some("test_session_end") => {
                    kept.sessions[place].end(content);
                    ended.push(id);
                }
                _ => {}
            }
        }
        kept.bound();
        self.write(&mut kept, &ended);
        Ok(events.len())
    }

    /// Takes in coverage; gives how many tests it spoke of.
    pub fn take_coverage(&self, body: &[u8]) -> Result<usize, String> {
        let mut reader = Reader::new(body);
        let coverages = read_coverage(&mut reader).map_err(|error| error.to_string())?;
        let count = coverages.len();
        let mut kept = self.lock();
        let mut ended = BTreeSet::new();
        for coverage in coverages {
            let place = kept
                .sessions
                .iter()
                .rposition(|session| session.id == coverage.session);
            let session = place.map(|place| &mut kept.sessions[place]);
            let Some(run) = session.and_then(|session| session.run(&coverage.span)) else {
                // The event of the test travels by another way, and may come later.
                if kept.early.len() < EARLY {
                    let key = (coverage.session, coverage.span);
                    kept.early.insert(key, coverage.files);
                }
                continue;
            };
            for (file, bitmap) in &coverage.files {
                run.cover(file, bitmap);
            }
            // One that has ended lies on disk without it.
            if place.is_some_and(|place| !kept.sessions[place].status.is_empty()) {
                ended.insert(coverage.session);
            }
        }
        let ended: Vec<String> = ended.into_iter().collect();
        self.write(&mut kept, &ended);
        Ok(count)
    }

    fn write(&self, kept: &mut Kept, ended: &[String]) {
        let Some(data) = &self.data else { return };
        for session in kept
            .sessions
            .iter()
            .filter(|session| ended.contains(&session.id))
        {
            if let Err(error) = disk::write(data, session) {
                kept.trouble = Some(format!("{}: {error}", data.display()));
                return;
            }
        }
    }

    /// What the backend would answer on a path of its API; `None` if it is none of those.
    pub fn answer(&self, path: &str, body: &[u8]) -> Option<Value> {
        let file = |name: &str| answers::file(self.data.as_deref(), name);
        Some(match path {
            "/api/v2/libraries/tests/services/setting" => {
                file("settings.json").unwrap_or_else(|| answers::settings(self.impact))
            }
            "/api/v2/ci/libraries/tests" => file("known_tests.json").unwrap_or_else(|| {
                let kept = self.lock();
                // A session that has not ended says nothing about the next one.
                let ended = kept
                    .sessions
                    .iter()
                    .filter(|session| !session.status.is_empty());
                answers::known_tests(ended)
            }),
            "/api/v2/test/libraries/test-management/tests" => self.lock().management.clone(),
            "/api/v2/ci/tests/skippable" => {
                file("skippable_tests.json").unwrap_or_else(answers::skippable)
            }
            "/api/v2/git/repository/search_commits" => self.search(body),
            _ => return None,
        })
    }

    fn search(&self, body: &[u8]) -> Value {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let commits: Vec<String> = asked["data"]
            .as_array()
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .filter_map(|commit| commit["id"].as_str())
            .filter(|id| id.len() <= 64)
            .take(1000)
            .map(str::to_owned)
            .collect();
        let mut kept = self.lock();
        let known: Vec<Value> = commits
            .iter()
            .filter(|commit| kept.commits.contains(*commit))
            .map(|commit| json!({"id": commit, "type": "commit"}))
            .collect();
        kept.asked = commits;
        json!({"data": known})
    }

    /// Notes that a pack came: what was asked about is known from now on.
    pub fn take_pack(&self) {
        let mut kept = self.lock();
        let asked = std::mem::take(&mut kept.asked);
        if kept.commits.len() + asked.len() > COMMITS {
            kept.commits.clear();
        }
        kept.commits.extend(asked);
    }

    /// Changes what is wanted of a test.
    pub fn manage(&self, wish: &Value) -> Result<(), String> {
        let mut kept = self.lock();
        answers::manage(&mut kept.management, wish)?;
        if let Some(data) = &self.data {
            let text = serde_json::to_vec_pretty(&kept.management).unwrap_or_default();
            std::fs::create_dir_all(data)
                .and_then(|()| std::fs::write(data.join("test_management.json"), text))
                .map_err(|error| format!("{}: {error}", data.display()))?;
        }
        Ok(())
    }

    /// What is wanted of tests, as the backend answers it.
    pub fn management(&self) -> Value {
        self.lock().management.clone()
    }

    /// Looks at the sessions, oldest first.
    pub fn read<T>(&self, look: impl FnOnce(&VecDeque<Session>) -> T) -> T {
        look(&self.lock().sessions)
    }

    /// Why sessions are not written, if they should be.
    pub fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// Where sessions are written.
    pub fn data(&self) -> Option<&std::path::Path> {
        self.data.as_deref()
    }
}

impl Kept {
    fn session(&mut self, id: &str, metadata: &Value) -> usize {
        let place = match self.sessions.iter().rposition(|session| session.id == id) {
            Some(place) => place,
            None => {
                self.sessions.push_back(Session {
                    id: id.to_owned(),
                    ..Session::default()
                });
                self.sessions.len() - 1
            }
        };
        self.sessions[place].describe(metadata);
        place
    }

    fn bound(&mut self) {
        let mut runs: usize = self.sessions.iter().map(|session| session.runs.len()).sum();
        while self.sessions.len() > disk::SESSIONS || (runs > RUNS && self.sessions.len() > 1) {
            runs -= self
                .sessions
                .pop_front()
                .map_or(0, |session| session.runs.len());
        }
    }
}

fn decode(body: &[u8]) -> Result<Value, String> {
    let mut reader = Reader::new(body);
    let value = reader.json().map_err(|error| error.to_string())?;
    reader.finish().map_err(|error| error.to_string())?;
    Ok(value)
}

/// A file and its lines as a bitmap.
type FileLines = (String, Vec<u8>);

/// What a test reached.
struct Coverage {
    session: String,
    span: String,
    files: Vec<FileLines>,
}

fn read_coverage(reader: &mut Reader<'_>) -> msgpack::Read<Vec<Coverage>> {
    let mut all = Vec::new();
    for _ in 0..reader.map()? {
        if reader.key()? != b"coverages" {
            reader.skip()?;
            continue;
        }
        for _ in 0..reader.array()? {
            let mut one = Coverage {
                session: String::new(),
                span: String::new(),
                files: Vec::new(),
            };
            for _ in 0..reader.map()? {
                match reader.key()? {
                    b"test_session_id" => one.session = reader.id()?.to_string(),
                    b"span_id" => one.span = reader.id()?.to_string(),
                    b"files" => {
                        for _ in 0..reader.array()? {
                            one.files.push(read_file(reader)?);
                        }
                    }
                    _ => reader.skip()?,
                }
            }
            all.push(one);
        }
    }
    reader.finish()?;
    Ok(all)
}

fn read_file(reader: &mut Reader<'_>) -> msgpack::Read<(String, Vec<u8>)> {
    let (mut file, mut bitmap) = (String::new(), Vec::new());
    let mut broken = false;
    for _ in 0..reader.map()? {
        match reader.key()? {
            b"filename" => file = reader.text(&mut broken)?.into_owned(),
            b"bitmap" => bitmap = reader.bytes()?.to_vec(),
            _ => reader.skip()?,
        }
    }
    Ok((file, bitmap))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(out: &mut Vec<u8>, text: &str) {
        rmp::encode::write_str(out, text).unwrap();
    }

    /// Encodes JSON as msgpack, so that payloads can be written down.
    fn encode(out: &mut Vec<u8>, value: &Value) {
        match value {
            Value::Null => rmp::encode::write_nil(out).unwrap(),
            Value::Bool(value) => rmp::encode::write_bool(out, *value).unwrap(),
            Value::Number(number) => {
                rmp::encode::write_uint(out, number.as_u64().unwrap()).unwrap();
            }
            Value::String(value) => text(out, value),
            Value::Array(values) => {
                rmp::encode::write_array_len(out, values.len() as u32).unwrap();
                values.iter().for_each(|value| encode(out, value));
            }
            Value::Object(map) => {
                rmp::encode::write_map_len(out, map.len() as u32).unwrap();
                for (key, value) in map {
                    text(out, key);
                    encode(out, value);
                }
            }
        }
    }

    fn cycle(session: u64, tests: &[(&str, &str)], end: bool) -> Vec<u8> {
        let mut events: Vec<Value> = tests
            .iter()
            .enumerate()
            .map(|(at, (name, status))| json!({"type": "test", "version": 2, "content": {
                "test_session_id": session, "span_id": at + 1, "start": 1000 + at, "duration": 5,
                "meta": {"test.module": "m", "test.suite": "s", "test.name": name, "test.status": status},
                "metrics": {"test.source.start": 7},
            }}))
            .collect();
        if end {
            events.push(json!({"type": "test_session_end", "version": 1, "content": {
                "test_session_id": session, "start": 900, "duration": 200, "meta": {"test.status": "pass"}}}));
        }
        let payload = json!({"version": 1, "metadata": {"*": {"test.command": "cargo test", "git.branch": "main"}}, "events": events});
        let mut body = Vec::new();
        encode(&mut body, &payload);
        body
    }

    #[test]
    fn what_was_seen_is_known_to_the_next_session_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let known = |history: &History| {
            let answer = history.answer("/api/v2/ci/libraries/tests", b"").unwrap();
            answer["data"]["attributes"]["tests"].clone()
        };
        let history = History::open(Some(folder.path().to_owned()), false);
        assert_eq!(
            history.take_cycle(&cycle(1, &[("a", "pass"), ("b", "fail")], false)),
            Ok(2)
        );
        assert_eq!(known(&history), json!({}), "the session has not ended");
        assert_eq!(history.take_cycle(&cycle(1, &[("b", "pass")], true)), Ok(2));
        assert_eq!(known(&history), json!({"m": {"s": ["a", "b"]}}));
        let again = History::open(Some(folder.path().to_owned()), false);
        assert_eq!(known(&again), json!({"m": {"s": ["a", "b"]}}));
        again.read(|sessions| {
            let session = &sessions[0];
            assert_eq!(
                (
                    session.command.as_str(),
                    session.branch.as_str(),
                    session.start
                ),
                ("cargo test", "main", 900)
            );
            assert!(session.tests()[1].is_flaky());
            assert_eq!(session.runs[0].line, 7);
        });
        assert_eq!(history.trouble(), None);
    }

    #[test]
    fn files_answer_before_what_was_seen() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(Some(folder.path().to_owned()), false);
        let path = "/api/v2/libraries/tests/services/setting";
        assert_eq!(
            history.answer(path, b"").unwrap()["data"]["attributes"]["flaky_test_retries_enabled"],
            true
        );
        std::fs::write(
            folder.path().join("settings.json"),
            r#"{"data": {"attributes": {}}}"#,
        )
        .unwrap();
        assert_eq!(
            history.answer(path, b"").unwrap(),
            json!({"data": {"attributes": {}}})
        );
        assert_eq!(history.answer("/api/v2/other", b""), None);
    }

    #[test]
    fn commits_are_known_once_their_pack_has_come() {
        let history = History::default();
        let body = br#"{"meta": {}, "data": [{"id": "aa", "type": "commit"}]}"#;
        let search = || {
            history
                .answer("/api/v2/git/repository/search_commits", body)
                .unwrap()
        };
        assert_eq!(search(), json!({"data": []}));
        history.take_pack();
        assert_eq!(search(), json!({"data": [{"id": "aa", "type": "commit"}]}));
    }

    #[test]
    fn coverage_is_tied_to_its_test() {
        let history = History::default();
        history
            .take_cycle(&cycle(1, &[("a", "pass")], false))
            .unwrap();
        let mut body = Vec::new();
        rmp::encode::write_map_len(&mut body, 2).unwrap();
        text(&mut body, "version");
        rmp::encode::write_uint(&mut body, 2).unwrap();
        text(&mut body, "coverages");
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_map_len(&mut body, 3).unwrap();
        for (key, id) in [("test_session_id", 1), ("span_id", 1)] {
            text(&mut body, key);
            rmp::encode::write_uint(&mut body, id).unwrap();
        }
        text(&mut body, "files");
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_map_len(&mut body, 2).unwrap();
        text(&mut body, "filename");
        text(&mut body, "/src/lib.rs");
        text(&mut body, "bitmap");
        rmp::encode::write_bin(&mut body, &[0x71]).unwrap();
        assert_eq!(history.take_coverage(&body), Ok(1));
        history.read(|sessions| {
            let coverage = &sessions[0].runs[0].coverage;
            assert_eq!(coverage["src/lib.rs"], [(1, 3), (7, 7)]);
        });
        // It may come first.
        let other = History::default();
        assert_eq!(other.take_coverage(&body), Ok(1));
        other
            .take_cycle(&cycle(1, &[("a", "pass")], false))
            .unwrap();
        let covered = other.read(|sessions| sessions[0].runs[0].coverage.len());
        assert_eq!(covered, 1);
        assert!(history.take_coverage(&body[..body.len() - 1]).is_err());
        assert!(history.take_cycle(b"\xc1").is_err());
    }

    #[test]
    fn sessions_are_bounded() {
        let history = History::default();
        for session in 1..300 {
            history
                .take_cycle(&cycle(session, &[("a", "pass")], true))
                .unwrap();
        }
        assert_eq!(history.read(VecDeque::len), disk::SESSIONS);
    }
}
