//! Whether a client can take what is pushed: it lists the product, and declares what the file sets.

use serde_json::Value;

use super::Push;
use super::client::Client;

/// Keys of `lib_config` in `APM_TRACING`, with the bit that declares each.
const KEYS: [(&str, u32); 11] = [
    ("tracing_sampling_rate", 12),
    ("log_injection_enabled", 13),
    ("tracing_header_tags", 14),
    ("tracing_tags", 15),
    ("tracing_enabled", 19),
    ("data_streams_enabled", 20),
    ("tracing_sampling_rules", 29),
    ("dynamic_instrumentation_enabled", 38),
    ("exception_replay_enabled", 39),
    ("code_origin_enabled", 40),
    ("live_debugging_enabled", 41),
];

/// Why a client cannot take a push, as a sentence.
pub(super) fn missing(client: &Client, push: &Push) -> Option<String> {
    let service = &client.request.service;
    if !client.request.products.contains(&push.product) {
        let product = &push.product;
        return Some(format!("{service} does not ask for {product}"));
    }
    if push.product != "APM_TRACING" {
        return None;
    }
    let content: Value = serde_json::from_slice(&push.content).unwrap_or_default();
    let is_set = |key: &str| !content["lib_config"][key].is_null();
    let (key, bit) = KEYS
        .iter()
        .find(|(key, bit)| is_set(key) && !client.request.capabilities.contains(bit))?;
    Some(format!(
        "{service} does not declare that it can change {key} (capability {bit})"
    ))
}
