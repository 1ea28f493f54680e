//! The page: one HTML shell for all addresses of the viewer, and the style sheets and scripts behind it.
//!
//! Everything is embedded in the binary as it was written: no build step, no package manager, nothing
//! that a reviewer can't read. The shell names its assets under `/assets/<version>/`, where the version is
//! a hash of all of them; so a browser may keep them for good, modules import each other by relative paths,
//! and an updated agent is never mixed with scripts of an older one. The shell itself carries the token of
//! changing calls and is stored nowhere.
//!
//! With `--assets DIR` files are read from that folder at each request, for work on the page itself.
//!
//! The security layer around the whole server has checked host, origin and token before these routes are
//! reached, and adds the content policy (`default-src 'none'`, scripts and styles from here only) to answers.
//! The scripts hold to it: `assets/page/dom.js` is the only place that makes elements, and data from traced
//! programs can only become text there.

mod files;

use std::path::{Component, Path as FilePath};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::api::Shared;

/// The addresses that show the page; which view they mean is decided by `assets/app.js`.
const PAGES: [&str; 14] = [
    "/",
    "/trace/{id}",
    "/compare",
    "/map",
    "/live",
    "/problems",
    "/requests",
    "/requests/{n}",
    "/settings",
    "/llm",
    "/llm/{*rest}",
    "/streams",
    "/tests",
    "/tests/{id}",
];

/// The routes of the page. The security layer around the whole server adds the content security policy and
/// its companions, and has checked host, origin and token before these are reached.
pub fn routes() -> Router<Shared> {
    let pages = PAGES
        .iter()
        .fold(Router::new(), |router, page| router.route(page, get(shell)));
    pages
        .route("/assets/{version}/{*path}", get(asset))
        .route("/favicon.ico", get(icon))
}

async fn shell(State(shared): State<Shared>) -> Response {
    let from_disk = shared
        .assets()
        .and_then(|folder| std::fs::read_to_string(folder.join("index.html")).ok());
    let text = from_disk.as_deref().unwrap_or(files::SHELL);
    let html = text
        .replace("{{assets}}", &format!("/assets/{}", files::version()))
        .replace("{{token}}", &attribute(shared.token()));
    (
        [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        html,
    )
        .into_response()
}

/// Text as the value of an attribute in double quotes.
fn attribute(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
}

async fn asset(
    State(shared): State<Shared>,
    Path((version, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(folder) = shared.assets() {
        return from_disk(folder, &path);
    }
    match files::find(&path) {
        Some(file) => embedded(file, version == files::version(), &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn icon(headers: HeaderMap) -> Response {
    match files::find("icon.svg") {
        Some(file) => embedded(file, false, &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// An embedded file; `current`: the address names this version of it, so it never changes.
fn embedded(file: &'static files::File, current: bool, headers: &HeaderMap) -> Response {
    let tag = files::tag();
    let caching = if current {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let common = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
    ];
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|sent| matches(sent, &tag))
    {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (
        common,
        [(header::CONTENT_TYPE, file.content_type())],
        Bytes::from_static(file.bytes),
    )
        .into_response()
}

/// Whether `If-None-Match` names the tag (RFC 9110 §13.1.2: a list, weakly compared, or `*`).
fn matches(sent: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(sent), Ok(tag)) = (sent.to_str(), tag.to_str()) else {
        return false;
    };
    sent.split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

fn from_disk(folder: &FilePath, path: &str) -> Response {
    let relative = FilePath::new(path);
    if !relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return StatusCode::NOT_FOUND.into_response();
    }
    match std::fs::read(folder.join(relative)) {
        Ok(bytes) => (
            [
                (header::CONTENT_TYPE, files::content_type(path)),
                (header::CACHE_CONTROL, "no-store"),
            ],
            bytes,
        )
            .into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list_weak_or_by_star() {
        let tag = HeaderValue::from_static("\"abc\"");
        let cases = [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("\"abcd\"", false),
            ("", false),
        ];
        for (sent, expected) in cases {
            assert_eq!(
                matches(&HeaderValue::from_static(sent), &tag),
                expected,
                "{sent}"
            );
        }
    }

    #[test]
    fn files_outside_the_folder_are_not_served_from_disk() {
        let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("src/viewer/assets");
        assert_eq!(from_disk(&folder, "app.js").status(), StatusCode::OK);
        for path in [
            "../mod.rs",
            "page/../../mod.rs",
            "/etc/hostname",
            "./../mod.rs",
            "nothing.js",
        ] {
            assert_eq!(
                from_disk(&folder, path).status(),
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
    }
}
