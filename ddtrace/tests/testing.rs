//! `#[ddtrace::test]`: it makes tests, together with whatever else does, and says their tags to the runner.

#[ddtrace::test]
fn alone_it_makes_a_test() {}

#[ddtrace::test]
#[should_panic = "by design"]
fn it_may_have_to_panic() {
    panic!("by design");
}

#[ddtrace::test]
#[ignore = "the last test starts it in a process of its own"]
fn it_may_be_ignored() {
    panic!("it was to be left out");
}

#[ddtrace::test]
fn it_may_return_a_result() -> Result<(), std::num::ParseIntError> {
    let number: u8 = "7".parse()?;
    assert_eq!(number, 7);
    Ok(())
}

#[ddtrace::test(tags(kind = "async"))]
#[tokio::test]
async fn above_another_framework() {
    tokio::task::yield_now().await;
}

#[tokio::test]
#[ddtrace::test(unskippable)]
async fn below_another_framework() -> Result<(), std::io::Error> {
    tokio::task::yield_now().await;
    Ok(())
}

#[ddtrace::test]
#[test]
fn with_the_attribute_of_the_language() {}

#[ddtrace::test(tags(team = "checkout", "cart.size" = 2 + 1, shown = %'x'), unskippable)]
#[ignore = "the last test starts it in a process of its own"]
fn tagged() {
    traced();
}

#[ddtrace::trace]
fn traced() {}

#[test]
fn all_of_them_are_tests_and_say_their_tags() {
    let here = std::env::current_exe().expect("a test knows where it is");
    let listed = std::process::Command::new(&here)
        .args(["--list", "--format", "terse"])
        .output()
        .expect("it runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in [
        "alone_it_makes_a_test",
        "it_may_have_to_panic",
        "it_may_be_ignored",
        "it_may_return_a_result",
        "above_another_framework",
        "below_another_framework",
        "with_the_attribute_of_the_language",
        "tagged",
    ] {
        let line = format!("{name}: test");
        assert_eq!(
            listed.lines().filter(|listed| *listed == line).count(),
            1,
            "{name} in {listed}"
        );
    }
    let folder = std::env::temp_dir().join(format!("ddtrace-attribute-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let run = std::process::Command::new(&here)
        .args(["--exact", "tagged", "--ignored"])
        .env("_DD_TEST_RUN", &folder)
        .env("_DD_TEST_SPAN", "7:9")
        .env("DD_TRACE_AGENT_URL", "http://127.0.0.1:9")
        .output()
        .expect("it runs");
    assert!(run.status.success(), "{run:?}");
    let tags = std::fs::read_to_string(folder.join("tags")).expect("tags");
    let spans = std::fs::read_to_string(folder.join("spans.jsonl")).expect("spans");
    std::fs::remove_dir_all(&folder).expect("it was there");
    for tag in [
        "team\u{1f}checkout\u{1e}",
        "cart.size\u{1f}3\u{1e}",
        "shown\u{1f}x\u{1e}",
        "test.itr.unskippable\u{1f}true\u{1e}",
    ] {
        assert!(tags.contains(tag), "{tag:?} in {tags:?}");
    }
    assert!(spans.contains("\"name\":\"testing::traced\""), "{spans}");
}
