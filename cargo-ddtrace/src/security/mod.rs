//! Who may ask what.
//!
//! The page shows request data, and settings can be pushed from it, so a foreign page in the same browser must be able to
//! neither read nor write. Three things stand in its way, in this order:
//!
//! * **Host** names loopback. A page whose name was rebound to 127.0.0.1 sends its own name, and browsers send neither `Origin` nor
//!   `Sec-Fetch-*` with such reads, so nothing else would tell it apart. No name is looked up.
//! * **Origin** is ours, if there is one, and **Sec-Fetch-Site** is `same-origin` or `none`, if it is there: on every route,
//!   intake too, since tracers send neither. Following a link to the page is the exception.
//! * **The token** and a JSON content type, for whatever changes something.
//!
//! Requests over the Unix socket (mode 0600) pass: only the same user can make them.

pub mod host;
pub mod token;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::Shared;
use crate::api::error::ApiError;

/// How a request came; set on every request by the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// Over TCP.
    Tcp,
    /// Over the Unix socket.
    Unix,
}

/// What may be asked, beyond the rules that always hold.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Reading the page and the API needs the token, too.
    pub private: bool,
    /// Names that `Host` may have for intake, beside loopback.
    pub allow_host: Vec<String>,
    /// Origins that may send to the intake (an OpenTelemetry exporter in a browser).
    pub allow_origin: Vec<String>,
    /// Whether it listens on other addresses than loopback: then any literal address is a `Host`.
    pub remote: bool,
}

/// The header of the token.
pub const TOKEN_HEADER: &str = "x-ddtrace-token";
const COOKIE: &str = "ddtrace_token";

/// Bytes of headers. The connection stops at a multiple of this while it still reads; here the line is drawn.
const HEADERS: usize = 32 << 10;

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                   frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Stands before the page and the API. Which routes those are is said where this is put around them, so that a new page
/// cannot be forgotten here.
pub async fn guard_own(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    guard(&shared, true, request, next).await
}

/// Stands before the intake, and before paths that nobody knows; those under `/api/` count as the API's.
pub async fn guard_intake(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_ours = path.starts_with("/api/") && !crate::intake::is_intake_api(path);
    guard(&shared, is_ours, request, next).await
}

/// Checks a request, and dresses its answer.
async fn guard(shared: &Shared, is_ours: bool, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = match admit(shared, is_ours, &request) {
        Err(refusal) => refusal.into_response(),
        Ok(Admitted::Yes) => next.run(request).await,
        Ok(Admitted::WithCookie) => {
            // The token leaves the address bar for a cookie that no other site can use or read.
            let cookie = format!(
                "{COOKIE}={}; Path=/; SameSite=Strict; HttpOnly",
                shared.token()
            );
            (
                StatusCode::SEE_OTHER,
                [(header::LOCATION, path), (header::SET_COOKIE, cookie)],
            )
                .into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if is_ours {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(CSP),
        );
        headers.insert(
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        );
        headers.insert(
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        );
        headers.insert(
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("same-origin"),
        );
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
    response
}

enum Admitted {
    Yes,
    WithCookie,
}

/// Something that one opens in a browser: what is ours, but neither the API nor a file of the page.
fn is_page(path: &str) -> bool {
    !path.starts_with("/api/") && !path.starts_with("/assets/")
}

fn admit(shared: &Shared, is_ours: bool, request: &Request) -> Result<Admitted, ApiError> {
    let headers = request.headers();
    let size: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if size > HEADERS {
        return Err(ApiError::headers_too_large());
    }
    let policy = shared.policy();
    let path = request.uri().path();
    let is_local = request.extensions().get::<Came>() == Some(&Came::Unix);
    if !is_local {
        check_host(policy, headers, is_ours)?;
        check_origin(policy, request, is_ours)?;
    }
    if !is_ours {
        return Ok(Admitted::Yes);
    }
    let changes = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if changes {
        let media = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if media.split(';').next().map(str::trim) != Some("application/json") {
            return Err(ApiError::forbidden(
                "a call that changes something needs Content-Type: application/json",
            ));
        }
        if !has_token(shared, headers) {
            return Err(ApiError::token_required());
        }
    } else if policy.private && !is_local && !has_token(shared, headers) {
        if is_page(path)
            && token_in_query(request).is_some_and(|token| token::equal(token, shared.token()))
        {
            return Ok(Admitted::WithCookie);
        }
        let cookie = cookie(headers);
        if !cookie.is_some_and(|cookie| token::equal(cookie, shared.token())) {
            return Err(ApiError::token_required());
        }
    }
    Ok(Admitted::Yes)
}

fn check_host(policy: &Policy, headers: &HeaderMap, is_ours: bool) -> Result<(), ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let is_single = hosts.next().is_none();
    let allowed = host.is_some_and(|host| {
        host::is_loopback(host)
            || (!is_ours
                && policy
                    .allow_host
                    .iter()
                    .any(|allowed| host::names(host, allowed)))
            || (policy.remote && host::is_address(host))
    });
    if allowed && is_single {
        return Ok(());
    }
    let shown: String = host
        .unwrap_or("none")
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .take(100)
        .collect();
    Err(ApiError::misdirected(format!(
        "the Host header ({shown}) does not name this machine; for intake from a container, start with --allow-host {shown}"
    )))
}

fn check_origin(policy: &Policy, request: &Request, is_ours: bool) -> Result<(), ApiError> {
    let headers = request.headers();
    let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(origin) = value("origin") {
        let host = value("host").unwrap_or_default();
        let own = origin.strip_prefix("http://") == Some(host)
            || origin.strip_prefix("https://") == Some(host);
        let allowed = !is_ours && policy.allow_origin.iter().any(|allowed| allowed == origin);
        if !own && !allowed {
            return Err(ApiError::forbidden(
                "requests of another origin are refused",
            ));
        }
        if allowed {
            return Ok(());
        }
    }
    match value("sec-fetch-site") {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => {
            let is_link = value("sec-fetch-mode") == Some("navigate")
                && value("sec-fetch-dest") == Some("document")
                && *request.method() == Method::GET
                && is_ours
                && is_page(request.uri().path());
            if is_link {
                Ok(())
            } else {
                Err(ApiError::forbidden("requests of another site are refused"))
            }
        }
    }
}

fn has_token(shared: &Shared, headers: &HeaderMap) -> bool {
    headers
        .get(TOKEN_HEADER)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|token| token::equal(token, shared.token()))
}

fn token_in_query(request: &Request) -> Option<&str> {
    request
        .uri()
        .query()?
        .split('&')
        .find_map(|pair| pair.strip_prefix("token="))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// The headers of a request as they are kept: without those that grant something.
pub fn shown_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    const REMOVED: [&str; 8] = [
        "dd-api-key",
        "dd-application-key",
        "x-datadog-api-key",
        "x-api-key",
        "authorization",
        "proxy-authorization",
        "cookie",
        TOKEN_HEADER,
    ];
    headers
        .iter()
        .map(|(name, value)| {
            let shown = if REMOVED.contains(&name.as_str()) {
                "<removed>".to_owned()
            } else {
                String::from_utf8_lossy(value.as_bytes())
                    .chars()
                    .take(2000)
                    .collect()
            };
            (name.as_str().to_owned(), shown)
        })
        .collect()
}
