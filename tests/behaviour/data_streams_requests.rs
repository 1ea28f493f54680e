//! Requests as checkpoints: only if the user wants that, and then as dd-trace-java has them.

use crate::data_streams::payloads;
use crate::program::command;
use ddtrace_tests::process;
use ddtrace_tests::test_agent::TestAgent;

type Settings = [(&'static str, &'static str)];

/// The chain of tags that the program's requests pass, and what it says about headers.
#[track_caller]
fn pass(program: &str, settings: &Settings) -> Option<(Vec<String>, String)> {
    let agent = TestAgent::start()?;
    let mut command = command(&[program], &agent.url());
    let report = process::run(command.envs(settings.iter().copied())).report();
    let payloads = payloads(&agent);
    let mut groups: Vec<_> = payloads
        .iter()
        .flat_map(|payload| &payload.stats)
        .flat_map(|bucket| &bucket.stats)
        .collect();
    let mut chain = Vec::new();
    let mut parent = 0;
    while let Some(at) = groups.iter().position(|group| group.parent_hash == parent) {
        let group = groups.remove(at);
        chain.push(group.edge_tags.join(" "));
        parent = group.hash;
    }
    assert!(groups.is_empty(), "{groups:#?} after {chain:?}");
    let carried = report["more"]["carried"].as_str().expect("a text");
    Some((chain, carried.to_owned()))
}

#[test]
fn requests_are_one_pathway_if_the_user_wants_that() {
    const ON: (&str, &str) = ("DD_DATA_STREAMS_ENABLED", "true");
    const HTTP: (&str, &str) = ("DD_DATA_STREAMS_HTTP_ENABLED", "true");
    let all = [
        "direction:out type:http",
        "direction:in type:http",
        "direction:out type:grpc",
        "direction:in type:grpc",
    ];
    let cases: [(&str, &Settings, bool); 4] = [
        ("data-streams-requests", &[ON, HTTP], true),
        ("data-streams-requests", &[ON], false),
        ("data-streams-requests", &[HTTP], false),
        ("data-streams-requests-in-code", &[], true),
    ];
    for (program, settings, is_on) in cases {
        let Some((chain, carried)) = pass(program, settings) else {
            return;
        };
        let expected: &[&str] = if is_on { &all } else { &[] };
        assert_eq!(chain, expected, "{program} {settings:?}");
        assert_eq!(carried, format!("{is_on} {is_on}"));
    }
}
