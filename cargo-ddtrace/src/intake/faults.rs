//! Answers that are wrong on purpose: the test double of every bad-weather test.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// What to do instead of answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Do {
    /// This status and body.
    Status(u16, String),
    /// The usual answer, later.
    Delay(Duration),
    /// Nothing.
    Hang,
    /// The connection ends in the middle of the answer.
    Close,
    /// Bytes that mean nothing.
    Garbage,
    /// A length that is longer than the body.
    WrongLength,
}

impl Do {
    /// Its name in the API.
    pub fn name(&self) -> &'static str {
        match self {
            Do::Status(..) => "status",
            Do::Delay(_) => "delay",
            Do::Hang => "hang",
            Do::Close => "close",
            Do::Garbage => "garbage",
            Do::WrongLength => "wrong_length",
        }
    }
}

#[derive(Debug)]
struct Fault {
    path: String,
    what: Do,
    times: Option<u64>,
    until: Option<Instant>,
    hits: u64,
}

/// The faults in force.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Fault>>);

/// The longest delay or time of a fault.
const LONGEST_MS: u64 = 3_600_000;

impl Faults {
    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The fault for a request, which is thereby used once.
    pub fn next(&self, path: &str) -> Option<Do> {
        let now = Instant::now();
        let mut list = self.list();
        list.retain(|fault| fault.until.is_none_or(|until| until > now));
        let fault = list.iter_mut().find(|fault| {
            fault.times != Some(0)
                && match fault.path.strip_suffix('*') {
                    Some(beginning) => path.starts_with(beginning),
                    None => path == fault.path,
                }
        })?;
        fault.hits += 1;
        fault.times = fault.times.map(|times| times - 1);
        Some(fault.what.clone())
    }

    /// Replaces the list; the error says which entry is wrong.
    pub fn replace(&self, body: &Value) -> Result<(), String> {
        let list = body["faults"]
            .as_array()
            .ok_or("expected {\"faults\": […]}")?;
        let faults: Result<Vec<_>, _> = list
            .iter()
            .enumerate()
            .map(|(number, fault)| read(fault).map_err(|what| format!("fault {number}: {what}")))
            .collect();
        *self.list() = faults?;
        Ok(())
    }

    /// The list as the API shows it.
    pub fn show(&self) -> Value {
        let now = Instant::now();
        let list: Vec<_> = self
            .list()
            .iter()
            .map(|fault| {
                let mut shown = Map::new();
                shown.insert("path".into(), fault.path.clone().into());
                shown.insert("do".into(), fault.what.name().into());
                match &fault.what {
                    Do::Status(status, body) => {
                        shown.insert("status".into(), (*status).into());
                        shown.insert("body".into(), body.clone().into());
                    }
                    Do::Delay(delay) => {
                        drop(shown.insert("delay_ms".into(), (delay.as_millis() as u64).into()))
                    }
                    _ => {}
                }
                let left = fault
                    .until
                    .map(|until| until.saturating_duration_since(now).as_millis() as u64);
                shown.insert("times".into(), fault.times.into());
                shown.insert("for_ms".into(), left.into());
                shown.insert("hits".into(), fault.hits.into());
                Value::Object(shown)
            })
            .collect();
        json!({"faults": list})
    }
}

fn read(fault: &Value) -> Result<Fault, String> {
    let number = |key: &str| match &fault[key] {
        Value::Null => Ok(None),
        value => value
            .as_u64()
            .map(Some)
            .ok_or(format!("{key} is not a whole number")),
    };
    let path = fault["path"].as_str().ok_or("path is missing")?;
    if path.starts_with("/api/") && !super::is_intake_api(path) {
        return Err("the API cannot be faulted".into());
    }
    let what = match fault["do"].as_str().ok_or("do is missing")? {
        "status" => {
            let status = number("status")?.ok_or("status is missing")?;
            let status = u16::try_from(status)
                .ok()
                .filter(|status| (200..600).contains(status));
            let body = fault["body"].as_str().unwrap_or_default().to_owned();
            Do::Status(status.ok_or("status is not one of 200 to 599")?, body)
        }
        "delay" => Do::Delay(Duration::from_millis(
            number("delay_ms")?
                .ok_or("delay_ms is missing")?
                .min(LONGEST_MS),
        )),
        "hang" => Do::Hang,
        "close" => Do::Close,
        "garbage" => Do::Garbage,
        "wrong_length" => Do::WrongLength,
        other => {
            return Err(format!(
                "do is none of status, delay, hang, close, garbage, wrong_length: {other:?}"
            ));
        }
    };
    let until =
        number("for_ms")?.map(|ms| Instant::now() + Duration::from_millis(ms.min(LONGEST_MS)));
    Ok(Fault {
        path: path.to_owned(),
        what,
        times: number("times")?,
        until,
        hits: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_used_up() {
        let faults = Faults::default();
        let list = json!({"faults": [
            {"path": "/v0.4/traces", "do": "status", "status": 503, "times": 1},
            {"path": "/v0*", "do": "hang"},
        ]});
        faults.replace(&list).unwrap();
        assert_eq!(
            faults.next("/v0.4/traces"),
            Some(Do::Status(503, String::new()))
        );
        assert_eq!(faults.next("/v0.4/traces"), Some(Do::Hang));
        assert_eq!(faults.next("/info"), None);
        assert_eq!(faults.show()["faults"][0]["times"], 0);
    }

    #[test]
    fn a_wrong_list_changes_nothing() {
        let faults = Faults::default();
        let error = faults
            .replace(&json!({"faults": [{"path": "/info", "do": "explode"}]}))
            .unwrap_err();
        assert!(error.starts_with("fault 0: do is none of"), "{error}");
        assert_eq!(
            faults.replace(&json!([])),
            Err("expected {\"faults\": […]}".into())
        );
        assert_eq!(faults.next("/info"), None);
    }
}
