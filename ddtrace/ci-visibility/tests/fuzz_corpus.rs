//! Replays the seeds and findings of the fuzz targets, which live outside the workspace in `fuzz/`.

#[path = "../../../fuzz/src/corpus.rs"]
#[expect(unreachable_pub, reason = "the targets use it as a crate")]
mod corpus;
#[path = "../../../fuzz/src/ci_visibility.rs"]
#[expect(unreachable_pub, reason = "the targets use it as a crate")]
mod targets;

use std::path::Path;

type Target = (&'static str, fn(&[u8]));

#[test]
fn every_input_of_the_corpus_is_survived() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let targets: [Target; 5] = [
        ("backend_answers", targets::backend_answers),
        ("changed_lines", targets::changed_lines),
        ("code_owners", targets::code_owners),
        ("dependency_info", targets::dependency_info),
        ("raw_profile", targets::raw_profile),
    ];
    for (target, run) in targets {
        corpus::replay(&corpus, target, run);
    }
}
