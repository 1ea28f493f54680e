//! Replays seeds and findings.

use std::fs;
use std::path::Path;

/// Runs a target on every input of its corpus, which must not be empty. `corpus` is the folder with one folder for each target.
pub fn replay(corpus: &Path, target: &str, run: fn(&[u8])) {
    let mut replayed = 0;
    for entry in fs::read_dir(corpus.join(target)).expect("the target has a corpus") {
        let path = entry.expect("the corpus can be listed").path();
        println!("{}", path.display());
        run(&fs::read(&path).expect("the input can be read"));
        replayed += 1;
    }
    assert!(replayed > 0, "{target} has no input");
}
