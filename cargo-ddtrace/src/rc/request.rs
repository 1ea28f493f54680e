//! The body of `POST /v0.7/config`: who asks, and what it has.

use ddtrace_core::base64;
use serde_json::Value;

use crate::store::counts;

/// Entries of one list that are looked at.
const MOST: usize = 4096;

/// What a client says.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) products: Vec<String>,
    pub(super) runtime_id: String,
    pub(super) service: String,
    pub(super) env: String,
    app_version: String,
    language: String,
    tracer_version: String,
    pub(super) capabilities: Vec<u32>,
    pub(super) targets_version: u64,
    /// As text, whatever form it was sent in.
    pub(super) backend_state: String,
    /// Why the last answer was not taken over.
    pub(super) error: String,
    pub(super) states: Vec<FileState>,
    /// Paths and hashes that it has.
    pub(super) cached: Vec<(String, String)>,
}

/// What a client says about a file.
#[derive(Debug, Clone)]
pub(super) struct FileState {
    pub(super) product: String,
    pub(super) config_id: String,
    pub(super) version: u64,
    pub(super) state: u64,
    pub(super) error: String,
}

impl Request {
    /// Reads a body, or says what is wrong with it.
    pub(super) fn read(body: &[u8]) -> Result<Request, String> {
        let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let client = &value["client"];
        let id = text(&client["id"]);
        if id.is_empty() {
            return Err("client.id is missing".into());
        }
        let tracer = &client["client_tracer"];
        let state = &client["state"];
        let states = list(&state["config_states"]).map(|entry| FileState {
            product: text(&entry["product"]),
            config_id: text(&entry["id"]),
            version: entry["version"].as_u64().unwrap_or(0),
            state: entry["apply_state"].as_u64().unwrap_or(0),
            error: text(&entry["apply_error"]),
        });
        let cached = list(&value["cached_target_files"]).map(|file| {
            let hash = list(&file["hashes"]).find(|hash| hash["algorithm"] == "sha256");
            let hash = hash.map(|hash| text(&hash["hash"]));
            (text(&file["path"]), hash.unwrap_or_default())
        });
        Ok(Request {
            id,
            products: list(&client["products"]).map(text).collect(),
            runtime_id: text(&tracer["runtime_id"]),
            service: text(&tracer["service"]),
            env: text(&tracer["env"]),
            app_version: text(&tracer["app_version"]),
            language: text(&tracer["language"]),
            tracer_version: text(&tracer["tracer_version"]),
            capabilities: bits(&bytes(&client["capabilities"])),
            targets_version: state["targets_version"].as_u64().unwrap_or(0),
            backend_state: backend_state(&state["backend_client_state"]),
            error: if state["has_error"] == true {
                Some(text(&state["error"]))
                    .filter(|error| !error.is_empty())
                    .unwrap_or_else(|| "an error without a text".into())
            } else {
                String::new()
            },
            states: states.collect(),
            cached: cached.collect(),
        })
    }

    /// The process, for the list of clients.
    pub(super) fn who(&self) -> counts::Client {
        counts::Client {
            runtime_id: self.runtime_id.clone(),
            service: self.service.clone(),
            env: self.env.clone(),
            app_version: self.app_version.clone(),
            language: self.language.clone(),
            tracer_version: self.tracer_version.clone(),
            ..counts::Client::default()
        }
    }

    pub(super) fn language(&self) -> &str {
        &self.language
    }

    pub(super) fn tracer_version(&self) -> &str {
        &self.tracer_version
    }
}

/// A text, cut to what may be kept of it.
fn text(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.chars().take(1024).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten().take(MOST)
}

/// Bytes in either form: Base64, or a list of numbers.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => base64::decode(text).unwrap_or_default(),
        _ => list(value)
            .filter_map(|byte| u8::try_from(byte.as_u64()?).ok())
            .collect(),
    }
}

/// The state of the backend: a text, or the bytes of that text (libdatadog).
fn backend_state(value: &Value) -> String {
    match value {
        Value::Array(_) => String::from_utf8_lossy(&bytes(value)).into_owned(),
        _ => text(value),
    }
}

/// The numbers of the bits that are set, of a big-endian number.
fn bits(bytes: &[u8]) -> Vec<u32> {
    let bytes = &bytes[bytes.len().saturating_sub(32)..];
    let set = bytes.iter().rev().zip(0..).flat_map(|(byte, at)| {
        (0..8)
            .filter(move |bit| byte >> bit & 1 == 1)
            .map(move |bit| at * 8 + bit)
    });
    set.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn capabilities_come_as_text_or_as_numbers() {
        let expected = [12, 13, 14, 15, 19, 29, 45];
        let bytes = [0x20, 0, 0x20, 0x08, 0xf0, 0];
        let text = base64::encode(&bytes);
        for capabilities in [json!(text), json!(bytes)] {
            let body = json!({"client": {"id": "c", "capabilities": capabilities}}).to_string();
            assert_eq!(
                Request::read(body.as_bytes()).unwrap().capabilities,
                expected
            );
        }
    }

    #[test]
    fn the_state_of_the_backend_comes_as_text_or_as_its_bytes() {
        for state in [json!("abc="), json!(b"abc=")] {
            let body = json!({"client": {"id": "c", "state": {"backend_client_state": state}}});
            let request = Request::read(body.to_string().as_bytes()).unwrap();
            assert_eq!(request.backend_state, "abc=");
        }
    }

    #[test]
    fn a_client_without_an_id_is_none() {
        for body in ["", "[]", "{}", r#"{"client": {"id": 5}}"#, "{\"client\":"] {
            assert!(Request::read(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::read(&body);
        }
    }
}
