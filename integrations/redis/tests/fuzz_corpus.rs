//! Replays the seeds and findings of the fuzz targets, which live outside the workspace in `fuzz/`.

#[path = "../../../fuzz/src/corpus.rs"]
#[expect(unreachable_pub, reason = "the targets use it as a crate")]
mod corpus;
#[path = "../../../fuzz/src/redis.rs"]
#[expect(unreachable_pub, reason = "the targets use it as a crate")]
mod targets;

use std::path::Path;

type Target = (&'static str, fn(&[u8]));

#[test]
fn every_input_of_the_corpus_is_survived() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let targets: [Target; 1] = [("redis_command", targets::redis_command)];
    for (target, run) in targets {
        corpus::replay(&corpus, target, run);
    }
}
