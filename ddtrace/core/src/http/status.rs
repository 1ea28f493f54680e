//! Which HTTP statuses mark a span as failed.

use std::fmt;

/// A set of statuses (`DD_TRACE_HTTP_SERVER_ERROR_STATUSES`).
///
/// ```
/// use ddtrace_core::http::ErrorStatuses;
///
/// let (statuses, errors) = ErrorStatuses::parse("500-599, 418");
/// assert!(errors.is_empty());
/// assert!(statuses.contains(503) && statuses.contains(418) && !statuses.contains(404));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorStatuses {
    /// First and last status of each range.
    ranges: Vec<(u16, u16)>,
}

impl ErrorStatuses {
    /// Reads statuses and ranges of them, separated by commas; an empty text is the empty set.
    ///
    /// The ends of a range may be in either order. What is neither status nor range comes back and is left out.
    pub fn parse(setting: &str) -> (Self, Vec<InvalidStatuses>) {
        let mut ranges = Vec::new();
        let mut errors = Vec::new();
        for item in setting
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            match (first.trim().parse(), last.trim().parse()) {
                (Ok(first), Ok(last)) => ranges.push(if first <= last {
                    (first, last)
                } else {
                    (last, first)
                }),
                _ => errors.push(InvalidStatuses { item: item.into() }),
            }
        }
        (Self { ranges }, errors)
    }

    /// A set of ranges, each from its first to its last status.
    pub fn from_ranges(ranges: &[(u16, u16)]) -> Self {
        Self {
            ranges: ranges.to_vec(),
        }
    }

    /// Whether a response with this status is an error.
    pub fn contains(&self, status: u16) -> bool {
        self.ranges
            .iter()
            .any(|&(first, last)| (first..=last).contains(&status))
    }
}

/// 500 to 599.
impl Default for ErrorStatuses {
    fn default() -> Self {
        Self {
            ranges: vec![(500, 599)],
        }
    }
}

/// An item that is neither a status nor a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidStatuses {
    item: Box<str>,
}

impl fmt::Display for InvalidStatuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a status like 500 or a range like 500-599, found {:?}",
            self.item
        )
    }
}

impl std::error::Error for InvalidStatuses {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows E35 to E37 and E39 to E41.
    #[test]
    fn statuses_are_errors_as_the_table_says() {
        let default = ErrorStatuses::default();
        for (status, is_error) in [
            (500, true),
            (503, true),
            (599, true),
            (499, false),
            (600, false),
            (200, false),
        ] {
            assert_eq!(default.contains(status), is_error, "E35 to E37, {status}");
        }
        for (number, setting, status, is_error) in [
            ("E39", "400-403,500-501,501", 402, true),
            ("E39", "400-403,500-501,501", 404, false),
            ("E40", "250-200", 225, true),
            ("E41", "", 500, false),
        ] {
            let (statuses, errors) = ErrorStatuses::parse(setting);
            assert_eq!(
                (statuses.contains(status), errors),
                (is_error, vec![]),
                "{number}"
            );
        }
    }

    #[test]
    fn a_bad_item_is_named_and_left_out() {
        let (statuses, errors) = ErrorStatuses::parse("5xx, 500 - 501,, -1, 99999");
        assert!(statuses.contains(501) && !statuses.contains(502));
        let errors: Vec<_> = errors.iter().map(InvalidStatuses::to_string).collect();
        assert_eq!(errors.len(), 3);
        assert_eq!(
            errors[0],
            "expected a status like 500 or a range like 500-599, found \"5xx\""
        );
    }
}
