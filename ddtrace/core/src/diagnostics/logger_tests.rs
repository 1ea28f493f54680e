//! Tests of the log: what is written, how often, and where to.

use std::path::Path;

use super::*;

#[track_caller]
fn here() -> &'static Location<'static> {
    Location::caller()
}

fn logger(level: Option<Level>, seconds: u64) -> Logger {
    let logger = Logger::new();
    logger.configure(Settings {
        level,
        rate: Duration::from_secs(seconds),
        ..Settings::default()
    });
    logger
}

#[test]
fn one_place_writes_once_per_rate_and_then_says_what_was_left_out() {
    let logger = logger(Some(Level::Warn), 60);
    let (one, other) = (here(), here());
    let start = Instant::now();
    let mut out = Vec::new();
    for (seconds, place) in [
        (0, one),
        (1, one),
        (2, other),
        (59, one),
        (60, one),
        (61, one),
    ] {
        let now = start + Duration::from_secs(seconds);
        logger.log_at(
            now,
            Level::Warn,
            Some(place),
            format_args!("at {seconds}"),
            &mut out,
        );
    }
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "ddtrace: warning: at 0\n\
         ddtrace: warning: at 2\n\
         ddtrace: warning: at 60 (2 more like this were left out)\n"
    );
}

#[test]
fn levels_below_the_set_one_are_not_written() {
    let cases = [
        (None, ""),
        (Some(Level::Error), "error "),
        (Some(Level::Info), "error warning info "),
        (Some(Level::Debug), "error warning info debug "),
    ];
    for (set, expected) in cases {
        let logger = logger(set, 60);
        let mut out = Vec::new();
        for level in [Level::Error, Level::Warn, Level::Info, Level::Debug] {
            let place = Some(here());
            logger.log_at(Instant::now(), level, place, format_args!("x"), &mut out);
        }
        let levels = String::from_utf8(out)
            .unwrap()
            .replace("ddtrace: ", "")
            .replace(": x\n", " ");
        // One place wrote all lines: only `debug` is without a limit.
        let expected = if set == Some(Level::Debug) {
            expected
        } else {
            &expected[..expected.find(' ').map_or(0, |end| end + 1)]
        };
        assert_eq!(levels, expected, "{set:?}");
    }
}

#[test]
fn announcements_are_written_unless_the_log_is_off() {
    let message = "x".repeat(10_000);
    for (set, expected) in [
        (None, 0),
        (Some(Level::Error), "ddtrace: info: \n".len() + 10_000),
    ] {
        let logger = logger(set, 60);
        let mut out = Vec::new();
        logger.announce_to(Level::Info, format_args!("{message}"), &mut out);
        assert_eq!(out.len(), expected, "{set:?}");
    }
}

#[test]
fn a_message_is_one_line_of_bounded_length() {
    let logger = logger(Some(Level::Debug), 60);
    let mut out = Vec::new();
    let message = format!("a\nddtrace: error: forged\u{1b}[2J{}", "x".repeat(10_000));
    logger.log_at(
        Instant::now(),
        Level::Warn,
        None,
        format_args!("{message}"),
        &mut out,
    );
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("ddtrace: warning: a\\nddtrace: error: forged\\u{1b}[2Jxxx"));
    assert_eq!(text.matches('\n').count(), 1);
    assert!(text.len() < MAX_LINE + 64);
}

#[test]
fn a_display_that_logs_does_not_come_back_in() {
    struct Logs<'a>(&'a Logger);
    impl fmt::Display for Logs<'_> {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            assert!(is_logging());
            self.0.log(Level::Error, None, format_args!("inner"));
            out.write_str("outer")
        }
    }
    let logger = logger(Some(Level::Warn), 0);
    let mut out = Vec::new();
    logger.log_at(
        Instant::now(),
        Level::Warn,
        None,
        format_args!("{}", Logs(&logger)),
        &mut out,
    );
    assert_eq!(String::from_utf8(out).unwrap(), "ddtrace: warning: outer\n");
    assert!(!is_logging());
}

#[test]
fn a_sink_that_takes_a_line_keeps_it_from_standard_error() {
    static TAKEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    fn refuses(_: Level, _: &str) -> bool {
        false
    }
    fn panics(_: Level, _: &str) -> bool {
        panic!("by design")
    }
    fn takes_warnings(level: Level, line: &str) -> bool {
        assert!(is_logging());
        if level == Level::Warn {
            TAKEN.lock().unwrap().push(line.to_owned());
        }
        level == Level::Warn
    }
    let logger = logger(Some(Level::Warn), 0);
    for sink in [refuses, panics, takes_warnings, takes_warnings] {
        logger.add_sink(sink);
    }
    let mut out = Vec::new();
    for level in [Level::Error, Level::Warn, Level::Info] {
        logger.log_at(Instant::now(), level, None, format_args!("x"), &mut out);
    }
    assert_eq!(String::from_utf8(out).unwrap(), "ddtrace: error: x\n");
    assert_eq!(*TAKEN.lock().unwrap(), ["x"]);
}

#[test]
fn a_copy_has_a_level_of_its_own_and_ends_when_it_is_full() {
    let path = std::env::temp_dir().join(format!("ddtrace-copy-{}.log", std::process::id()));
    let logger = logger(Some(Level::Warn), 60);
    logger.start_copy(path.clone(), Level::Debug, 1000);
    let (mut out, place) = (Vec::new(), here());
    for index in 0..100 {
        logger.log_at(
            Instant::now(),
            Level::Debug,
            Some(place),
            format_args!("line {index} of many"),
            &mut out,
        );
    }
    logger.configure(Settings::default());
    assert!(logger.is_enabled(Level::Debug), "the copy goes on");
    logger.stop_copy();
    assert!(!logger.is_enabled(Level::Debug));
    let copy = std::fs::read_to_string(&path).unwrap();
    assert!(copy.contains("line 0 of many") && copy.contains("line 1 of many"));
    assert!(copy.len() <= 1000 && !copy.contains("line 99 of many"));
    assert_eq!(out, b"");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_closed_destination_loses_the_line_only() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let logger = logger(Some(Level::Warn), 0);
    logger.log_at(
        Instant::now(),
        Level::Warn,
        None,
        format_args!("x"),
        &mut Closed,
    );
}

#[test]
fn a_lock_that_stays_taken_loses_the_line_only() {
    let logger = logger(Some(Level::Warn), 0);
    let taken = logger.lock();
    let mut out = Vec::new();
    logger.log_at(
        Instant::now(),
        Level::Warn,
        None,
        format_args!("x"),
        &mut out,
    );
    drop(taken);
    assert!(out.is_empty());
}

#[test]
fn a_full_file_is_renamed_and_begun_anew() {
    let folder = std::env::temp_dir().join(format!("ddtrace-log-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("tracer.log");
    let logger = Logger::new();
    logger.configure(Settings {
        file: Some(path.clone()),
        file_size: 150,
        rate: Duration::ZERO,
        ..Settings::default()
    });
    for number in 0..4 {
        logger.log(
            Level::Debug,
            None,
            format_args!("line {number} {}", "x".repeat(20)),
        );
    }
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert!(read(&path).contains("line 3") && !read(&path).contains("line 1"));
    assert!(read(&folder.join("tracer.log.1")).contains("line 1"));
    std::fs::remove_dir_all(&folder).unwrap();
}
