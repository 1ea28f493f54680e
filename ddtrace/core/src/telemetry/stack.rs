//! Backtraces as telemetry may have them: frames of our crates by name, everything else as a placeholder.

use std::backtrace::{Backtrace, BacktraceStatus};

/// The most frames.
const MAX_FRAMES: usize = 20;

/// What stands for frames that are not ours, however many there are in a row.
const OTHERS: &str = "<redacted>";

/// A backtrace without anything of the user's; nothing if none was captured.
pub(super) fn redacted(backtrace: &Backtrace) -> Option<String> {
    let is_captured = backtrace.status() == BacktraceStatus::Captured;
    is_captured.then(|| redact(&backtrace.to_string()))
}

/// Reads the form that the standard library writes: `  0: name`, and maybe `  at file` on the next line.
fn redact(text: &str) -> String {
    let mut frames: Vec<&str> = Vec::new();
    for line in text.lines() {
        let Some((number, name)) = line.trim_start().split_once(": ") else {
            continue;
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let frame = own(name.trim()).unwrap_or(OTHERS);
        if frame != OTHERS || frames.last() != Some(&OTHERS) {
            frames.push(frame);
        }
    }
    frames.truncate(MAX_FRAMES);
    frames.join("\n")
}

/// The name of a function of ours without type parameters, which may be the user's.
fn own(name: &str) -> Option<&str> {
    let path = match name.strip_prefix('<') {
        // `<Type as Trait>::method`
        Some(inside) => inside.split([' ', '>', '<']).next()?,
        None => name.split('<').next()?,
    };
    let path = path.trim_end_matches(':');
    let root = path.split("::").next()?;
    let is_ours = root == "ddtrace" || root.starts_with("ddtrace_");
    (is_ours && path.len() > root.len()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_user_are_not_told() {
        let text = "   0: std::backtrace::Backtrace::create
   1: ddtrace_core::telemetry::log
             at /home/alice/.cargo/git/checkouts/ddtrace/src/telemetry/mod.rs:12:5
   2: <ddtrace_core::trace::Span as core::ops::Drop>::drop
   3: ddtrace_core::text::guarded<shop::secret_recipe::Cake>
   4: shop::secret_recipe::bake
             at /home/alice/shop/src/main.rs:7
   5: <shop::Cake as ddtrace_core::Bake>::bake
   6: ddtrace_axum::layer::{{closure}}
   7: main
";
        assert_eq!(
            redact(text),
            "<redacted>\nddtrace_core::telemetry::log\nddtrace_core::trace::Span\nddtrace_core::text::guarded\n\
             <redacted>\nddtrace_axum::layer::{{closure}}\n<redacted>"
        );
    }

    #[test]
    fn a_real_backtrace_has_our_frames_and_is_bounded() {
        let text = redacted(&Backtrace::force_capture()).unwrap();
        assert!(text.contains("ddtrace_core::telemetry::stack::"), "{text}");
        assert!(!text.contains("at ") && text.lines().count() <= MAX_FRAMES);
        assert_eq!(redacted(&Backtrace::disabled()), None);
        let deep: String = (0..100)
            .map(|n| format!("{n}: ddtrace_core::f{n}\n"))
            .collect();
        assert_eq!(redact(&deep).lines().count(), MAX_FRAMES);
    }
}
