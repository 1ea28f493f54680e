//! Projects, datasets, experiments and prompts in memory, behind the routes that the library calls.
//!
//! The service's documentation does not describe these routes; what is answered follows from what dd-trace-py reads of the
//! answers (`ddtrace/llmobs/_writer.py`, `_experiment.py`, `_prompts/manager.py`). With it, datasets and experiments work
//! without an account. What was made here lasts as long as the agent.
//!
//! Everything counts against one room of bytes; what would not fit is refused with 413, since records must not vanish.

mod datasets;
mod experiments;
mod prompts;

pub use datasets::{Dataset, Record};
pub use experiments::Experiment;
pub use prompts::{Prompt, Version};

use serde_json::{Value, json};

/// Things of one kind.
const MOST: usize = 10_000;

/// What is kept.
#[derive(Debug)]
pub struct Backend {
    room: usize,
    bytes: usize,
    projects: Vec<Project>,
    datasets: Vec<Dataset>,
    experiments: Vec<Experiment>,
    prompts: Vec<Prompt>,
}

/// A project: a name for datasets and experiments that belong together.
#[derive(Debug)]
pub struct Project {
    /// Made here.
    pub id: String,
    /// As it was given.
    pub name: String,
}

/// A request to one of the routes.
#[derive(Debug)]
pub struct Ask<'r> {
    /// `GET`, `POST`, …
    pub method: &'r str,
    /// Parts of the path behind `llm-obs/v1`, decoded.
    pub path: Vec<String>,
    /// Parameters of the address, decoded, in their order.
    pub query: Vec<(String, String)>,
    /// The body as JSON; null if there is none.
    pub body: Value,
    /// The body of an upload.
    pub file: Option<&'r [u8]>,
}

impl Ask<'_> {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn attributes(&self) -> &Value {
        &self.body["data"]["attributes"]
    }
}

/// An answer: status and body.
pub type Reply = (u16, Value);

fn refuse(status: u16, what: &str) -> Reply {
    (
        status,
        json!({"errors": [{"title": what, "detail": what}], "detail": what}),
    )
}

pub(super) fn missing(what: &str) -> Reply {
    refuse(404, &format!("{what} is not known here"))
}

fn wrong(what: &str) -> Reply {
    refuse(400, what)
}

/// What came beside the answer: spans and metrics of experiments.
#[derive(Debug, Default)]
pub struct Brought {
    /// Span events.
    pub spans: Vec<Value>,
}

impl Backend {
    /// Nothing yet, and room for that many bytes.
    pub fn new(room: usize) -> Backend {
        Backend {
            room,
            bytes: 0,
            projects: Vec::new(),
            datasets: Vec::new(),
            experiments: Vec::new(),
            prompts: Vec::new(),
        }
    }

    /// Answers a request.
    pub fn answer(&mut self, ask: &Ask<'_>) -> (Reply, Brought) {
        let mut brought = Brought::default();
        let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
        let reply = match (ask.method, &path[..]) {
            ("POST", ["projects"]) => self.project(ask),
            ("POST", ["datasets", "delete"]) => self.delete_datasets(ask),
            ("POST", ["datasets", id, "records", "upload"]) => self.upload(id, ask),
            ("POST", [project, "datasets"]) => self.create_dataset(project, ask),
            ("GET", [project, "datasets"]) => self.list_datasets(project, ask),
            ("GET", [_, "datasets", id, "records"]) => self.records(id, ask),
            ("POST", [_, "datasets", id, "batch_update"]) => self.update_dataset(id, ask),
            ("POST", ["experiments"]) => self.create_experiment(ask),
            ("GET", ["experiments"]) => self.list_experiments(ask),
            ("PATCH", ["experiments", id]) => self.update_experiment(id, ask),
            ("POST", ["experiments", id, "events"]) => self.take_events(id, ask, &mut brought),
            ("PUT", ["config", "evaluators", "custom"]) => (200, json!({"data": null})),
            ("GET", ["prompts"]) => self.list_prompts(),
            ("POST", ["prompts"]) => self.create_prompt(ask),
            ("POST", ["prompts", id, "resolve"]) => self.resolve_prompt(id, ask),
            ("GET", ["prompts", id]) => self.get_prompt(id, ask.parameter("label")),
            ("PATCH", ["prompts", id]) => self.update_prompt(id, ask),
            ("DELETE", ["prompts", id]) => self.delete_prompt(id),
            ("GET", ["prompts", id, "versions"]) => self.list_versions(id),
            ("POST", ["prompts", id, "versions"]) => self.create_version(id, ask),
            ("GET", ["prompts", id, "versions", n]) => self.get_version(id, n),
            ("PATCH", ["prompts", id, "versions", n]) => self.update_version(id, n, ask),
            _ => refuse(404, "this route is not known here"),
        };
        (reply, brought)
    }

    fn project(&mut self, ask: &Ask<'_>) -> Reply {
        let Some(name) = name(&ask.attributes()["name"]) else {
            return wrong("name is missing");
        };
        let found = self.projects.iter().find(|project| project.name == name);
        let id = match found {
            Some(project) => project.id.clone(),
            None if self.projects.len() >= MOST => return refuse(413, "too many projects"),
            None => {
                let id = new_id();
                self.projects.push(Project {
                    id: id.clone(),
                    name: name.clone(),
                });
                id
            }
        };
        (
            200,
            json!({"data": {"id": id, "type": "projects", "attributes": {"name": name, "description": ""}}}),
        )
    }

    /// Whether so much more fits; if so it is counted.
    fn hold(&mut self, bytes: usize) -> bool {
        let fits = self.bytes + bytes <= self.room;
        self.bytes += if fits { bytes } else { 0 };
        fits
    }

    fn free(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// The name of a project, or its id if it has none here.
    pub fn project_name<'b>(&'b self, id: &'b str) -> &'b str {
        self.projects
            .iter()
            .find(|project| project.id == id)
            .map_or(id, |project| &project.name)
    }

    /// Datasets in the order of their making.
    pub fn datasets(&self) -> &[Dataset] {
        &self.datasets
    }

    /// Experiments in the order of their making.
    pub fn experiments(&self) -> &[Experiment] {
        &self.experiments
    }

    /// Prompts in the order of their making.
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }

    /// Bytes of memory, about.
    pub fn memory(&self) -> usize {
        self.bytes
    }
}

/// A name that is there and not longer than a name may be.
fn name(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|name| !name.is_empty() && name.len() <= 2000)
        .map(str::to_owned)
}

/// A random id in the form of a UUID.
fn new_id() -> String {
    let mut bytes = [0_u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Without randomness a number that grows does: ids need to differ, not to be secret.
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        bytes[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    }
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

fn now_ms() -> i64 {
    crate::store::now() / 1_000_000
}

/// Milliseconds since the epoch as RFC 3339.
fn rfc3339(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Days to a date, by eras of 400 years that begin in March (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        rest % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks as the library does.
    pub(super) fn ask(backend: &mut Backend, method: &str, path: &str, body: Value) -> Reply {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        let ask = Ask {
            method,
            path: path.split('/').map(str::to_owned).collect(),
            query: query
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            body,
            file: None,
        };
        backend.answer(&ask).0
    }

    #[test]
    fn a_project_is_made_once() {
        let mut backend = Backend::new(1 << 20);
        let body =
            json!({"data": {"type": "projects", "attributes": {"name": "p", "description": ""}}});
        let (status, first) = ask(&mut backend, "POST", "projects", body.clone());
        assert_eq!(status, 200);
        let (_, second) = ask(&mut backend, "POST", "projects", body);
        assert_eq!(first["data"]["id"], second["data"]["id"]);
        assert_eq!(ask(&mut backend, "POST", "projects", Value::Null).0, 400);
        assert_eq!(
            ask(&mut backend, "GET", "nothing/at/all", Value::Null).0,
            404
        );
    }

    #[test]
    fn times_are_written_as_dates() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
        }
        let id = new_id();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
    }
}
