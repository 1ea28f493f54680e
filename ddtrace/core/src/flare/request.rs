//! What files of remote configuration say about flares. They come from outside: lengths are bounded, and what does not look as it should is
//! refused.

use serde_json::Value;

use crate::diagnostics::Level;

/// The longest text of a request, in bytes.
const MAX_TEXT: usize = 1024;

/// What the name of a file with a level begins with.
const LEVEL_PREFIX: &str = "flare-log-level.";

/// What a file of `AGENT_CONFIG` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogLevel {
    /// Copy the log from this level on, or stop.
    Set(Option<Level>),
    /// Something that is not ours: an order of preference, or settings of the agent.
    Ignored,
}

impl LogLevel {
    /// Whether a file of this name sets a level.
    pub(super) fn is_named(config_id: &str) -> bool {
        config_id.starts_with(LEVEL_PREFIX)
    }

    /// Reads `{"name": "flare-log-level.debug", "config": {"log_level": "debug"}}`. A file without a level, which is how some
    /// remove it, stops the copying.
    pub(super) fn read(config_id: &str, content: &Value) -> Result<LogLevel, String> {
        let name = content["name"].as_str().unwrap_or(config_id);
        if !Self::is_named(name) {
            return Ok(LogLevel::Ignored);
        }
        let Some(level) = content["config"]["log_level"].as_str() else {
            return Ok(LogLevel::Set(None));
        };
        match (Level::parse(level), level.eq_ignore_ascii_case("off")) {
            (Some(level), _) => Ok(LogLevel::Set(Some(level))),
            (None, true) => Ok(LogLevel::Set(None)),
            (None, false) => {
                Err("log_level: expected a level from trace to critical, or off".to_owned())
            }
        }
    }
}

/// A flare that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    uuid: String,
    case_id: String,
    hostname: String,
    user_handle: String,
}

impl Request {
    /// Reads a file of `AGENT_TASK`. Nothing for tasks of other types, which are the agent's.
    pub(super) fn read(content: &Value) -> Result<Option<Request>, String> {
        if content["task_type"] != "tracer_flare" {
            return Ok(None);
        }
        let arguments = &content["args"];
        let case_id = text(arguments, "case_id")?;
        if !is_case(&case_id) {
            return Err(
                "case_id: expected digits other than 0, with -with-debug or -with-content behind them at most"
                    .to_owned(),
            );
        }
        Ok(Some(Request {
            uuid: text(content, "uuid")?,
            case_id,
            hostname: text(arguments, "hostname")?,
            user_handle: text(arguments, "user_handle")?,
        }))
    }

    pub(super) fn uuid(&self) -> &str {
        &self.uuid
    }

    pub(super) fn case_id(&self) -> &str {
        &self.case_id
    }

    pub(super) fn hostname(&self) -> &str {
        &self.hostname
    }

    pub(super) fn user_handle(&self) -> &str {
        &self.user_handle
    }
}

fn text(content: &Value, key: &str) -> Result<String, String> {
    let text = match &content[key] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(format!("{key}: expected a text")),
    };
    if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(format!(
            "{key}: expected at most {MAX_TEXT} bytes without control characters"
        ));
    }
    Ok(text)
}

/// Digits, not `0`, with one of two endings at most. It becomes part of a file's name.
fn is_case(text: &str) -> bool {
    let digits = text
        .strip_suffix("-with-debug")
        .or_else(|| text.strip_suffix("-with-content"))
        .unwrap_or(text);
    !digits.is_empty()
        && digits.len() <= 20
        && digits != "0"
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn task(case_id: &str) -> Value {
        json!({
            "task_type": "tracer_flare",
            "uuid": "5a3f",
            "args": {"case_id": case_id, "hostname": "my.hostname", "user_handle": "its.me@datadoghq.com"},
        })
    }

    #[test]
    fn a_case_is_digits_with_one_of_two_endings_at_most() {
        for (case, is_taken) in [
            ("12345", true),
            // G24.
            ("123-with-debug", true),
            ("123-with-content", true),
            ("0", false),
            ("", false),
            ("-with-debug", false),
            ("0-with-debug", false),
            ("123-with-everything", false),
            ("../../etc/passwd", false),
            ("123456789012345678901", false),
        ] {
            let request = Request::read(&task(case));
            assert_eq!(request.is_ok(), is_taken, "{case}");
            if let Ok(Some(request)) = request {
                assert_eq!(request.case_id(), case);
                assert_eq!(request.hostname(), "my.hostname");
                assert_eq!(request.user_handle(), "its.me@datadoghq.com");
                assert_eq!(request.uuid(), "5a3f");
            }
        }
    }

    #[test]
    fn other_tasks_are_the_agents() {
        for content in [
            json!({"task_type": "flare", "args": {}}),
            json!({}),
            json!([]),
            json!("tracer_flare"),
        ] {
            assert_eq!(Request::read(&content), Ok(None), "{content}");
        }
        assert!(Request::read(&json!({"task_type": "tracer_flare"})).is_err());
    }

    #[test]
    fn a_level_is_known_by_the_name_of_its_file() {
        let content =
            |name: &str, level: &str| json!({"name": name, "config": {"log_level": level}});
        for (id, content, expected) in [
            (
                "flare-log-level.debug",
                content("flare-log-level.debug", "debug"),
                Ok(LogLevel::Set(Some(Level::Debug))),
            ),
            (
                "flare-log-level.trace",
                content("flare-log-level.trace", "trace"),
                Ok(LogLevel::Set(Some(Level::Debug))),
            ),
            (
                "flare-log-level.critical",
                content("flare-log-level.critical", "critical"),
                Ok(LogLevel::Set(Some(Level::Error))),
            ),
            (
                "flare-log-level.off",
                content("flare-log-level.off", "off"),
                Ok(LogLevel::Set(None)),
            ),
            ("flare-log-level.debug", json!({}), Ok(LogLevel::Set(None))),
            (
                "configuration_order",
                json!({"order": [], "internal_order": ["flare-log-level.debug"]}),
                Ok(LogLevel::Ignored),
            ),
            ("else", content("else", "debug"), Ok(LogLevel::Ignored)),
            ("flare-log-level.debug", json!(5), Ok(LogLevel::Set(None))),
        ] {
            assert_eq!(LogLevel::read(id, &content), expected, "{id} {content}");
        }
        let loud = content("flare-log-level.loud", "loud");
        assert!(LogLevel::read("flare-log-level.loud", &loud).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_or_refused(text in ".*", number in any::<u64>()) {
            for content in [task(&text), json!({"task_type": "tracer_flare", "uuid": text.clone(), "args": {"case_id": number}})] {
                if let Ok(Some(request)) = Request::read(&content) {
                    prop_assert!(is_case(request.case_id()));
                }
            }
            let _ = LogLevel::read(&text, &json!({"name": text, "config": {"log_level": text}}));
        }
    }
}
