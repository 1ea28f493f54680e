//! A service that makes no spans itself and stands between two that do.
//!
//! Alone in its program, because sites are switched on for a whole process.

use std::net::SocketAddr;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use ddtrace_core::test_support::Recorder;
use ddtrace_reqwest::RequestBuilderExt as _;

async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn the_context_of_the_caller_goes_on_to_the_next_service() {
    let recorder = Recorder::with(|config| config.trace_enabled(false));
    let echo = |headers: HeaderMap| async move {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        ["x-datadog-trace-id", "x-datadog-parent-id", "baggage"]
            .map(text)
            .join("-")
    };
    let behind = serve(Router::new().route("/", get(echo))).await;
    let relay = move || async move {
        let request = reqwest::Client::new().get(format!("http://{behind}/"));
        request.send_traced().await.unwrap().text().await.unwrap()
    };
    let address = serve(
        Router::new()
            .route("/", get(relay))
            .layer(ddtrace_axum::layer()),
    )
    .await;
    let request = reqwest::Client::new().get(format!("http://{address}/"));
    let request = request
        .header("x-datadog-trace-id", "7")
        .header("x-datadog-parent-id", "9")
        .header("baggage", "a=1");
    let response = request.send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "7-9-a=1");
    assert!(recorder.take().is_empty());
}
