//! How long to wait before another try.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, StatusCode};

/// Tries in all.
pub(super) const TRIES: u32 = 5;

/// The longest pause that a peer may ask for.
const MAX_RESET: Duration = Duration::from_secs(120);

/// The longest pause that `Retry-After` may ask for.
const MAX_AFTER: Duration = Duration::from_secs(30);

/// Numbers from here on are points in time.
const EPOCH_FROM: u64 = 1_000_000_000;

/// A random pause before the next try; `tried` counts from 1.
pub(super) fn pause(tried: u32) -> Duration {
    let longest = 1.618_f64.powi(i32::try_from(tried).unwrap_or(1) - 1);
    crate::random::up_to(Duration::from_secs_f64(longest))
}

/// The pause that a peer asks for.
pub(super) fn asked_pause(
    status: StatusCode,
    headers: &HeaderMap,
    now: SystemTime,
) -> Option<Duration> {
    if status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let number =
        |name: &str| -> Option<u64> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
    if let Some(reset) = number("x-ratelimit-reset") {
        // A number is a point in time, if that is to come, or a number of seconds.
        let seconds = if reset > now { reset - now } else { reset };
        return Some(Duration::from_secs(seconds).min(MAX_RESET));
    }
    let after = number("retry-after")?;
    let seconds = if after >= EPOCH_FROM {
        after.saturating_sub(now)
    } else {
        after
    };
    Some(Duration::from_secs(seconds).min(MAX_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow() {
        for (tried, longest) in [(1, 1.0), (2, 1.618), (3, 2.618), (4, 4.236)] {
            for _ in 0..50 {
                assert!(pause(tried).as_secs_f64() <= longest + 0.001, "{tried}");
            }
        }
    }

    #[test]
    fn a_peer_may_ask_for_a_pause() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (name, value, expected) in [
            ("x-ratelimit-reset", "7", Some(7)),
            ("x-ratelimit-reset", "1800000009", Some(9)),
            ("x-ratelimit-reset", "1700000000", Some(120)),
            ("x-ratelimit-reset", "9999999999999", Some(120)),
            ("x-ratelimit-reset", "soon", None),
            ("retry-after", "5", Some(5)),
            ("retry-after", "1800000011", Some(11)),
            ("retry-after", "1799999999", Some(0)),
            ("retry-after", "500", Some(30)),
            ("other", "5", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            );
            let found = asked_pause(StatusCode::TOO_MANY_REQUESTS, &headers, now);
            assert_eq!(found, expected.map(Duration::from_secs), "{name}: {value}");
            assert_eq!(asked_pause(StatusCode::BAD_GATEWAY, &headers, now), None);
        }
    }
}
