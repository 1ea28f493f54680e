//! The server: which path is whose, and how an answer goes out.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::ask::Ask;
use crate::reply::{Fault, Reply};
use crate::{Script, anthropic, gemini, ollama, openai};

/// The largest request that is taken.
const MAX_BODY: usize = 32 << 20;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its path and query.
    pub target: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// The server. It listens on a free port of the loopback interface until it is dropped.
#[derive(Debug)]
pub struct Models {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

struct Shared {
    script: Box<dyn Fn(&Ask) -> Reply + Send + Sync>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Models {
    /// Starts it, on the tokio runtime of the caller.
    ///
    /// # Errors
    ///
    /// No port could be had.
    pub async fn start(script: impl Script) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let received = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::new(Shared {
            script: Box::new(script),
            received: Arc::clone(&received),
        });
        let router = Router::new().fallback(answer).with_state(shared);
        let task = tokio::spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            received,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is, with a path in front of the provider's own: `openai/v1`, `anthropic`, `google`, `ollama`, …
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The requests that came, in their order.
    pub fn received(&self) -> Vec<Received> {
        let received = self.received.lock();
        received.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Models {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes an answer down.
type Write<T> = Box<dyn Fn(&Ask, &Reply) -> T + Send>;

/// How a provider shapes what it says.
struct Shape {
    ask: Ask,
    /// An answer in one piece.
    whole: Write<Value>,
    /// An answer in pieces, and its media type.
    pieces: Write<Vec<String>>,
    media_type: &'static str,
    /// An error in the provider's words, by itself and in a stream.
    error: fn(u16, &str) -> Value,
    error_piece: fn(&Value) -> String,
}

const SSE: &str = "text/event-stream";
const NDJSON: &str = "application/x-ndjson";

fn data_line(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn shape(path: &str, body: &Value) -> Option<Shape> {
    type Whole = fn(&Ask, &Reply) -> Value;
    type Pieces = fn(&Ask, &Reply) -> Vec<String>;
    let openai = |whole: Whole, pieces: Pieces| Shape {
        ask: openai::read(body),
        whole: Box::new(whole),
        pieces: Box::new(pieces),
        media_type: SSE,
        error: |_, message| openai::error(message),
        error_piece: data_line,
    };
    let ollama = |is_chat: bool| Shape {
        ask: ollama::read(body),
        whole: Box::new(move |ask, reply| ollama::whole(ask, reply, is_chat)),
        pieces: Box::new(move |ask, reply| ollama::lines(ask, reply, is_chat)),
        media_type: NDJSON,
        error: |_, message| ollama::error(message),
        error_piece: |value| format!("{value}\n"),
    };
    if path.ends_with("/chat/completions") {
        Some(openai(openai::chat, openai::chat_events))
    } else if path.ends_with("/completions") {
        Some(openai(openai::completion, openai::completion_events))
    } else if path.ends_with("/responses") {
        Some(openai(openai::response, openai::response_events))
    } else if path.ends_with("/api/chat") {
        Some(ollama(true))
    } else if path.ends_with("/api/generate") {
        Some(ollama(false))
    } else if path.ends_with("/v1/messages") {
        Some(Shape {
            ask: anthropic::read(body),
            whole: Box::new(anthropic::message),
            pieces: Box::new(anthropic::events),
            media_type: SSE,
            error: |_, message| anthropic::error(message),
            error_piece: anthropic::line,
        })
    } else {
        let (model, method) = path.rsplit_once("/models/")?.1.split_once(':')?;
        let stream = match method {
            "generateContent" => false,
            "streamGenerateContent" => true,
            _ => return None,
        };
        Some(Shape {
            ask: gemini::read(model, stream, body),
            whole: Box::new(gemini::whole),
            pieces: Box::new(gemini::events),
            media_type: SSE,
            error: gemini::error,
            error_piece: data_line,
        })
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_BODY).await else {
        return json(StatusCode::PAYLOAD_TOO_LARGE, &Value::Null);
    };
    let target = parts.uri.path_and_query().map(ToString::to_string);
    let received = shared.received.lock();
    received
        .unwrap_or_else(PoisonError::into_inner)
        .push(Received {
            target: target.unwrap_or_default(),
            headers: parts.headers,
            body: bytes.clone(),
        });
    let path = parts.uri.path();
    let Ok(body) = serde_json::from_slice::<Value>(&bytes) else {
        return json(
            StatusCode::BAD_REQUEST,
            &openai::error("the body is not JSON"),
        );
    };
    if path.ends_with("/embeddings") {
        return json(StatusCode::OK, &openai::embeddings(&body));
    } else if path.ends_with(":embedContent") || path.ends_with(":batchEmbedContents") {
        return json(StatusCode::OK, &gemini::embeddings(&body));
    } else if path.ends_with("/api/embed") {
        return json(StatusCode::OK, &ollama::embeddings(&body));
    }
    let Some(shape) = shape(path, &body) else {
        return json(StatusCode::NOT_FOUND, &openai::error("no such path"));
    };
    let reply = (shared.script)(&shape.ask);
    reply_with(&shape, &reply)
}

fn reply_with(shape: &Shape, reply: &Reply) -> Response {
    match &reply.fault {
        Some(Fault::Status(status)) => {
            let code = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            json(code, &(shape.error)(*status, "something broke"))
        }
        Some(Fault::Garbage) => {
            let media_type = if shape.ask.stream {
                shape.media_type
            } else {
                "application/json"
            };
            respond(
                StatusCode::OK,
                media_type,
                Body::from("\u{0}<html>{\"choices\": [\n\ndata: {]\n\n"),
            )
        }
        fault if shape.ask.stream => {
            let mut pieces = (shape.pieces)(&shape.ask, reply);
            let end = match fault {
                Some(Fault::CutAfter(count)) => Some((*count, End::Cut)),
                Some(Fault::HangAfter(count)) => Some((*count, End::Hang)),
                Some(Fault::ErrorAfter(count)) => {
                    pieces.truncate(*count);
                    pieces.push((shape.error_piece)(&(shape.error)(503, "something broke")));
                    None
                }
                _ => None,
            };
            let (count, end) = end.unwrap_or((usize::MAX, End::Good));
            pieces.truncate(count);
            respond(StatusCode::OK, shape.media_type, stream(pieces, reply, end))
        }
        Some(Fault::CutAfter(_)) => {
            let whole = (shape.whole)(&shape.ask, reply).to_string();
            let half = whole.chars().take(whole.chars().count() / 2).collect();
            respond(
                StatusCode::OK,
                "application/json",
                stream(vec![half], reply, End::Cut),
            )
        }
        _ => json(StatusCode::OK, &(shape.whole)(&shape.ask, reply)),
    }
}

#[derive(Clone, Copy)]
enum End {
    Good,
    Cut,
    Hang,
}

/// A body that brings piece after piece.
fn stream(pieces: Vec<String>, reply: &Reply, end: End) -> Body {
    let pace = reply.pace;
    let pieces = stream::unfold(pieces.into_iter(), move |mut pieces| async move {
        let Some(piece) = pieces.next() else {
            return match end {
                End::Good => None,
                End::Cut => Some((Err(io::Error::other("cut by the script")), pieces)),
                End::Hang => std::future::pending().await,
            };
        };
        if pace.is_zero() {
            // So that pieces are chunks of their own.
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pace).await;
        }
        Some((Ok(piece), pieces))
    });
    Body::from_stream(pieces)
}

fn json(status: StatusCode, value: &Value) -> Response {
    respond(status, "application/json", Body::from(value.to_string()))
}

fn respond(status: StatusCode, media_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let media_type = header::HeaderValue::from_static(media_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn post(url: String, body: &Value) -> reqwest::Response {
        let client = reqwest::Client::new();
        client.post(url).json(body).send().await.expect("an answer")
    }

    #[tokio::test]
    async fn every_provider_answers_what_the_script_says() {
        let models = Models::start(|ask: &Ask| match ask.tool_result() {
            None if !ask.tools.is_empty() => Reply::call(&ask.tools[0], "{\"a\":1}"),
            _ => Reply::text("Good morning."),
        })
        .await
        .expect("a port");
        let messages = json!([{"role": "user", "content": "hi"}]);
        // Path, request, where the text is.
        let cases = [
            (
                "openai/v1/chat/completions",
                json!({"model": "m", "messages": messages}),
                "/choices/0/message/content",
            ),
            (
                "openai/v1/completions",
                json!({"model": "m", "prompt": "hi"}),
                "/choices/0/text",
            ),
            (
                "openai/v1/responses",
                json!({"model": "m", "input": "hi"}),
                "/output/0/content/0/text",
            ),
            (
                "anthropic/v1/messages",
                json!({"model": "m", "messages": messages}),
                "/content/0/text",
            ),
            (
                "google/v1beta/models/gemini-2.0-flash:generateContent",
                json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
                "/candidates/0/content/parts/0/text",
            ),
            (
                "ollama/api/chat",
                json!({"model": "m", "messages": messages, "stream": false}),
                "/message/content",
            ),
            (
                "ollama/api/generate",
                json!({"model": "m", "prompt": "hi", "stream": false}),
                "/response",
            ),
        ];
        for (path, body, at) in cases {
            let answer: Value = post(models.url(path), &body)
                .await
                .json()
                .await
                .expect("JSON");
            assert_eq!(
                answer.pointer(at),
                Some(&json!("Good morning.")),
                "{path}: {answer}"
            );
            let received = models.received().pop().expect("a request");
            assert_eq!(received.target, format!("/{path}"));
            assert_eq!(
                serde_json::from_slice::<Value>(&received.body).expect("JSON"),
                body
            );
        }
    }

    #[tokio::test]
    async fn bad_days_are_as_the_script_says() {
        for (fault, status, is_whole, has) in [
            (Fault::Status(503), 503, true, "server_error"),
            (Fault::Garbage, 200, true, "<html>"),
            (Fault::ErrorAfter(2), 200, true, "server_error"),
            (Fault::CutAfter(2), 200, false, ""),
        ] {
            let models = Models::start(move |_: &Ask| Reply::fault(fault.clone()))
                .await
                .expect("a port");
            let body = json!({"model": "m", "messages": [], "stream": true});
            let response = post(models.url("openai/v1/chat/completions"), &body).await;
            assert_eq!(response.status(), status);
            let text = response.text().await;
            assert_eq!(text.is_ok(), is_whole);
            assert!(text.unwrap_or_default().contains(has));
        }
    }
}
