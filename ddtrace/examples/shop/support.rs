//! Support: an assistant that answers customers' questions with the help of a language model.
//!
//! ```text
//!   question ──> agent ──> retrieval ──> embeddings
//!                  ├────> model ──> wants to know what is in stock
//!                  ├────> tool ───> warehouse
//!                  └────> model ──> answers, word by word
//! ```
//!
//! Agent, retrieval and tool say so themselves; calls of the model are seen on their way out, because they are requests to an
//! OpenAI-compatible server that are sent with `send_traced`. The server is played by `provider.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use ddtrace::llmobs::{
    self, Annotation, Document, Evaluation, ExportedSpan, Kind, Metric, Options,
};
use ddtrace::reqwest::RequestBuilderExt as _;
use ddtrace::trace;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::service::Error;
use crate::warehouse::Stock;

/// The tool that tells what is in stock.
pub(crate) const STOCK_OF: &str = "stock_of";

/// What begins a line of the model's instructions that is knowledge.
pub(crate) const KNOWN: &str = "It is known that: ";

const MODEL: &str = "tea-chat-1";
const EMBEDDING_MODEL: &str = "tea-embedding-1";

/// How often the model may ask for a tool before it has to answer.
const TURNS: usize = 3;

/// What the assistant can look up.
const KNOWLEDGE: [(&str, &str); 4] = [
    (
        "shipping",
        "Parcels leave on the same day if they are ordered before noon, and take two days.",
    ),
    (
        "returns",
        "Whatever is unopened can be sent back within thirty days.",
    ),
    (
        "brewing",
        "Green tea wants water of seventy degrees, oolong ninety, and neither likes to wait.",
    ),
    (
        "payment",
        "We take all cards that have not been reported stolen.",
    ),
];

/// A customer's question.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Question {
    pub customer: String,
    pub text: String,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the model could not be asked")]
    Model(#[from] reqwest::Error),
    #[error("the model broke off: {0}")]
    BrokeOff(String),
    #[error("the model did not come to an answer")]
    NoAnswer,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::BAD_GATEWAY, self.to_string()).into_response()
    }
}

struct Assistant {
    client: reqwest::Client,
    models: String,
    warehouse: String,
    /// What it knows, with the vector of each text.
    knowledge: tokio::sync::OnceCell<Vec<Vec<f64>>>,
}

/// Opens the support desk.
pub(crate) async fn router(models: String, warehouse: String) -> Result<Router, Error> {
    llmobs::enable(Options::default().ml_app("tea-support"))?;
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()?;
    let assistant = Arc::new(Assistant {
        client,
        models,
        warehouse,
        knowledge: tokio::sync::OnceCell::new(),
    });
    Ok(Router::new()
        .route("/questions", post(question))
        .with_state(assistant))
}

#[trace(err(handled))]
async fn question(
    State(assistant): State<Arc<Assistant>>,
    Json(question): Json<Question>,
) -> Result<String, Failure> {
    let agent = llmobs::span(Kind::Agent)
        .name("support assistant")
        .session_id(question.customer)
        .start();
    let exported = agent.export();
    let answer = agent.instrument(async {
        say(Annotation::new().input(question.text.as_str()));
        let answer = assistant.answer(&question.text).await;
        say(match &answer {
            Ok(text) => Annotation::new().output(text.as_str()),
            Err(failure) => Annotation::new().error("Failure", failure.to_string(), ""),
        });
        answer
    });
    let answer = answer.await;
    if let Some(agent) = exported {
        rate(agent, answer.as_deref().unwrap_or_default());
    }
    answer
}

/// What a customer thinks of an answer: the more it says, the better.
fn rate(agent: ExportedSpan, answer: &str) {
    let words = answer.split_whitespace().count();
    let helpful = Evaluation::new("helpful", Metric::Boolean(words > 8), agent.clone());
    let length = Evaluation::new("words", Metric::Score(words as f64), agent);
    for evaluation in [helpful, length] {
        if let Err(error) = evaluation.submit() {
            eprintln!("support: {error}");
        }
    }
}

/// Says something about the span that is in force. What could be wrong with it is told in the log.
fn say(annotation: Annotation) {
    if let Err(error) = llmobs::annotate(annotation) {
        eprintln!("support: {error}");
    }
}

impl Assistant {
    /// Looks things up, asks the model, does what it wants to have done, until it answers.
    async fn answer(&self, question: &str) -> Result<String, Failure> {
        let documents = self.look_up(question).await?;
        let known: Vec<String> = documents
            .iter()
            .map(|document| format!("{KNOWN}{}", document.text))
            .collect();
        let instructions = format!(
            "You help customers of a tea shop. Be brief.\n{}",
            known.join("\n")
        );
        let mut messages = vec![
            json!({"role": "system", "content": instructions}),
            json!({"role": "user", "content": question}),
        ];
        for _ in 0..TURNS {
            let message = self.ask_model(&messages).await?;
            let Some(call) = message["tool_calls"].get(0).cloned() else {
                return Ok(message["content"].as_str().unwrap_or_default().to_owned());
            };
            let result = self.use_tool(&call).await;
            messages.extend([
                message,
                json!({"role": "tool", "tool_call_id": call["id"], "content": result}),
            ]);
        }
        Err(Failure::NoAnswer)
    }

    /// The two texts that are nearest to the question.
    async fn look_up(&self, question: &str) -> Result<Vec<Document>, Failure> {
        let retrieval = llmobs::span(Kind::Retrieval).name("look up").start();
        let found = retrieval.instrument(async {
            say(Annotation::new().input(question));
            let texts = KNOWLEDGE.map(|(_, text)| text);
            let knowledge = self
                .knowledge
                .get_or_try_init(|| self.embed(&texts))
                .await?;
            let asked = self.embed(&[question]).await?.pop().unwrap_or_default();
            let near =
                |vector: &Vec<f64>| -> f64 { vector.iter().zip(&asked).map(|(a, b)| a * b).sum() };
            let mut found: Vec<Document> = KNOWLEDGE
                .iter()
                .zip(knowledge)
                .map(|(&(id, text), vector)| Document {
                    id: Some(id.to_owned()),
                    score: Some(near(vector)),
                    ..Document::new(text)
                })
                .collect();
            found.sort_by(|a, b| {
                b.score
                    .partial_cmp(&a.score)
                    .unwrap_or(std::cmp::Ordering::Equal)
            });
            found.truncate(2);
            say(Annotation::new().output(found.clone()));
            Ok(found)
        });
        found.await
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f64>>, Failure> {
        let request = json!({"model": EMBEDDING_MODEL, "input": texts});
        let answer: Value = self.send("embeddings", &request).await?.json().await?;
        let data = answer["data"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let vectors = data
            .iter()
            .map(|item| serde_json::from_value(item["embedding"].clone()).unwrap_or_default());
        Ok(vectors.collect())
    }

    /// The message that the model answers, put together from its pieces.
    async fn ask_model(&self, messages: &[Value]) -> Result<Value, Failure> {
        let stock_of = json!({"name": STOCK_OF, "description": "What is in stock of a product", "parameters": {
            "type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}});
        let request = json!({
            "model": MODEL, "messages": messages, "temperature": 0.2, "tools": [{"type": "function", "function": stock_of}],
            "stream": true, "stream_options": {"include_usage": true},
        });
        let mut response = self
            .send("chat/completions", &request)
            .await?
            .error_for_status()?;
        let mut told = String::new();
        while let Some(chunk) = response.chunk().await? {
            told.push_str(&String::from_utf8_lossy(&chunk));
        }
        let mut message = json!({"role": "assistant", "content": ""});
        let mut content = String::new();
        let events = told
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
        for event in events {
            if let Some(error) = event["error"]["message"].as_str() {
                return Err(Failure::BrokeOff(error.to_owned()));
            }
            let delta = &event["choices"][0]["delta"];
            content.push_str(delta["content"].as_str().unwrap_or_default());
            if let Some(piece) = delta["tool_calls"].get(0) {
                merge(&mut message, piece);
            }
        }
        message["content"] = Value::from(content);
        Ok(message)
    }

    async fn send(&self, operation: &str, request: &Value) -> reqwest::Result<reqwest::Response> {
        let url = format!("http://{}/openai/v1/{operation}", self.models);
        self.client.post(url).json(request).send_traced().await
    }

    /// Does what the model wants to have done. Whatever goes wrong is an answer, too.
    async fn use_tool(&self, call: &Value) -> String {
        let name = call["function"]["name"].as_str().unwrap_or_default();
        let arguments: Value =
            serde_json::from_str(call["function"]["arguments"].as_str().unwrap_or_default())
                .unwrap_or_default();
        let tool = llmobs::span(Kind::Tool)
            .name(name.to_owned())
            .version("1")
            .start();
        tool.instrument(async {
            let id = call["id"].as_str().unwrap_or_default();
            say(Annotation::new()
                .input(arguments.clone())
                .answers_tool_call(id, name));
            let result = match self
                .stock_of(arguments["sku"].as_str().unwrap_or_default())
                .await
            {
                Ok(stock) => format!(
                    "There are {} of {} at {} cents.",
                    stock.pieces, stock.title, stock.cents
                ),
                Err(error) => format!("Nobody knows: {}.", error.without_url()),
            };
            say(Annotation::new().output(result.as_str()));
            result
        })
        .await
    }

    async fn stock_of(&self, sku: &str) -> reqwest::Result<Stock> {
        let url = format!("http://{}/stock/{sku}", self.warehouse);
        self.client
            .get(url)
            .send_traced()
            .await?
            .error_for_status()?
            .json()
            .await
    }
}

/// Adds a piece of a tool's call to the message.
fn merge(message: &mut Value, piece: &Value) {
    let Some(arguments) = message.pointer_mut("/tool_calls/0/function/arguments") else {
        message["tool_calls"] = json!([piece]);
        return;
    };
    let so_far = arguments.as_str().unwrap_or_default();
    let more = piece["function"]["arguments"].as_str().unwrap_or_default();
    *arguments = Value::from(format!("{so_far}{more}"));
}
