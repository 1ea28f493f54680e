//! reqwest, and the client of hyper-util: a request over loopback to a server in another process.

use super::{Subject, Work, rooted, variable, variants};
use crate::HELLO;
use bytes::Bytes;
use ddtrace::hyper::client::ClientExt as _;
use ddtrace::reqwest::RequestBuilderExt as _;
use ddtrace_peers_integrations::tracers::Tracer;
use fastrace::future::FutureExt as _;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use reqwest_middleware::ClientWithMiddleware;
use reqwest_tracing::TracingMiddleware;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

pub(crate) static SUBJECTS: &[Subject] = &[
    Subject {
        name: "reqwest, GET",
        needs: Some(HELLO),
        burst: 500,
        spans: 1,
        rooted: true,
        variants: variants! { tracer:
            Bare, "" => reqwest_bare(tracer);
            Off, "ddtrace::reqwest" => reqwest_ours(tracer);
            Ddtrace, "ddtrace::reqwest" => reqwest_ours(tracer);
            Otel32, "reqwest-tracing" => reqwest_otel(tracer);
            Fastrace, "fastrace-reqwest" => reqwest_fastrace(tracer);
        },
    },
    Subject {
        name: "hyper-util, GET",
        needs: Some(HELLO),
        burst: 500,
        spans: 1,
        rooted: true,
        variants: variants! { tracer:
            Bare, "" => hyper_bare(tracer);
            Off, "ddtrace::hyper" => hyper_ours(tracer);
            Ddtrace, "ddtrace::hyper" => hyper_ours(tracer);
            Otel, "by hand" => hyper_otel(tracer);
            Datadog, "by hand" => hyper_otel(tracer);
            Fastrace, "by hand" => hyper_fastrace(tracer);
        },
    },
];

async fn read(response: Result<reqwest::Response, reqwest::Error>) {
    let response = response.expect("the server answers");
    assert_eq!(response.bytes().await.expect("a text"), "hello, world");
}

fn reqwest_bare(tracer: Tracer) -> Box<dyn Work> {
    let client = (reqwest::Client::new(), variable(HELLO));
    rooted(tracer, client, async |(client, url)| {
        read(client.get(&*url).send().await).await;
    })
}

fn reqwest_ours(tracer: Tracer) -> Box<dyn Work> {
    let client = (reqwest::Client::new(), variable(HELLO));
    rooted(tracer, client, async |(client, url)| {
        read(client.get(&*url).send_traced().await).await;
    })
}

fn reqwest_otel(tracer: Tracer) -> Box<dyn Work> {
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(TracingMiddleware::default())
        .build();
    let client = (client, variable(HELLO));
    rooted(
        tracer,
        client,
        async |(client, url): &mut (ClientWithMiddleware, String)| {
            let response = client.get(&*url).send().await.expect("the server answers");
            read(Ok(response)).await;
        },
    )
}

/// The crate makes headers and no spans; the span is what its documentation has above.
fn reqwest_fastrace(tracer: Tracer) -> Box<dyn Work> {
    #[fastrace::trace(name = "send_request")]
    async fn send(
        client: &reqwest::Client,
        url: &str,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let headers = fastrace_reqwest::traceparent_headers();
        client.get(url).headers(headers).send().await
    }
    let client = (reqwest::Client::new(), variable(HELLO));
    rooted(tracer, client, async |(client, url)| {
        read(send(client, url).await).await;
    })
}

type Pooled = (Client<HttpConnector, Empty<Bytes>>, String);

fn pooled() -> Pooled {
    let client = Client::builder(TokioExecutor::new()).build_http();
    (client, variable(HELLO))
}

fn get(url: &str) -> Request<Empty<Bytes>> {
    let request = Request::get(url).header("user-agent", "bench");
    request.body(Empty::new()).expect("a request")
}

fn hyper_bare(tracer: Tracer) -> Box<dyn Work> {
    rooted(tracer, pooled(), async |(client, url): &mut Pooled| {
        let response = client.request(get(url)).await.expect("the server answers");
        let body = response.into_body().collect().await.expect("a text");
        assert_eq!(body.to_bytes(), "hello, world");
    })
}

fn hyper_ours(tracer: Tracer) -> Box<dyn Work> {
    rooted(tracer, pooled(), async |(client, url): &mut Pooled| {
        let response = client.request_traced(get(url)).await;
        let response = response.expect("the server answers");
        let body = response.into_body().collect().await.expect("a text");
        assert_eq!(body.to_bytes(), "hello, world");
    })
}

fn hyper_otel(tracer: Tracer) -> Box<dyn Work> {
    rooted(tracer, pooled(), async |(client, url): &mut Pooled| {
        let mut request = get(url);
        let uri = request.uri();
        let span = tracing::info_span!(
            "GET",
            otel.kind = "client",
            http.request.method = "GET",
            url.full = %uri,
            server.address = uri.host(),
            server.port = uri.port_u16(),
            user_agent.original = "bench",
            http.response.status_code = tracing::field::Empty,
        );
        let context = span.context();
        opentelemetry::global::get_text_map_propagator(|it| {
            let headers = request.headers_mut();
            it.inject_context(&context, &mut opentelemetry_http::HeaderInjector(headers));
        });
        let response = client.request(request).instrument(span.clone()).await;
        let response = response.expect("the server answers");
        span.record("http.response.status_code", response.status().as_u16());
        let body = response.into_body().collect().instrument(span).await;
        assert_eq!(body.expect("a text").to_bytes(), "hello, world");
    })
}

fn hyper_fastrace(tracer: Tracer) -> Box<dyn Work> {
    rooted(tracer, pooled(), async |(client, url): &mut Pooled| {
        let mut request = get(url);
        let span = fastrace::Span::enter_with_local_parent("GET").with_properties(|| {
            [
                ("http.request.method", "GET".to_owned()),
                ("url.full", url.clone()),
                ("user_agent.original", "bench".to_owned()),
            ]
        });
        if let Some(context) = fastrace::collector::SpanContext::from_span(&span) {
            let value = context.encode_w3c_traceparent().parse();
            let value = value.expect("hexadecimal digits");
            request.headers_mut().insert("traceparent", value);
        }
        let exchange = async {
            let response = client.request(request).await.expect("the server answers");
            let status = response.status();
            fastrace::local::LocalSpan::add_property(|| {
                ("http.response.status_code", status.as_str().to_owned())
            });
            response.into_body().collect().await.expect("a text")
        };
        assert_eq!(exchange.in_span(span).await.to_bytes(), "hello, world");
    })
}
