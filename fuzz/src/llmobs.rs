//! LLM Observability: what providers of models answer.

/// An address and a media type by a byte each, then the request and the response with a line of its own between them.
pub fn model_exchange(data: &[u8]) {
    const URLS: [&str; 12] = [
        "https://api.openai.com/v1/chat/completions",
        "https://api.openai.com/v1/completions",
        "https://api.openai.com/v1/responses",
        "https://api.openai.com/v1/embeddings",
        "https://api.anthropic.com/v1/messages",
        "https://google/v1beta/models/gemini:generateContent",
        "https://google/v1beta/models/gemini:embedContent",
        "http://ollama/api/chat",
        "http://ollama/api/generate",
        "http://ollama/api/embed",
        "https://bedrock/model/m/converse",
        "https://bedrock/model/m/invoke",
    ];
    const MEDIA_TYPES: [&str; 4] = [
        "application/json",
        "text/event-stream",
        "application/x-ndjson",
        "application/vnd.amazon.eventstream",
    ];
    const BETWEEN: &[u8] = b"\n---\n";
    let [url, media_type, bodies @ ..] = data else {
        return;
    };
    let url = URLS[usize::from(*url) % URLS.len()];
    let media_type = MEDIA_TYPES[usize::from(*media_type) % MEDIA_TYPES.len()];
    let at = bodies
        .windows(BETWEEN.len())
        .position(|found| found == BETWEEN);
    let (request, response) = match at {
        Some(at) => (&bodies[..at], &bodies[at + BETWEEN.len()..]),
        None => (&[] as &[u8], bodies),
    };
    for status in [200, 500] {
        assert!(ddtrace_llmobs::decode(
            url, media_type, status, request, response
        ));
    }
}
