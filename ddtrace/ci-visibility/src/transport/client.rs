//! One request, with its tries.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use ddtrace_core::export::agent::{Deadline, Response, SendError};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use super::error::{RequestError, Unavailable};
use super::retry::{TRIES, asked_pause, pause};
use super::route::{Client, Route, Subdomain};

/// The most of an answer that is read, before and after decompression.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// A request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The part of the backend.
    pub subdomain: Subdomain,
    /// The path, which begins with a slash.
    pub path: &'a str,
    /// The type of the body.
    pub content_type: &'a str,
    /// The body.
    pub body: Bytes,
    /// Whether the body may be compressed.
    pub gzip: bool,
    /// Whether the answer has to be JSON.
    pub wants_json: bool,
}

impl<'a> Call<'a> {
    /// A question in JSON, whose answer is JSON.
    pub fn json(subdomain: Subdomain, path: &'a str, body: &serde_json::Value) -> Call<'a> {
        Call {
            subdomain,
            path,
            content_type: "application/json",
            body: Bytes::from(body.to_string()),
            gzip: false,
            wants_json: true,
        }
    }

    /// Something to deliver; the answer does not matter.
    pub fn delivery(
        subdomain: Subdomain,
        path: &'a str,
        content_type: &'a str,
        body: Bytes,
        gzip: bool,
    ) -> Call<'a> {
        Call {
            subdomain,
            path,
            content_type,
            body,
            gzip,
            wants_json: false,
        }
    }
}

/// What came of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The body, decompressed.
    pub body: Vec<u8>,
    /// Whether it came compressed.
    pub was_compressed: bool,
    /// Bytes that were sent as a body.
    pub sent_bytes: usize,
    /// From the first try to the last.
    pub took: Duration,
}

/// Sends requests to the backend.
#[derive(Debug)]
pub struct Transport {
    route: Route,
    timeout: Duration,
    clients: Mutex<HashMap<Subdomain, Arc<Client>>>,
}

impl Transport {
    /// A transport over this route. `timeout` is for one try.
    pub fn new(route: Route, timeout: Duration) -> Transport {
        Transport {
            route,
            timeout,
            clients: Mutex::default(),
        }
    }

    /// The route.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Sends a request until it is answered, hopeless, or the deadline comes.
    pub async fn post(
        &self,
        call: &Call<'_>,
        deadline: &mut Deadline,
    ) -> Result<Answer, RequestError> {
        let begin = Instant::now();
        let (body, is_compressed) = if call.gzip && self.route.takes_gzip() {
            (Bytes::from(gzip(&call.body)), true)
        } else {
            (call.body.clone(), false)
        };
        let work = async {
            let mut tried = 0;
            loop {
                tried += 1;
                let (error, asked) = match self.attempt(call, body.clone(), is_compressed).await {
                    Ok(answer) => {
                        return Ok(Answer {
                            took: begin.elapsed(),
                            ..answer
                        });
                    }
                    Err(failed) => failed,
                };
                if tried == TRIES || !error.is_retryable() {
                    return Err(error);
                }
                tokio::time::sleep(asked.unwrap_or_else(|| pause(tried))).await;
            }
        };
        deadline
            .limit(work)
            .await
            .unwrap_or(Err(RequestError::Interrupted))
    }

    async fn attempt(
        &self,
        call: &Call<'_>,
        body: Bytes,
        is_compressed: bool,
    ) -> Result<Answer, (RequestError, Option<Duration>)> {
        let client = self.client(call.subdomain).map_err(|error| {
            // The route was tried when it was found, so this is a setting that changed its mind.
            (RequestError::Network(error.to_string()), None)
        })?;
        let mut headers = HeaderMap::new();
        let content_type = HeaderValue::from_str(call.content_type);
        headers.insert(
            CONTENT_TYPE,
            content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
        );
        if self.route.takes_gzip() {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if is_compressed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let path = format!("{}{}", self.route.prefix(), call.path);
        let sent_bytes = body.len();
        let result = match &*client {
            Client::Agent(client) => {
                client
                    .post_for_up_to(MAX_ANSWER, &path, headers, body)
                    .await
            }
            #[cfg(feature = "agentless")]
            Client::Intake(client) => {
                client
                    .post_for_up_to(MAX_ANSWER, &path, headers, body)
                    .await
            }
        };
        let judged = judge(result, call.wants_json);
        if judged.is_err() {
            self.give_up(call.subdomain, &client);
        }
        judged.map(|(body, was_compressed)| Answer {
            body,
            was_compressed,
            sent_bytes,
            took: Duration::ZERO,
        })
    }

    fn client(&self, subdomain: Subdomain) -> Result<Arc<Client>, Unavailable> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&subdomain) {
            return Ok(Arc::clone(client));
        }
        let client = self.route.client(subdomain, self.timeout)?;
        let client = Arc::new(client);
        clients.insert(subdomain, Arc::clone(&client));
        Ok(client)
    }

    /// The next try gets a client, and so a connection, of its own.
    fn give_up(&self, subdomain: Subdomain, failed: &Arc<Client>) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let is_failed = |client: &Arc<Client>| Arc::ptr_eq(client, failed);
        if clients.get(&subdomain).is_some_and(is_failed) {
            clients.remove(&subdomain);
        }
    }
}

type Judged = Result<(Vec<u8>, bool), (RequestError, Option<Duration>)>;

/// What an answer means.
fn judge(result: Result<Response, SendError>, wants_json: bool) -> Judged {
    let response = match result {
        Ok(response) => response,
        Err(SendError::Timeout { after }) => return Err((RequestError::Timeout(after), None)),
        Err(error) => return Err((RequestError::Network(error.to_string()), None)),
    };
    let status = response.status;
    if !status.is_success() {
        let asked = asked_pause(status, &response.headers, SystemTime::now());
        return Err((RequestError::Status(status.as_u16()), asked));
    }
    if !wants_json {
        // It has arrived: what else the peer says does not matter.
        return Ok((Vec::new(), false));
    }
    let bad = |expected| (crate::backend::BadAnswer::new(expected).into(), None);
    if !response.is_complete {
        return Err(bad("a whole body of at most 64 MiB"));
    }
    let encoding = response.headers.get(CONTENT_ENCODING);
    let is_gzip =
        encoding.is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"));
    let body = if is_gzip {
        gunzip(&response.body).ok_or_else(|| bad("valid gzip of at most 64 MiB"))?
    } else {
        response.body.to_vec()
    };
    if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
        return Err(bad("JSON"));
    }
    Ok((body, is_gzip))
}

/// Compresses a body.
pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    // Writing into a vector does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

fn gunzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = MAX_ANSWER as u64 + 1;
    GzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut bytes)
        .ok()?;
    (bytes.len() <= MAX_ANSWER).then_some(bytes)
}
