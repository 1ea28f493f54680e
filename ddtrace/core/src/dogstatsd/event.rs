//! Events and service checks.

use std::fmt::Write;

use super::line;
use super::origin::Origin;

/// How important an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventPriority {
    /// What most are.
    #[default]
    Normal,
    /// Shown less prominently.
    Low,
}

/// How an event is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlertType {
    /// As information.
    #[default]
    Info,
    /// As a failure.
    Error,
    /// As a warning.
    Warning,
    /// As a success.
    Success,
}

/// Something that happened, for the event stream.
///
/// ```
/// use ddtrace_core::dogstatsd::{self, AlertType, Event};
///
/// dogstatsd::event(Event::new("deployed", "version 1.2 is out").alert_type(AlertType::Success));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "an event does nothing before it is sent"]
pub struct Event<'a> {
    title: &'a str,
    text: &'a str,
    timestamp: Option<u64>,
    hostname: Option<&'a str>,
    aggregation_key: Option<&'a str>,
    priority: EventPriority,
    source: Option<&'a str>,
    alert_type: AlertType,
    tags: &'a [&'a str],
}

impl<'a> Event<'a> {
    /// An event with a title and a text, which may have several lines.
    pub fn new(title: &'a str, text: &'a str) -> Self {
        Self {
            title,
            text,
            timestamp: None,
            hostname: None,
            aggregation_key: None,
            priority: EventPriority::default(),
            source: None,
            alert_type: AlertType::default(),
            tags: &[],
        }
    }

    /// When it happened, in seconds since the epoch; now, if not set.
    pub fn at(mut self, unix_seconds: u64) -> Self {
        self.timestamp = Some(unix_seconds);
        self
    }

    /// The host that it concerns; that of the agent, if not set.
    pub fn hostname(mut self, hostname: &'a str) -> Self {
        self.hostname = Some(hostname);
        self
    }

    /// Events with the same key are shown as one.
    pub fn aggregation_key(mut self, key: &'a str) -> Self {
        self.aggregation_key = Some(key);
        self
    }

    /// How important it is.
    pub fn priority(mut self, priority: EventPriority) -> Self {
        self.priority = priority;
        self
    }

    /// What kind of thing it comes from, for example `nginx`.
    pub fn source(mut self, source: &'a str) -> Self {
        self.source = Some(source);
        self
    }

    /// How it is shown.
    pub fn alert_type(mut self, alert_type: AlertType) -> Self {
        self.alert_type = alert_type;
        self
    }

    /// Tags, as `key:value` or just a word. Replaces earlier ones.
    pub fn tags(mut self, tags: &'a [&'a str]) -> Self {
        self.tags = tags;
        self
    }

    /// `_e{<bytes of title>,<bytes of text>}:<title>|<text>|…`.
    pub(super) fn write(&self, out: &mut String, origin: &Origin) {
        let (mut title, mut text) = (String::new(), String::new());
        line::escaped(&mut title, self.title);
        line::escaped(&mut text, self.text);
        let _ = write!(out, "_e{{{},{}}}:{title}|{text}", title.len(), text.len());
        if let Some(timestamp) = self.timestamp {
            let _ = write!(out, "|d:{timestamp}");
        }
        field(out, "|h:", self.hostname);
        field(out, "|k:", self.aggregation_key);
        if self.priority == EventPriority::Low {
            out.push_str("|p:low");
        }
        field(out, "|s:", self.source);
        match self.alert_type {
            AlertType::Info => {}
            AlertType::Error => out.push_str("|t:error"),
            AlertType::Warning => out.push_str("|t:warning"),
            AlertType::Success => out.push_str("|t:success"),
        }
        line::tags(out, self.tags, origin);
        out.push_str(&origin.fields);
    }
}

/// The state of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceStatus {
    /// It works.
    Ok,
    /// It works, but not well.
    Warning,
    /// It does not work.
    Critical,
    /// Nobody knows.
    Unknown,
}

/// A report about the state of a service.
///
/// ```
/// use ddtrace_core::dogstatsd::{self, ServiceCheck, ServiceStatus};
///
/// dogstatsd::service_check(ServiceCheck::new("shop.database", ServiceStatus::Ok).tags(&["host:db1"]));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a check does nothing before it is sent"]
pub struct ServiceCheck<'a> {
    name: &'a str,
    status: ServiceStatus,
    timestamp: Option<u64>,
    hostname: Option<&'a str>,
    message: Option<&'a str>,
    tags: &'a [&'a str],
}

impl<'a> ServiceCheck<'a> {
    /// A check with its name and what it found.
    pub fn new(name: &'a str, status: ServiceStatus) -> Self {
        Self {
            name,
            status,
            timestamp: None,
            hostname: None,
            message: None,
            tags: &[],
        }
    }

    /// When it was made, in seconds since the epoch; now, if not set.
    pub fn at(mut self, unix_seconds: u64) -> Self {
        self.timestamp = Some(unix_seconds);
        self
    }

    /// The host that it concerns; that of the agent, if not set.
    pub fn hostname(mut self, hostname: &'a str) -> Self {
        self.hostname = Some(hostname);
        self
    }

    /// Why the status is what it is.
    pub fn message(mut self, message: &'a str) -> Self {
        self.message = Some(message);
        self
    }

    /// Tags, as `key:value` or just a word. Replaces earlier ones.
    pub fn tags(mut self, tags: &'a [&'a str]) -> Self {
        self.tags = tags;
        self
    }

    /// `_sc|<name>|<status>|…`, the message last.
    pub(super) fn write(&self, out: &mut String, origin: &Origin) {
        out.push_str("_sc|");
        line::text(out, self.name);
        let _ = write!(out, "|{}", self.status as u8);
        if let Some(timestamp) = self.timestamp {
            let _ = write!(out, "|d:{timestamp}");
        }
        field(out, "|h:", self.hostname);
        line::tags(out, self.tags, origin);
        out.push_str(&origin.fields);
        if let Some(message) = self.message {
            let mut escaped = String::new();
            line::escaped(&mut escaped, message);
            // A message that holds the mark of a message, or a separator, would be cut there.
            let escaped = escaped.replace("m:", "m\\:").replace('|', "_");
            let _ = write!(out, "|m:{escaped}");
        }
    }
}

fn field(out: &mut String, mark: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.push_str(mark);
        line::text(out, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            tags: "env:prod".to_owned(),
            fields: "|c:ci-1".to_owned(),
        }
    }

    #[test]
    fn events_say_the_lengths_of_their_texts_in_bytes() {
        let cases = [
            (Event::new("t", "x"), "_e{1,1}:t|x|#env:prod|c:ci-1"),
            (
                Event::new("Grüße", "one\ntwo")
                    .at(1_700_000_000)
                    .hostname("h|1")
                    .aggregation_key("k")
                    .priority(EventPriority::Low)
                    .source("s")
                    .alert_type(AlertType::Error)
                    .tags(&["a:b"]),
                "_e{7,8}:Grüße|one\\ntwo|d:1700000000|h:h_1|k:k|p:low|s:s|t:error|#env:prod,a:b|c:ci-1",
            ),
        ];
        for (event, expected) in cases {
            let mut out = String::new();
            event.write(&mut out, &origin());
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn checks_end_with_their_message() {
        let cases = [
            (
                ServiceCheck::new("db", ServiceStatus::Ok),
                "_sc|db|0|#env:prod|c:ci-1",
            ),
            (
                ServiceCheck::new("db", ServiceStatus::Unknown)
                    .at(5)
                    .hostname("h")
                    .message("m: a|b\nc")
                    .tags(&["a:b"]),
                "_sc|db|3|d:5|h:h|#env:prod,a:b|c:ci-1|m:m\\: a_b\\nc",
            ),
            (
                ServiceCheck::new("a|b", ServiceStatus::Critical),
                "_sc|a_b|2|#env:prod|c:ci-1",
            ),
            (
                ServiceCheck::new("a", ServiceStatus::Warning),
                "_sc|a|1|#env:prod|c:ci-1",
            ),
        ];
        for (check, expected) in cases {
            let mut out = String::new();
            check.write(&mut out, &origin());
            assert_eq!(out, expected);
        }
    }
}
