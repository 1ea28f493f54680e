//! A long run, started by hand with `bash tests/long/soak`.

use crate::program::{assert_balanced, number, start};
use ddtrace_tests::weather::{Agent, Weather};
use std::env;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const WEATHERS: [Weather; 8] = [
    Weather::Fair,
    Weather::Status(503),
    Weather::Fair,
    Weather::Hangs,
    Weather::Fair,
    Weather::ClosesMidBody,
    Weather::Garbage,
    Weather::Drips,
];

/// The memory that a process holds, in bytes; nothing once it has ended.
fn memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

#[test]
#[ignore = "runs for minutes: bash tests/long/soak"]
fn hours_of_changing_weather() {
    let seconds = env::var("SOAK_SECONDS").map_or(600, |text| text.parse().expect("a number"));
    let agent = Agent::start_counting(Weather::Fair);
    let process = start(&["soak", &seconds.to_string()], &agent.url());
    let began = Instant::now();
    let (mut least, mut most) = (u64::MAX, 0);
    // The weather changes as time passes; nothing is waited for.
    for weather in WEATHERS.iter().cycle() {
        if began.elapsed() > Duration::from_secs(seconds) {
            break;
        }
        agent.becomes(*weather);
        thread::sleep(Duration::from_secs(3));
        // The first minute fills pools and queues.
        if began.elapsed() > Duration::from_secs(seconds.min(120) / 2) {
            let Some(now) = memory(process.id()) else {
                break;
            };
            (least, most) = (least.min(now), most.max(now));
            println!(
                "{:5} s, {weather:?}: {} kB",
                began.elapsed().as_secs(),
                now / 1024
            );
        }
    }
    agent.becomes(Weather::Fair);
    let report = process.end().report();
    println!("{report}");
    assert_balanced(&report);
    assert_eq!(
        agent.counted_spans(),
        number(&report, "sent"),
        "what was counted as sent arrived"
    );
    assert!(most < 128 << 20, "it held {most} bytes");
    assert!(
        most - least < 64 << 20,
        "memory grew from {least} to {most} bytes"
    );
}
