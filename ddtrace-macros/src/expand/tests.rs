//! What functions look like after the expansion.
//!
//! Each case is a file in `snapshots` beside `src`: the annotated source, a line of dashes, the expansion as
//! `prettyplease` prints it, the section attributes of the site left out. `DDTRACE_MACROS_BLESS=1` writes them anew; what changed is then read in the
//! diff, not believed.

use std::path::Path;

use proc_macro2::TokenStream;

use super::Mode;
use crate::entry;

const LINE: &str =
    "\n// ------------------------------------------------------------------------\n";

/// The source of a case, expanded.
fn expand(source: &str, mode: Mode) -> String {
    let source = source.trim();
    let (name, args, item) = attribute(source);
    let expanded = match name {
        "test" => crate::test_fn::expand(args, item, mode),
        name => entry::attribute(name, args, item, mode),
    };
    let file = syn::parse2(expanded.clone()).unwrap_or_else(|error| panic!("{error}: {expanded}"));
    prettyplease::unparse(&file)
}

/// Splits `#[name(…)] item` into what the compiler would hand over.
fn attribute(source: &str) -> (&str, TokenStream, TokenStream) {
    let source = source
        .strip_prefix("#[")
        .expect("the case begins with an attribute");
    let end = matching_bracket(source);
    let (name, args) = match source[..end].split_once('(') {
        Some((name, args)) => (name, args.strip_suffix(')').expect("a closing parenthesis")),
        None => (&source[..end], ""),
    };
    (
        name.trim(),
        args.parse().unwrap(),
        source[end + 1..].parse().unwrap(),
    )
}

fn matching_bracket(source: &str) -> usize {
    let mut depth = 1;
    for (at, character) in source.char_indices() {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    panic!("no end of the attribute in {source}");
}

#[test]
fn expansions_are_as_they_were_reviewed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    let bless = std::env::var_os("DDTRACE_MACROS_BLESS").is_some();
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (source, expected) = text.split_once(LINE).unwrap_or((&text, ""));
        // Where the code stands depends on what was parsed before in this process.
        let found = shorten(&expand(source, Mode::Full));
        if bless {
            std::fs::write(&path, format!("{}{LINE}{found}", source.trim_end())).unwrap();
        } else if found != expected {
            wrong.push(format!("{}:\n{found}", path.display()));
        }
        count += 1;
    }
    assert!(count > 0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Without what is the same everywhere (the attributes of the site) or differs from run to run (its line).
fn shorten(text: &str) -> String {
    let mut previous = "";
    let mut out = String::new();
    let mut section = false;
    for line in text.lines() {
        section = (section || line.trim() == "#[cfg_attr(") && !line.contains("static __DD_SITE");
        if section {
            continue;
        }
        let number = line.trim().trim_end_matches(',');
        if previous.contains("file!()") && number.parse::<u32>().is_ok() {
            out.push_str(&line.replace(number, "1"));
        } else {
            out.push_str(line);
        }
        out.push('\n');
        previous = line;
    }
    out
}

#[test]
fn a_function_with_a_mistake_is_still_there() {
    let item: TokenStream = "fn f() { unfinished. }".parse().unwrap();
    for args in ["nam = 1", "args(a)", "name = "] {
        let out =
            entry::attribute("trace", args.parse().unwrap(), item.clone(), Mode::Full).to_string();
        let rest = out.strip_prefix(&item.to_string());
        assert!(
            rest.is_some_and(|rest| rest.contains("compile_error")),
            "{out}"
        );
    }
    // A body that does not parse is none of our business: it is handed on as it is.
    let out = entry::attribute("trace", TokenStream::new(), item, Mode::Full).to_string();
    assert!(
        out.contains("unfinished .") && !out.contains("compile_error"),
        "{out}"
    );
}

#[test]
fn without_the_feature_the_item_comes_back_as_it_was() {
    for item in [
        "pub async fn f(mut a: u8) -> Result<(), E> { g(a)?; Ok(()) }",
        "impl A { fn f(&self) {} const B: u8 = 1; }",
        "mod m { fn f() {} }",
    ] {
        let tokens: TokenStream = item.parse().unwrap();
        let plain = entry::attribute("trace", TokenStream::new(), tokens.clone(), Mode::Plain);
        assert_eq!(plain.to_string(), tokens.to_string());
    }
    let checked = entry::attribute(
        "trace",
        "nam = 1".parse().unwrap(),
        "fn f() {}".parse().unwrap(),
        Mode::Plain,
    );
    assert!(checked.to_string().contains("unknown option `nam`"));
}
