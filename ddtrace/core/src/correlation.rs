//! What ties a log record to the trace in which it was written: five fields, as the product looks for them.
//!
//! | field | value |
//! |---|---|
//! | `dd.trace_id` | 32 lower-case hexadecimal digits if the id is longer than 64 bits, else decimal |
//! | `dd.span_id` | decimal |
//! | `dd.service`, `dd.env`, `dd.version` | those of the program; empty if not set |
//!
//! Without an active span both ids are `0`. With `DD_TRACE_128_BIT_TRACEID_LOGGING_ENABLED=false`, said by somebody rather than
//! by default, the trace id is the lower 64 bits in decimal (the reference tracer writes all digits of a long id
//! whatever the default says, and that is the form by which the product finds the trace).
//!
//! `DD_LOGS_INJECTION` switches it off, at run time too: the configuration is looked at for each record.
//!
//! Integrations with loggers use this. By hand:
//!
//! ```
//! if let Some(fields) = ddtrace_core::correlation::fields() {
//!     println!("order placed {fields}"); // … dd.service=shop dd.env= dd.version= dd.trace_id=… dd.span_id=…
//! }
//! ```

use std::fmt;
use std::sync::Arc;

use crate::config::{Config, Name, Origin};
use crate::trace::{self, SpanId, TraceId};

/// The fields of one record. Cheap to make: it holds the configuration and two ids.
#[derive(Clone, Debug)]
pub struct Fields {
    config: Arc<Config>,
    trace_id: TraceId,
    span_id: SpanId,
}

/// The fields for a record that is written now on this thread. Nothing without a tracer, or where `DD_LOGS_INJECTION` is off.
pub fn fields() -> Option<Fields> {
    let config = trace::current_config()?;
    if !config.logs_injection {
        return None;
    }
    let (trace_id, span_id, _) = trace::active_ids().unwrap_or_default();
    Some(Fields {
        config,
        trace_id,
        span_id,
    })
}

impl Fields {
    /// The keys, in the order of [`values`](Self::values).
    pub const KEYS: [&'static str; 5] = [
        "dd.service",
        "dd.env",
        "dd.version",
        "dd.trace_id",
        "dd.span_id",
    ];

    /// The service of the program.
    pub fn service(&self) -> &str {
        &self.config.service
    }

    /// The environment; empty if not set.
    pub fn env(&self) -> &str {
        self.config.env.as_deref().unwrap_or_default()
    }

    /// The version of the program; empty if not set.
    pub fn version(&self) -> &str {
        self.config.version.as_deref().unwrap_or_default()
    }

    /// The trace's id as the product looks for it.
    pub fn trace_id(&self) -> String {
        let (high, low) = (self.trace_id.high(), self.trace_id.low());
        if high == 0 || self.is_short() {
            low.to_string()
        } else {
            format!("{high:016x}{low:016x}")
        }
    }

    /// The span's id, in decimal.
    pub fn span_id(&self) -> String {
        self.span_id.get().to_string()
    }

    /// All values, in the order of [`KEYS`](Self::KEYS).
    pub fn values(&self) -> [String; 5] {
        [
            self.service().to_owned(),
            self.env().to_owned(),
            self.version().to_owned(),
            self.trace_id(),
            self.span_id(),
        ]
    }

    /// Writes them as members of a JSON object, without braces around: `"dd.service":"shop",…`.
    pub fn write_json(&self, out: &mut String) {
        for (index, (key, value)) in Self::KEYS.iter().zip(self.values()).enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push('"');
            out.push_str(key);
            out.push_str("\":");
            out.push_str(&serde_json::Value::String(value).to_string());
        }
    }

    /// Somebody said that ids are to be short.
    fn is_short(&self) -> bool {
        let setting = self
            .config
            .setting(Name::DD_TRACE_128_BIT_TRACEID_LOGGING_ENABLED);
        !self.config.trace_id_128_bit_logging && setting.effective().origin != Origin::Default
    }
}

/// `dd.service=shop dd.env=prod dd.version=1.2 dd.trace_id=… dd.span_id=…`; values with spaces or control characters in them are
/// quoted, so that a name can not add a line or a field.
impl fmt::Display for Fields {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |value: &str| {
            !value
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '=' | '\\'))
        };
        for (index, (key, value)) in Self::KEYS.iter().zip(self.values()).enumerate() {
            let space = if index == 0 { "" } else { " " };
            if plain(&value) {
                write!(out, "{space}{key}={value}")?;
            } else {
                write!(out, "{space}{key}={value:?}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(unsafe_code, reason = "a site names its link section")]
mod tests {
    use super::*;
    use crate::test_support::Recorder;
    use crate::trace::{Site, enter};

    crate::site! { static WORK: Site = Site::new("work", "work", module_path!(), file!(), line!()); }

    fn recorder(settings: &[(&str, &str)]) -> Recorder {
        Recorder::with(|mut config| {
            for (name, value) in settings {
                config = config.set(name, *value);
            }
            config
        })
    }

    #[test]
    fn without_a_span_ids_are_0_and_what_is_not_set_is_empty() {
        // I20.
        let _recorder = recorder(&[]);
        let text = fields().unwrap().to_string();
        assert_eq!(
            text,
            "dd.service=test dd.env= dd.version= dd.trace_id=0 dd.span_id=0"
        );
    }

    #[test]
    fn long_ids_are_hexadecimal_and_short_ones_decimal() {
        let cases: [(&[(&str, &str)], bool); 4] = [
            (&[], true),
            (
                &[("DD_TRACE_128_BIT_TRACEID_LOGGING_ENABLED", "true")],
                true,
            ),
            (
                &[("DD_TRACE_128_BIT_TRACEID_LOGGING_ENABLED", "false")],
                false,
            ),
            (
                &[("DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED", "false")],
                false,
            ),
        ];
        for (settings, is_hexadecimal) in cases {
            let _recorder = recorder(settings);
            let guard = enter(&WORK);
            let (trace_id, _, _) = trace::active_ids().unwrap();
            let fields = fields().unwrap();
            let expected = if is_hexadecimal {
                assert_eq!(fields.trace_id().len(), 32);
                format!(
                    "{:032x}",
                    (u128::from(trace_id.high()) << 64) | u128::from(trace_id.low())
                )
            } else {
                trace_id.low().to_string()
            };
            assert_eq!(fields.trace_id(), expected, "{settings:?}");
            assert_eq!(fields.span_id(), guard.span_id().get().to_string());
        }
    }

    #[test]
    fn the_switch_is_looked_at_each_time() {
        // G23.
        let recorder = recorder(&[]);
        assert!(fields().is_some());
        recorder.change_config(&[(Name::DD_LOGS_INJECTION, "false".to_owned())]);
        assert!(fields().is_none());
        recorder.change_config(&[]);
        assert!(fields().is_some());
    }

    #[test]
    fn without_a_tracer_there_is_nothing() {
        assert!(fields().is_none());
    }

    #[test]
    fn a_name_adds_neither_a_line_nor_a_field() {
        let _recorder = recorder(&[("DD_ENV", "a\nb dd.span_id=1"), ("DD_VERSION", "\"")]);
        let fields = fields().unwrap();
        assert_eq!(
            fields.to_string(),
            "dd.service=test dd.env=\"a\\nb dd.span_id=1\" dd.version=\"\\\"\" dd.trace_id=0 dd.span_id=0"
        );
        let mut json = String::from("{");
        fields.write_json(&mut json);
        json.push('}');
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["dd.env"], "a\nb dd.span_id=1");
        assert_eq!(json["dd.trace_id"], "0");
    }
}
