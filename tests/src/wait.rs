//! Polling with a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for anything on a loaded machine; reached only by a failing test.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer. Fails the test, saying `what`, when there is none in a minute.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            began.elapsed() < DEADLINE,
            "waited a minute in vain: {what}"
        );
        thread::sleep(Duration::from_millis(10));
    }
}
