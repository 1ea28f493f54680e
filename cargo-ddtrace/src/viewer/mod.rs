//! The page: `/` and `/assets/*`.

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;

use crate::api::Shared;

/// The routes of the page. The security layer around the whole server adds the content security policy and
/// its companions, and has checked host, origin and token before these are reached.
pub fn routes() -> Router<Shared> {
    Router::new().route("/", get(index))
}

async fn index(State(shared): State<Shared>) -> Html<String> {
    Html(format!(
        "<!doctype html><meta charset=\"utf-8\"><meta name=\"ddtrace-token\" content=\"{}\"><title>ddtrace</title><p>The JSON API is at <a href=\"/api/status\">/api/status</a>.",
        shared.token()
    ))
}
