//! CI Visibility: answers of the backend, code owners, git's differences, raw profiles.

use ddtrace_ci_visibility::CodeOwners;
use ddtrace_ci_visibility::backend::{
    KnownTests, NextPage, Settings, Skippable, SkippingLevel, TestManagement,
};
use ddtrace_ci_visibility::coverage::{CoverageMap, Profile, safety};
use ddtrace_ci_visibility::selection::ChangedLines;

/// An answer of the backend, read as each of the answers there are: what is believed is bounded, and an error says one thing.
#[allow(clippy::len_zero, reason = "that the two agree is what is tried")]
pub fn backend_answers(data: &[u8]) {
    if let Ok(settings) = Settings::parse(data) {
        let retries = &settings.early_flake_detection.slow_test_retries;
        let mut before = u32::MAX;
        for seconds in [5, 10, 30, 300] {
            let after = retries.after(std::time::Duration::from_secs(seconds));
            assert!(after <= 1000);
            before = before.min(after);
        }
        assert_eq!(retries.after(std::time::Duration::from_secs(301)), 0);
        assert!(settings.test_management.attempt_to_fix_retries <= 1000);
    }
    let mut known = KnownTests::default();
    match known.add_page(data) {
        Ok(NextPage::Cursor(cursor)) => assert!(!cursor.is_empty()),
        Ok(NextPage::Last) => assert_eq!(known.is_empty(), known.len() == 0),
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
    for level in [SkippingLevel::Test, SkippingLevel::Suite] {
        if let Ok(skippable) = Skippable::parse(data, level) {
            assert_eq!(skippable.level(), level);
            assert_eq!(skippable.is_empty(), skippable.len() == 0);
        }
    }
    for is_all_attempted in [false, true] {
        if let Ok(management) = TestManagement::parse(data, is_all_attempted) {
            assert_eq!(management.is_empty(), management.len() == 0);
        }
    }
}

/// `CODEOWNERS`, after a first line that is the path to look up.
pub fn code_owners(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (path, rules) = text.split_once('\n').unwrap_or(("src/lib.rs", &text));
    let owners = CodeOwners::parse(rules);
    let found = owners.of(path);
    assert!(found.iter().all(|owner| !owner.is_empty()));
    match owners.tag(path) {
        Some(tag) => {
            let read: Vec<String> = serde_json::from_str(&tag).expect("the tag is a JSON array");
            assert_eq!(read, found);
        }
        None => assert!(found.is_empty()),
    }
}

/// What `git diff -U0` prints.
pub fn changed_lines(data: &[u8]) {
    let changes = ChangedLines::parse(&String::from_utf8_lossy(data));
    assert_eq!(changes.is_empty(), changes.files().count() == 0);
    assert!(changes.files().all(|file| !file.is_empty()));
}

/// A raw profile: counters add up without overflow, and mean nothing to a map without functions.
pub fn raw_profile(data: &[u8]) {
    let Ok(mut profile) = Profile::parse(data) else {
        return;
    };
    let again = profile.clone();
    profile.merge(&again);
    assert_eq!(profile.is_empty(), again.is_empty());
    let map = CoverageMap::new("/repository".as_ref());
    assert!(map.lines_of(&profile).is_empty());
}

/// A dep-info file of rustc.
pub fn dependency_info(data: &[u8]) {
    let files = safety::dependencies(&String::from_utf8_lossy(data));
    assert!(files.iter().all(|file| !file.as_os_str().is_empty()));
}
