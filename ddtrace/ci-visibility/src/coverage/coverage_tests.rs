//! Maps and profiles that the compiler at hand makes of a program whose lines are known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::payload::FileCoverage;

const MAIN: &str = "mod inner;

fn larger(x: usize) -> usize {
    if x > 2 {
        x + 1
    } else {
        x - 1
    }
}

fn never() {
    println!(\"never\");
}

fn main() {
    let count = std::env::args().count();
    println!(\"{}\", larger(count));
    match std::env::args().nth(1).as_deref() {
        Some(\"never\") => never(),
        Some(\"inner\") => inner::called(),
        _ => {}
    }
}
";

const INNER: &str = "pub fn called() {
    let text = String::from(\"called\");
    println!(\"{text}\");
}

pub fn unused() {
    println!(\"unused\");
}
";

struct Program {
    folder: tempfile::TempDir,
}

impl Program {
    /// Compiles the program with coverage; `None` where there is no compiler.
    fn compile() -> Option<Program> {
        Program::compile_as(MAIN, &[])
    }

    fn compile_as(main: &str, options: &[&str]) -> Option<Program> {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("src")).expect("created");
        std::fs::write(at("src/main.rs"), main).expect("written");
        std::fs::write(at("src/inner.rs"), INNER).expect("written");
        let rustc = option_env!("RUSTC").unwrap_or("rustc");
        let compiled = Command::new(rustc)
            .args([
                "-C",
                "instrument-coverage",
                "--edition=2021",
                "-o",
                "program",
            ])
            .args(options)
            .arg("src/main.rs")
            .current_dir(folder.path())
            .env_remove("RUSTFLAGS")
            .output();
        let Ok(output) = compiled else {
            eprintln!("left out: there is no rustc");
            return None;
        };
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        Some(Program { folder })
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("a path")
    }

    fn binary(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    fn run(&self, argument: &str) -> Vec<u8> {
        self.run_with(&[argument])
    }

    fn run_with(&self, arguments: &[&str]) -> Vec<u8> {
        let name = format!("{}.profraw", arguments.join("-"));
        let profile = self.folder.path().join(name);
        let status = Command::new(self.binary())
            .args(arguments)
            .env("LLVM_PROFILE_FILE", &profile)
            .output()
            .expect("it runs")
            .status;
        assert!(status.success());
        std::fs::read(profile).expect("a profile")
    }

    fn map(&self) -> CoverageMap {
        let mut map = CoverageMap::new(&self.root());
        assert_eq!(map.add_binary(&self.binary()), Ok(true));
        map
    }
}

fn lines(files: &[FileCoverage]) -> BTreeMap<&str, Vec<u32>> {
    files
        .iter()
        .map(|file| (file.file.as_str(), file.lines.lines().collect()))
        .collect()
}

/// The lines of a source on which these texts stand.
fn on(source: &str, texts: &[&str]) -> Vec<u32> {
    let lines = source.lines().enumerate();
    let with = lines.filter(|(_, line)| texts.iter().any(|text| line.contains(text)));
    with.map(|(index, _)| index as u32 + 1).collect()
}

#[test]
fn the_lines_that_a_process_ran_are_found() {
    let Some(program) = Program::compile() else {
        return;
    };
    let map = program.map();
    for (argument, ran, did_not) in [
        (
            "none",
            &["x - 1", "fn larger", "_ => {}"][..],
            &["x + 1", "\"never\");"][..],
        ),
        ("never", &["\"never\");", "=> never()", "x - 1"], &["x + 1"]),
        ("inner", &["inner::called()"], &["\"never\");"]),
    ] {
        let profile = Profile::parse(&program.run(argument)).expect("a profile");
        assert!(!profile.is_empty());
        let files = map.lines_of(&profile);
        let found = lines(&files);
        let main = &found["src/main.rs"];
        for line in on(MAIN, ran) {
            assert!(main.contains(&line), "{argument}: line {line} of {main:?}");
        }
        for line in on(MAIN, did_not) {
            assert!(!main.contains(&line), "{argument}: line {line} of {main:?}");
        }
        let inner = found.get("src/inner.rs").cloned();
        assert_eq!(inner, (argument == "inner").then(|| vec![1, 2, 3, 4]));
        // Nothing of the standard library, which is outside of the root.
        assert!(
            found.keys().all(|file| file.starts_with("src/")),
            "{found:?}"
        );
    }
}

/// Functions that are left by a panic or by the end of the process, before and behind branches and loops.
const LEFT: &str = "fn leaves() {
    if std::env::args().nth(1).as_deref() == Some(\"exit\") { std::process::exit(0) }
    panic!(\"left\")
}
fn nothing(n: u32) -> u32 { n }
fn branch(n: u32) -> u32 { leaves(); if n > 1 { 1 } else { 2 } }
fn many(n: u32) -> u32 { leaves(); match n { 0 => 1, 1 => 2, 2 => 3, _ => 4 } }
fn counted(n: u32) -> u32 { let mut s = 0; for i in 0..n { leaves(); s += i; } s }
fn forever(n: u32) -> u32 { loop { leaves(); if n == 9 { return 1 } } }
fn early(n: u32) -> Option<u32> { leaves(); let m = Some(n)?; if m == 7 { return None } Some(m) }
fn lazily(n: u32) -> bool { ({ leaves(); n > 1 }) && ({ leaves(); n > 2 }) || n == 5 }
fn asked(n: u32) -> u32 { if ({ leaves(); n > 1 }) { leaves(); 1 } else { 2 } }
fn while_true(n: u32) -> u32 { while ({ leaves(); n != 3 }) { if n == 1 { continue } if n == 2 { break } } 5 }
fn main() {
    let which = std::env::args().nth(2).unwrap();
    std::panic::set_hook(Box::new(|_| {}));
    let _ = std::panic::catch_unwind(|| match which.as_str() {
        \"branch\" => { branch(4); }
        \"many\" => { many(4); }
        \"counted\" => { counted(4); }
        \"forever\" => { forever(4); }
        \"early\" => { early(4); }
        \"lazily\" => { lazily(4); }
        \"asked\" => { asked(4); }
        _ => { while_true(4); }
    });
    nothing(1);
}
";

#[test]
fn a_function_that_is_left_by_a_panic_or_an_exit_was_entered() {
    for level in ["0", "3"] {
        let Some(program) = Program::compile_as(LEFT, &["-C", &format!("opt-level={level}")])
        else {
            return;
        };
        let map = program.map();
        for how in ["panic", "exit"] {
            for name in [
                "branch",
                "many",
                "counted",
                "forever",
                "early",
                "lazily",
                "asked",
                "while_true",
            ] {
                let profile = program.run_with(&[how, name]);
                let profile = Profile::parse(&profile).expect("a profile");
                let entered = map.functions_of(&profile);
                let is_entered = |name: &str| {
                    let line = on(LEFT, &[&format!("fn {name}(")])[0];
                    entered.iter().any(|one| one.first == line)
                };
                assert!(is_entered(name), "{level} {how} {name}: {entered:?}");
                assert!(is_entered("main") && is_entered("leaves"));
                assert_eq!(is_entered("nothing"), how == "panic", "{level} {name}");
            }
        }
    }
}

#[test]
fn a_report_knows_what_could_have_run() {
    let Some(program) = Program::compile() else {
        return;
    };
    let map = program.map();
    let executable = map.executable_lines();
    for line in on(MAIN, &["x + 1", "x - 1", "\"never\");"]) {
        assert!(executable["src/main.rs"].contains(line), "{line}");
    }
    let inner: Vec<u32> = executable["src/inner.rs"].lines().collect();
    assert_eq!(inner, [1, 2, 3, 4, 6, 7, 8]);
    let mut report = Report::of(&map);
    assert_eq!(report.lines_pct(), Some(0.0));
    let mut profile = Profile::parse(&program.run("inner")).expect("a profile");
    profile.merge(&Profile::parse(&program.run("never")).expect("a profile"));
    report.add_all(&map.lines_of(&profile));
    let all = executable["src/main.rs"].len() + 7;
    // One branch of `larger`, the arm for nothing, and a function were not run.
    let not_run = all as f64 * (100.0 - report.lines_pct().expect("lines")) / 100.0;
    assert!((4.0..=6.0).contains(&not_run.round()), "{not_run} of {all}");
    let lcov = report.lcov();
    assert!(lcov.contains("SF:src/inner.rs\nDA:1,1\nDA:2,1\nDA:3,1\nDA:4,1\nDA:6,0\nDA:7,0\nDA:8,0\nLF:7\nLH:4\nend_of_record\n"), "{lcov}");
    // What skipped tests would have run counts, too.
    report.add("src/inner.rs", &Bitmap::whole(8));
    report.add("nowhere.rs", &Bitmap::whole(8));
    assert!(report.lcov().contains("LF:7\nLH:7\n"));
    assert!(!report.lcov().contains("nowhere"));
}

#[test]
fn a_binary_without_coverage_is_told_apart() {
    let mut map = CoverageMap::new(Path::new("/"));
    let own = std::env::current_exe().expect("a path");
    // Whoever measures these tests has instrumented them.
    if let Ok(is_instrumented) = map.add_binary(&own) {
        assert_eq!(is_instrumented, !map.is_empty());
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF\x02\x01", &[0x7f; 64]] {
        std::fs::write(&path, bytes).expect("written");
        assert!(map.add_binary(&path).is_err());
    }
    assert!(map.add_binary(&folder.path().join("none")).is_err());
}

#[test]
fn damaged_profiles_are_errors_and_never_lines() {
    let Some(program) = Program::compile() else {
        return;
    };
    let map = program.map();
    let whole = program.run("none");
    let reference = map.lines_of(&Profile::parse(&whole).expect("a profile"));
    for length in 0..whole.len() {
        // A part that is missing is noticed, except for padding at the end.
        if let Ok(profile) = Profile::parse(&whole[..length]) {
            let files = map.lines_of(&profile);
            assert!(files.is_empty() || files == reference, "{length}");
        }
    }
    let mut newer = whole.clone();
    newer[8] = 11;
    assert_eq!(
        Profile::parse(&newer),
        Err(CoverageError::Version {
            what: "profile",
            known: "8 to 10",
            found: 11
        })
    );
    // Several profiles in one file add up.
    let twice = Profile::parse(&[whole.clone(), whole.clone()].concat()).expect("two");
    let mut added = Profile::parse(&whole).expect("one");
    let once = added.clone();
    added.merge(&once);
    assert_eq!(twice, added);
    // No byte that is changed makes it panic.
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        if let Ok(profile) = Profile::parse(&changed) {
            let _ = map.lines_of(&profile);
        }
    }
}
