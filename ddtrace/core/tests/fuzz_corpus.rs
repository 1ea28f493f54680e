//! Replays the seeds and findings of the fuzz targets, which live outside the workspace in `fuzz/`.

#[path = "../../../fuzz/src/corpus.rs"]
#[expect(unreachable_pub, reason = "the targets use it as a crate")]
mod corpus;
#[path = "../../../fuzz/src/core.rs"]
#[expect(unreachable_pub, reason = "the targets use it as a crate")]
mod targets;

use std::path::Path;

type Target = (&'static str, fn(&[u8]));

#[test]
fn every_input_of_the_corpus_is_survived() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let targets: [Target; 12] = [
        ("b3_headers", targets::b3_headers),
        ("baggage_headers", targets::baggage_headers),
        ("client_ip", targets::client_ip),
        ("datadog_headers", targets::datadog_headers),
        ("query_obfuscation", targets::query_obfuscation),
        ("remote_config", targets::remote_config),
        ("sampling_rules", targets::sampling_rules),
        ("span_rules", targets::span_rules),
        ("sql_comment", targets::sql_comment),
        ("stable_configuration", targets::stable_configuration),
        ("tracecontext_headers", targets::tracecontext_headers),
        ("tracestate", targets::tracestate),
    ];
    for (target, run) in targets {
        corpus::replay(&corpus, target, run);
    }
}
