//! Tests of the YAML reader.

use super::*;
use proptest::prelude::*;

/// A compact form to compare with: `{k=v,k=[a,b]}`, `~` for null.
fn shown(node: &Yaml) -> String {
    match node {
        Yaml::Null => "~".to_owned(),
        Yaml::Scalar(text) => text.clone(),
        Yaml::List(items) => format!(
            "[{}]",
            items.iter().map(shown).collect::<Vec<_>>().join(",")
        ),
        Yaml::Map(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(k, v)| format!("{k}={}", shown(v)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
    }
}

#[test]
fn documents_are_read() {
    let cases = [
        ("", "~"),
        ("# nothing\n\n", "~"),
        ("---\na: 1\n", "{a=1}"),
        ("a: 1\nb: two words # comment\n", "{a=1,b=two words}"),
        ("a: b#c", "{a=b#c}"),
        ("a:\n  b:\n    c: d\n  e: f\n", "{a={b={c=d},e=f}}"),
        ("a:\nb: ~\nc: null", "{a=~,b=~,c=~}"),
        ("- a\n- b", "[a,b]"),
        ("a:\n- x\n- y\nb: z", "{a=[x,y],b=z}"),
        ("a:\n  - x\n  - y\nb: z", "{a=[x,y],b=z}"),
        ("- - a\n  - b\n- c", "[[a,b],c]"),
        ("-\n  a: 1\n-\n  b: 2", "[{a=1},{b=2}]"),
        (
            "rules:\n- selectors:\n  - origin: language\n    matches: [java]\n  configuration:\n    K: v\nz: 1",
            "{rules=[{selectors=[{origin=language,matches=[java]}],configuration={K=v}}],z=1}",
        ),
        ("a: [x, 'y, z', \"w\"]", "{a=[x,y, z,w]}"),
        ("a: []\nb: {}", "{a=[],b={}}"),
        ("a: {b: 1, \"c\": [2]}", "{a={b=1,c=[2]}}"),
        ("a: [x,\n  # comment\n  y,\n]\nb: 1", "{a=[x,y],b=1}"),
        ("a: 'it''s # no comment'", "{a=it's # no comment}"),
        (
            r#"a: "tab\there \u00e9 \"q\" # in""#,
            "{a=tab\there é \"q\" # in}",
        ),
        ("\"quoted key\": v", "{quoted key=v}"),
        ("a: don't # c", "{a=don't}"),
        ("a: http://h:1/x", "{a=http://h:1/x}"),
        ("a: pre_{{ tags[k] }}", "{a=pre_{{ tags[k] }}}"),
        (
            "a: |\n  line 1\n  # kept\n    deep\n\nb: 1",
            "{a=line 1\n# kept\n  deep\n,b=1}",
        ),
        ("a: >-\n  x\n  y\nb: 1", "{a=x y,b=1}"),
        (
            "a: >\n  l1\n    deep\n  l1\n\n  l2\n",
            "{a=l1\n  deep\nl1\nl2\n}",
        ),
        ("a: |\n  no end", "{a=no end}"),
        ("a: {http://h: 1, b}", "{a={http://h=1,b=~}}"),
        ("\u{feff}a: 1\r\nb: 2\r\n", "{a=1,b=2}"),
        ("a: 1\na: 2", "{a=1,a=2}"),
        ("scalar", "scalar"),
    ];
    for (text, expected) in cases {
        let node = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
        assert_eq!(shown(&node), expected, "{text:?}");
    }
}

#[test]
fn what_is_not_read_is_an_error_and_says_its_line() {
    let cases = [
        ("not: [valid", 1),
        ("a: 1\nb: {x: 1", 2),
        ("a: 1\n  b: 2", 2),
        ("a: b: c", 1),
        ("a: &x 1", 1),
        ("a: *x", 1),
        ("a: !!str 1", 1),
        ("a: 'open", 1),
        ("a: \"open", 1),
        ("a: \"x\" y", 1),
        (r#"a: "\q""#, 1),
        (r#"a: "\u12""#, 1),
        ("a:\n\tb: 1", 2),
        ("a: [1] 2", 1),
        ("a: [1 , , 2]", 1),
        ("text\nmore", 2),
        ("- a\nb: 1", 2),
        ("a: |2\n  x", 1),
        ("a: - x", 1),
        ("a: ?", 1),
        ("a: x]\nb: }", 2),
        (": x", 1),
        ("a: [b: c]", 1),
    ];
    for (text, line) in cases {
        let error = parse(text).expect_err(text);
        assert!(error.line.abs_diff(line) <= 1, "{text:?}: {error:?}");
    }
}

#[test]
fn depth_is_bounded() {
    let flow = format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(parse(&flow).unwrap_err().message, "expected fewer levels");
    let block: String = (0..1000)
        .map(|level| format!("{}k:\n", " ".repeat(level)))
        .collect();
    assert_eq!(parse(&block).unwrap_err().message, "expected fewer levels");
    let dashes = "- ".repeat(10_000);
    assert_eq!(parse(&dashes).unwrap_err().message, "expected fewer levels");
}

proptest! {
    #[test]
    fn no_text_panics(text in "[-a-c:#'\"\\[\\]{},|>\\\\x \n\té&]{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn quoted_texts_come_back(value in "[ -~é\u{1F600}]{0,20}") {
        let single = format!("k: '{}'", value.replace('\'', "''"));
        let double = format!("k: \"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
        for text in [single, double] {
            let node = parse(&text).unwrap();
            prop_assert_eq!(node.get("k").and_then(Yaml::scalar), Some(value.as_str()));
        }
    }
}
