//! What the user has set, and what a broker has taught this process.

use std::sync::atomic::{AtomicBool, Ordering};

use ddtrace_core::diagnostics;
use ddtrace_core::instrument::{Enabled, Settings};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

pub(crate) static SETTINGS: Settings = Settings::of("kafka");

/// The usual service of the spans.
pub(crate) const SERVICE: &str = "kafka";

/// Whether a broker of this process has refused headers.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether anything may be written into headers.
pub(crate) fn may_write_headers() -> bool {
    !REFUSED.load(Ordering::Relaxed)
}

/// Whether trace context may be.
pub(crate) fn writes_context(settings: &Enabled) -> bool {
    settings.own.distributed_tracing && settings.config.kafka_propagation && may_write_headers()
}

/// Looks at why a message was not delivered: brokers that do not know headers answer with the error of number −1, and from
/// then on this process writes none.
pub(crate) fn look_at(error: &KafkaError) {
    let is_refusal = matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Unknown));
    if is_refusal && !REFUSED.swap(true, Ordering::Relaxed) {
        diagnostics::error(format_args!(
            "Kafka: a broker answered with the unknown server error (-1), as brokers do that do not know headers; \
             no headers of trace context and of data streams are written any more"
        ));
    }
}
