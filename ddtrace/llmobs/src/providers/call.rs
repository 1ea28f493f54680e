//! Which requests are calls of a model, by where they go.
//!
//! The end of the path says what the call is, the rest of the address who serves it. A path like `/responses` or
//! `/api/chat` is not rare among services that have nothing to do with models, so such a path counts only if the address
//! names a provider, or the request's body has the field `model`.

use std::borrow::Cow;

use super::Decoder;
use super::{anthropic, bedrock, gemini, ollama, openai};
use crate::Kind;

/// A request that was recognised.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    /// The integration's name, as tags have it.
    pub(crate) integration: &'static str,
    /// The name of the APM span.
    pub(crate) apm_name: &'static str,
    /// The name of the LLM span.
    pub(crate) name: &'static str,
    /// Its kind.
    pub(crate) kind: Kind,
    /// Who serves the model.
    pub(crate) provider: &'static str,
    /// The model, where the path names it.
    pub(crate) path_model: Option<Cow<'a, str>>,
    /// The address without what is particular to the call.
    pub(crate) base: &'a str,
    /// Reads the exchange.
    pub(crate) decode: Decoder,
}

/// What a path's end says.
struct Operation {
    /// The end of the path.
    suffix: &'static str,
    integration: &'static str,
    apm_name: &'static str,
    kind: Kind,
    /// What comes after the client's name in the name of the span, or the whole name.
    name: &'static str,
    decode: Decoder,
}

const fn operation(
    suffix: &'static str,
    integration: &'static str,
    apm_name: &'static str,
    kind: Kind,
    name: &'static str,
    decode: Decoder,
) -> Operation {
    Operation {
        suffix,
        integration,
        apm_name,
        kind,
        name,
        decode,
    }
}

const OPENAI: (&str, &str) = ("openai", "openai.request");
const ANTHROPIC: (&str, &str) = ("anthropic", "anthropic.request");
const OLLAMA: (&str, &str) = ("ollama", "ollama.request");

/// Longer ends before shorter ones that they end in.
static OPERATIONS: [Operation; 8] = [
    operation(
        "/chat/completions",
        OPENAI.0,
        OPENAI.1,
        Kind::Llm,
        "ChatCompletion",
        openai::chat::decode,
    ),
    operation(
        "/completions",
        OPENAI.0,
        OPENAI.1,
        Kind::Llm,
        "Completion",
        openai::completions::decode,
    ),
    operation(
        "/responses",
        OPENAI.0,
        OPENAI.1,
        Kind::Llm,
        "Response",
        openai::responses::decode,
    ),
    operation(
        "/embeddings",
        OPENAI.0,
        OPENAI.1,
        Kind::Embedding,
        "Embedding",
        openai::embeddings::decode,
    ),
    operation(
        "/v1/messages",
        ANTHROPIC.0,
        ANTHROPIC.1,
        Kind::Llm,
        "anthropic.request",
        anthropic::decode,
    ),
    operation(
        "/api/chat",
        OLLAMA.0,
        OLLAMA.1,
        Kind::Llm,
        "ollama.chat",
        ollama::chat,
    ),
    operation(
        "/api/generate",
        OLLAMA.0,
        OLLAMA.1,
        Kind::Llm,
        "ollama.generate",
        ollama::generate,
    ),
    operation(
        "/api/embed",
        OLLAMA.0,
        OLLAMA.1,
        Kind::Embedding,
        "ollama.embed",
        ollama::embed,
    ),
];

/// Recognises a request that is posted to this address. `names_model` says whether its body has a field `model`; it is
/// only asked where the address leaves doubt.
pub(crate) fn recognise(url: &str, names_model: impl FnOnce() -> bool) -> Option<Call<'_>> {
    let address = url.split(['?', '#']).next().unwrap_or_default();
    let address = address.strip_suffix('/').unwrap_or(address);
    google(address)
        .or_else(|| amazon(address))
        .or_else(|| by_suffix(address, names_model))
}

fn by_suffix(address: &str, names_model: impl FnOnce() -> bool) -> Option<Call<'_>> {
    let operation = OPERATIONS
        .iter()
        .find(|operation| address.ends_with(operation.suffix))?;
    let base = &address[..address.len() - operation.suffix.len()];
    let provider = provider(operation.integration, base);
    if provider == "unknown" && !names_model() {
        return None;
    }
    let name = if operation.integration == OPENAI.0 {
        openai_name(provider, operation.name)
    } else {
        operation.name
    };
    Some(Call {
        integration: operation.integration,
        apm_name: operation.apm_name,
        name,
        kind: operation.kind,
        provider,
        path_model: None,
        base,
        decode: operation.decode,
    })
}

fn provider(integration: &str, base: &str) -> &'static str {
    let known: &[(&str, &'static str)] = match integration {
        "openai" => &[
            ("azure", "azure_openai"),
            ("deepseek", "deepseek"),
            ("openai", "openai"),
        ],
        "anthropic" => &[
            ("bedrock", "amazon"),
            ("google", "google"),
            ("anthropic", "anthropic"),
        ],
        _ => &[("ollama", "ollama"), (":11434", "ollama")],
    };
    let base = base.to_ascii_lowercase();
    known
        .iter()
        .find(|(part, _)| base.contains(part))
        .map_or("unknown", |&(_, provider)| provider)
}

fn openai_name(provider: &str, operation: &str) -> &'static str {
    match (provider, operation) {
        ("azure_openai", "ChatCompletion") => "AzureOpenAI.createChatCompletion",
        ("azure_openai", "Completion") => "AzureOpenAI.createCompletion",
        ("azure_openai", "Response") => "AzureOpenAI.createResponse",
        ("azure_openai", _) => "AzureOpenAI.createEmbedding",
        ("deepseek", "ChatCompletion") => "Deepseek.createChatCompletion",
        ("deepseek", "Completion") => "Deepseek.createCompletion",
        ("deepseek", "Response") => "Deepseek.createResponse",
        ("deepseek", _) => "Deepseek.createEmbedding",
        (_, "ChatCompletion") => "OpenAI.createChatCompletion",
        (_, "Completion") => "OpenAI.createCompletion",
        (_, "Response") => "OpenAI.createResponse",
        (_, _) => "OpenAI.createEmbedding",
    }
}

/// Gemini's API and Vertex: `…/models/{model}:{method}`.
fn google(address: &str) -> Option<Call<'_>> {
    let (before, method) = address.rsplit_once(':')?;
    let (base, model) = before.rsplit_once("/models/")?;
    if model.is_empty() || model.contains('/') {
        return None;
    }
    let (kind, decode): (Kind, Decoder) = match method {
        "generateContent" | "streamGenerateContent" => (Kind::Llm, gemini::generate),
        "embedContent" | "batchEmbedContents" => (Kind::Embedding, gemini::embed),
        "rawPredict" | "streamRawPredict" if base.ends_with("/publishers/anthropic") => {
            return Some(Call {
                integration: ANTHROPIC.0,
                apm_name: ANTHROPIC.1,
                name: "anthropic.request",
                kind: Kind::Llm,
                provider: "google",
                path_model: Some(unescaped(model)),
                base,
                decode: anthropic::decode,
            });
        }
        _ => return None,
    };
    Some(Call {
        integration: "google_genai",
        apm_name: "google_genai.request",
        name: "google_genai.request",
        kind,
        provider: gemini::provider_of(model),
        path_model: Some(unescaped(model)),
        base,
        decode,
    })
}

/// Amazon Bedrock: `/model/{id}/{operation}`.
fn amazon(address: &str) -> Option<Call<'_>> {
    let (before, operation) = address.rsplit_once('/')?;
    let decode: Decoder = match operation {
        "converse" | "converse-stream" => bedrock::converse::decode,
        "invoke" | "invoke-with-response-stream" => bedrock::invoke::decode,
        _ => return None,
    };
    let (base, model) = before.rsplit_once("/model/")?;
    if model.is_empty() || model.contains('/') {
        return None;
    }
    Some(Call {
        integration: "bedrock",
        apm_name: "bedrock-runtime.command",
        name: "bedrock-runtime.command",
        kind: Kind::Llm,
        provider: "amazon",
        path_model: Some(unescaped(model)),
        base,
        decode,
    })
}

/// A part of a path without its escapes: clients of AWS write `:` as `%3A`. Broken ones stay as they are.
fn unescaped(part: &str) -> Cow<'_, str> {
    let mut pieces = part.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    if bytes.len() == part.len() {
        return Cow::Borrowed(part);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    for piece in pieces {
        let escaped = match *piece.as_bytes() {
            [high, low, ..] => digit(high).zip(digit(low)),
            _ => None,
        };
        match escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&piece.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(piece.as_bytes());
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_recognised_by_address_and_model() {
        // Address, whether the body names a model, and: name, provider, model of the path.
        type Expected = Option<(&'static str, &'static str, Option<&'static str>)>;
        let cases: [(&str, bool, Expected); 27] = [
            (
                "https://api.openai.com/v1/chat/completions",
                true,
                Some(("OpenAI.createChatCompletion", "openai", None)),
            ),
            (
                "https://api.openai.com/v1/completions",
                true,
                Some(("OpenAI.createCompletion", "openai", None)),
            ),
            (
                "https://api.openai.com/v1/responses",
                true,
                Some(("OpenAI.createResponse", "openai", None)),
            ),
            (
                "https://api.openai.com/v1/embeddings",
                true,
                Some(("OpenAI.createEmbedding", "openai", None)),
            ),
            ("https://api.openai.com/v1/models", true, None),
            (
                "https://api.openai.com/v1/responses/resp_1/cancel",
                true,
                None,
            ),
            (
                "https://api.openai.com/v1/chat/completions/",
                true,
                Some(("OpenAI.createChatCompletion", "openai", None)),
            ),
            (
                "https://me.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
                false,
                Some(("AzureOpenAI.createChatCompletion", "azure_openai", None)),
            ),
            (
                "https://api.deepseek.com/chat/completions",
                true,
                Some(("Deepseek.createChatCompletion", "deepseek", None)),
            ),
            (
                "https://openrouter.ai/api/v1/chat/completions",
                true,
                Some(("OpenAI.createChatCompletion", "unknown", None)),
            ),
            (
                "http://127.0.0.1:8000/v1/chat/completions",
                true,
                Some(("OpenAI.createChatCompletion", "unknown", None)),
            ),
            (
                "http://127.0.0.1:9126/vcr/openai/embeddings",
                false,
                Some(("OpenAI.createEmbedding", "openai", None)),
            ),
            // A survey's answers and a chat between people.
            ("http://survey/api/responses", false, None),
            ("http://forum/api/chat", false, None),
            (
                "https://api.anthropic.com/v1/messages",
                true,
                Some(("anthropic.request", "anthropic", None)),
            ),
            (
                "https://api.anthropic.com/v1/messages/count_tokens",
                true,
                None,
            ),
            (
                "https://gateway/v1/messages",
                true,
                Some(("anthropic.request", "unknown", None)),
            ),
            ("https://mail/v1/messages", false, None),
            (
                "https://eu-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4:streamRawPredict",
                false,
                Some(("anthropic.request", "google", Some("claude-sonnet-4"))),
            ),
            (
                "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse",
                false,
                Some(("google_genai.request", "google", Some("gemini-2.0-flash"))),
            ),
            (
                "https://generativelanguage.googleapis.com/v1beta/models/text-embedding-004:batchEmbedContents",
                false,
                Some(("google_genai.request", "google", Some("text-embedding-004"))),
            ),
            (
                "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.0-flash:countTokens",
                false,
                None,
            ),
            (
                "http://localhost:11434/api/chat",
                false,
                Some(("ollama.chat", "ollama", None)),
            ),
            (
                "http://models.internal/api/generate",
                true,
                Some(("ollama.generate", "unknown", None)),
            ),
            (
                "https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude-3/converse-stream",
                false,
                Some((
                    "bedrock-runtime.command",
                    "amazon",
                    Some("anthropic.claude-3"),
                )),
            ),
            (
                "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.titan/invoke",
                false,
                Some(("bedrock-runtime.command", "amazon", Some("amazon.titan"))),
            ),
            ("", true, None),
        ];
        for (url, names_model, expected) in cases {
            let found = recognise(url, || names_model);
            let found = found.as_ref();
            let found = found.map(|call| (call.name, call.provider, call.path_model.as_deref()));
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn escapes_in_the_names_of_models_are_undone() {
        for (part, expected) in [
            ("amazon.titan", "amazon.titan"),
            ("anthropic.claude-v1%3A0", "anthropic.claude-v1:0"),
            ("%E8%8C%B6", "茶"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%é", "%é"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(unescaped(part), expected, "{part}");
        }
    }
}
