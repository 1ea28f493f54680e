//! Rules about the request: its headers, its size, whether it can be read at all.

use super::{Check, Findings, Level, RequestView, Rule};

/// The rules of this file.
pub static RULES: &[&Rule] = &[
    &TOO_LARGE,
    &TRUNCATED,
    &TRAILING,
    &UNDECODABLE,
    &CONTENT_TYPE,
    &ENCODING,
    &NO_CONTENT_LENGTH,
    &TRACE_COUNT,
    &META,
    &LARGE,
    &OFTEN,
];

/// Over the limit of the Agent.
pub static TOO_LARGE: Rule = Rule {
    id: "request.too_large",
    level: Level::Rejected,
    sentence: "the body is larger than the Agent takes",
    advice: "flush earlier, or split the payload",
    check: Check::Elsewhere,
};

/// Ends too early.
pub static TRUNCATED: Rule = Rule {
    id: "request.truncated",
    level: Level::Rejected,
    sentence: "the body ends inside a value",
    advice: "a length that is written before its elements must count exactly those that follow",
    check: Check::Elsewhere,
};

/// Ends too late.
pub static TRAILING: Rule = Rule {
    id: "request.trailing",
    level: Level::Rejected,
    sentence: "bytes follow the payload",
    advice: "a length that is written before its elements must count exactly those that follow",
    check: Check::Elsewhere,
};

/// No payload of that endpoint.
pub static UNDECODABLE: Rule = Rule {
    id: "request.undecodable",
    level: Level::Rejected,
    sentence: "the body is not what this endpoint takes",
    advice: "compare the bytes at the given place with the format of the endpoint",
    check: Check::Elsewhere,
};

/// Neither msgpack nor JSON by its header.
pub static CONTENT_TYPE: Rule = Rule {
    id: "request.content_type",
    level: Level::Rejected,
    sentence: "the endpoint does not take this content type",
    advice: "send application/msgpack",
    check: Check::Elsewhere,
};

/// Compressed in an unknown or broken way.
pub static ENCODING: Rule = Rule {
    id: "request.encoding",
    level: Level::Rejected,
    sentence: "the body cannot be decompressed",
    advice: "send it plain, or as gzip with Content-Encoding: gzip",
    check: Check::Elsewhere,
};

/// Sent in HTTP chunks.
pub static NO_CONTENT_LENGTH: Rule = Rule {
    id: "request.no_content_length",
    level: Level::Violation,
    sentence: "there is no Content-Length header",
    advice: "send the whole body with its length; the test agent refuses chunked transfer",
    check: Check::Request(no_content_length),
};

fn no_content_length(request: &RequestView<'_>, out: &mut Findings) {
    if request.headers.content_length.is_none() {
        request.find(
            &NO_CONTENT_LENGTH,
            "header Content-Length",
            String::new(),
            out,
        );
    }
}

/// `X-Datadog-Trace-Count` is missing or wrong.
pub static TRACE_COUNT: Rule = Rule {
    id: "request.trace_count",
    level: Level::Violation,
    sentence: "X-Datadog-Trace-Count is not the number of chunks",
    advice: "send the exact number of chunks; the Agent sizes its buffers and counts by it",
    check: Check::Request(trace_count),
};

fn trace_count(request: &RequestView<'_>, out: &mut Findings) {
    let chunks = request.payload.chunks.len();
    let header = request.headers.trace_count.as_deref();
    if header.and_then(|text| text.trim().parse().ok()) != Some(chunks) {
        let found = header.map_or("no header".to_owned(), |text| format!("{text:?}"));
        request.find(
            &TRACE_COUNT,
            "header X-Datadog-Trace-Count",
            format!("found {found}, {chunks} chunks"),
            out,
        );
    }
}

/// The tracer does not say who it is.
pub static META: Rule = Rule {
    id: "request.meta",
    level: Level::Violation,
    sentence: "the tracer does not say its language, the language's version and its own version",
    advice: "send Datadog-Meta-Lang, Datadog-Meta-Lang-Version and Datadog-Meta-Tracer-Version",
    check: Check::Request(meta),
};

fn meta(request: &RequestView<'_>, out: &mut Findings) {
    let (headers, process) = (request.headers, &request.payload.process);
    for (name, header, in_body) in [
        ("Datadog-Meta-Lang", &headers.language, &process.language),
        (
            "Datadog-Meta-Lang-Version",
            &headers.language_version,
            &process.language_version,
        ),
        (
            "Datadog-Meta-Tracer-Version",
            &headers.tracer_version,
            &process.tracer_version,
        ),
    ] {
        if header.is_empty() && in_body.is_empty() {
            request.find(&META, &format!("header {name}"), String::new(), out);
        }
    }
}

/// Near the limit.
pub static LARGE: Rule = Rule {
    id: "request.large",
    level: Level::Hint,
    sentence: "the body is over 10 MiB",
    advice: "flush earlier: the Agent's limit is 25 MiB",
    check: Check::Request(large),
};

fn large(request: &RequestView<'_>, out: &mut Findings) {
    if request.headers.body_length > 10 << 20 {
        request.find(
            &LARGE,
            "",
            format!("{} bytes", request.headers.body_length),
            out,
        );
    }
}

/// More than one request a second over ten seconds.
pub static OFTEN: Rule = Rule {
    id: "request.often",
    level: Level::Hint,
    sentence: "one process sends more than one request a second to this endpoint",
    advice: "collect for a second before sending; every request costs the Agent as much as many spans",
    check: Check::Elsewhere,
};
