//! The two lines of sqlx differ in a few signatures. What does not differ reads the same in both wrappers, word for word:
//! a change to one file is made to the other too.

use std::fs;
use std::path::Path;

#[test]
fn the_wrappers_of_both_lines_share_what_they_can() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../integrations");
    for name in ["failure.rs", "traced.rs"] {
        let read = |line: &str| {
            let path = folder.join(line).join("src").join(name);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
        };
        assert!(read("sqlx") == read("sqlx-0_8"), "{name} differs: copy it");
    }
}
