//! What was sent and received, and what a decoder makes of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::json;

/// What a decoder gets: one call's request and as much of its response as there was.
#[derive(Debug, Default)]
pub(crate) struct Recorded<'a> {
    /// The request's body, or `null` if it was not in memory or is not JSON.
    pub(crate) request: Value,
    /// The response, if its head arrived.
    pub(crate) response: Option<Response<'a>>,
    /// The model, where the path names it.
    pub(crate) path_model: Option<&'a str>,
    /// How large one image or sound may be that is kept.
    pub(crate) inline_limit: usize,
}

/// A response, read to its end or not.
#[derive(Debug, Default)]
pub(crate) struct Response<'a> {
    /// Its status.
    pub(crate) status: u16,
    /// Its body, as much as was read and kept.
    pub(crate) body: &'a [u8],
    /// The media type, lower-cased and without parameters.
    pub(crate) media_type: &'a str,
    /// Tokens of request and response by the headers of Amazon Bedrock.
    pub(crate) header_tokens: (Option<f64>, Option<f64>),
}

impl Response<'_> {
    /// Whether it tells of a failure instead of answering.
    pub(crate) fn is_failure(&self) -> bool {
        self.status >= 400
    }

    /// Whether it is a stream of server-sent events. A media type says so; some servers forget it.
    pub(crate) fn is_sse(&self) -> bool {
        self.media_type == "text/event-stream"
            || self.body.starts_with(b"data:")
            || self.body.starts_with(b"event:")
            || self.body.starts_with(b": ")
    }

    /// The body as JSON, or `null`.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.body).unwrap_or_default()
    }
}

/// Why a call failed, in the words of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its kind, e.g. `invalid_request_error`.
    pub(crate) kind: String,
    /// What it says.
    pub(crate) message: String,
}

impl Failure {
    /// The failure in the body of an answer with an error status, whatever shape it has.
    pub(crate) fn of_response(response: &Response<'_>) -> Self {
        let body = response.json();
        Self::in_json(&body).unwrap_or_else(|| Self {
            kind: format!("http_{}", response.status),
            message: json::first_chars(&String::from_utf8_lossy(response.body), 1000).to_owned(),
        })
    }

    /// The failure that a JSON value tells of: OpenAI's, Anthropic's and Google's `error`, Ollama's text, Amazon's `message`.
    pub(crate) fn in_json(body: &Value) -> Option<Self> {
        // Google sends an array of one where it would have streamed an array.
        let body = body.get(0).unwrap_or(body);
        let error = match body.get("error") {
            Some(Value::String(message)) => {
                return Some(Self {
                    kind: "error".to_owned(),
                    message: message.clone(),
                });
            }
            Some(error @ Value::Object(_)) => error,
            _ if body.get("message").is_some_and(Value::is_string) => body,
            _ => return None,
        };
        let kind = ["type", "status", "code", "__type"]
            .into_iter()
            .map(|key| error.get(key).map(json::shown).unwrap_or_default())
            .find(|kind| !kind.is_empty())
            .unwrap_or_else(|| "error".to_owned());
        Some(Self {
            kind,
            message: json::text(error, "message").to_owned(),
        })
    }
}

/// Input or output, in the form in which events carry it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Io {
    /// Messages of a conversation.
    Messages(Vec<Value>),
    /// Documents.
    Documents(Vec<Value>),
    /// A text.
    Value(String),
}

/// What a decoder found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exchange {
    /// The model that answered, or else the one that was asked.
    pub(crate) model_name: String,
    /// What was asked.
    pub(crate) input: Option<Io>,
    /// What was answered.
    pub(crate) output: Option<Io>,
    /// Parameters, and why the answer ended.
    pub(crate) metadata: Map<String, Value>,
    /// Tokens and costs.
    pub(crate) metrics: BTreeMap<&'static str, f64>,
    /// The tools that the model could choose from.
    pub(crate) tool_definitions: Vec<Value>,
    /// A prompt that the provider keeps, and what was put into it.
    pub(crate) prompt: Option<Value>,
    /// Whether images or files were put into that prompt.
    pub(crate) prompt_is_multimodal: bool,
    /// Why it failed.
    pub(crate) failure: Option<Failure>,
    /// For a stream: where in the body the first event with content ended.
    pub(crate) first_content: Option<usize>,
    /// Whether the response said that it was at its end.
    pub(crate) is_complete: bool,
}

impl Exchange {
    /// Sets a metric, if there is a number for it.
    pub(crate) fn metric(&mut self, key: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.metrics.insert(key, value);
        }
    }

    /// Sets tokens of input and output and their sum.
    pub(crate) fn tokens(&mut self, input: Option<f64>, output: Option<f64>) {
        self.metric("input_tokens", input);
        self.metric("output_tokens", output);
        if input.is_some() || output.is_some() {
            let total = input.unwrap_or(0.0) + output.unwrap_or(0.0);
            self.metric("total_tokens", Some(total));
        }
    }

    /// Takes from the request what the list names, as it is.
    pub(crate) fn copy_metadata(&mut self, request: &Value, keys: &[&str]) {
        for key in keys {
            if let Some(value) = request.get(*key) {
                self.metadata.insert((*key).to_owned(), value.clone());
            }
        }
    }

    /// Says why the answer ended: the reasons of all choices that have one.
    pub(crate) fn finish_reasons<'a>(&mut self, reasons: impl Iterator<Item = &'a str>) {
        let reasons: Vec<&str> = reasons.filter(|reason| !reason.is_empty()).collect();
        if !reasons.is_empty() {
            self.metadata
                .insert("finish_reason".to_owned(), Value::from(reasons.join(",")));
        }
    }

    /// The output of a call that got no answer: one empty message.
    pub(crate) fn no_answer(&mut self) {
        self.output = Some(Io::Messages(vec![message("", "")]));
    }

    /// Notes that the event which ended here brought the first content.
    pub(crate) fn content_at(&mut self, end: usize) {
        self.first_content.get_or_insert(end);
    }
}

/// A message with text.
pub(crate) fn message(role: &str, content: impl Into<String>) -> Value {
    json!({"role": role, "content": content.into()})
}

/// A call of a tool.
pub(crate) fn tool_call(name: &str, arguments: Value, id: &str, kind: &str) -> Value {
    json!({"name": name, "arguments": arguments, "tool_id": id, "type": kind})
}

/// The result of a tool, as it is given to the model.
pub(crate) fn tool_result(name: Option<&str>, result: String, id: &str, kind: &str) -> Value {
    let mut found = json!({"result": result, "tool_id": id, "type": kind});
    if let Some(name) = name {
        found["name"] = Value::from(name);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_every_provider_are_understood() {
        let cases = [
            // OpenAI, Anthropic, Gemini (twice), Ollama, Bedrock.
            (
                r#"{"error":{"message":"no such model","type":"invalid_request_error","param":"model","code":null}}"#,
                ("invalid_request_error", "no such model"),
            ),
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                ("overloaded_error", "Overloaded"),
            ),
            (
                r#"{"error":{"code":400,"message":"bad key","status":"INVALID_ARGUMENT"}}"#,
                ("INVALID_ARGUMENT", "bad key"),
            ),
            (
                r#"[{"error":{"code":429,"message":"slow down"}}]"#,
                ("429", "slow down"),
            ),
            (
                r#"{"error":"model 'x' not found"}"#,
                ("error", "model 'x' not found"),
            ),
            (
                r#"{"message":"Too many tokens"}"#,
                ("error", "Too many tokens"),
            ),
            (
                "<html>Bad gateway</html>",
                ("http_502", "<html>Bad gateway</html>"),
            ),
            ("", ("http_502", "")),
        ];
        for (body, (kind, message)) in cases {
            let response = Response {
                status: 502,
                body: body.as_bytes(),
                ..Response::default()
            };
            let failure = Failure::of_response(&response);
            assert_eq!(
                (failure.kind.as_str(), failure.message.as_str()),
                (kind, message)
            );
        }
    }
}
