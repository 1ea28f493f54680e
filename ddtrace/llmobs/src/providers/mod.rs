//! Calls of models that programs make through HTTP clients, recognised and decoded.
//!
//! Whatever client a Rust program uses for a model, in the end an HTTP request goes out. Core's events tell of it
//! ([`HttpClientExchange`](ddtrace_core::events::HttpClientExchange)); this module knows the APIs:
//!
//! 1. [`call`] recognises a request by where it goes. Most are none of ours, and that is the end of it.
//! 2. [`tap`] opens an LLM span around the exchange and keeps a copy of the bodies, within a bound, with the moment at which
//!    every chunk arrived. That is all that happens on the user's thread.
//! 3. When the exchange is over, the span ends; what was kept goes with it to the worker. There one of the decoders reads
//!    it: [`openai`], [`anthropic`], [`gemini`], [`ollama`], [`bedrock`]. A decoder is a function from bytes to an
//!    [`Exchange`]; it knows nothing of spans, and nothing that it reads makes it fail.
//!
//! Nothing is added to a request and nothing is changed in it. That has a price: OpenAI tells the tokens of a streamed chat
//! only if the request asks for them (`stream_options.include_usage`), so without that there are none. They are not guessed.
//!
//! # Adding a provider
//!
//! A row in [`call`], a function `fn(&Recorded) -> Exchange` in a file of the provider's name, a table of hand-written exchanges beside it.

mod anthropic;
mod bedrock;
mod call;
mod exchange;
mod gemini;
mod json;
mod ollama;
mod openai;
mod streams;
mod tap;

#[cfg(test)]
mod decoder_tests;
#[cfg(test)]
mod tap_tests;

pub(crate) use exchange::{Exchange, Recorded};
pub(crate) use tap::listen;

/// Reads one exchange.
pub(crate) type Decoder = fn(&Recorded<'_>) -> Exchange;

/// Reads an exchange from its bytes and says whether it was recognised: for fuzzing and benches.
#[doc(hidden)]
pub fn decode(url: &str, media_type: &str, status: u16, request: &[u8], response: &[u8]) -> bool {
    let Some(call) = call::recognise(url, || true) else {
        return false;
    };
    let exchange = (call.decode)(&Recorded {
        request: serde_json::from_slice(request).unwrap_or_default(),
        response: Some(exchange::Response {
            status,
            body: response,
            media_type,
            header_tokens: (None, None),
        }),
        path_model: call.path_model.as_deref(),
        inline_limit: 4 << 20,
    });
    // Reading it all must not be optimised away.
    std::hint::black_box(&exchange);
    true
}
