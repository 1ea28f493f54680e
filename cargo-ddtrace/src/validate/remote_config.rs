//! Rules about requests for remote configuration, judged against what the client was sent before.

use super::{Check, Level, Rule};

/// The rules of this file.
pub static RULES: &[&Rule] = &[&UNKNOWN_FILE, &VERSION_BACK, &BACKEND_STATE];

/// A state for nothing.
pub static UNKNOWN_FILE: Rule = Rule {
    id: "remote_config.unknown_file",
    level: Level::Violation,
    sentence: "the client reports the state of a file that it was never sent",
    advice: "report exactly the files of the last answer that was taken over",
    check: Check::Elsewhere,
};

/// An older version.
pub static VERSION_BACK: Rule = Rule {
    id: "remote_config.version_back",
    level: Level::Violation,
    sentence: "the version of the targets went back",
    advice: "keep the version of the last answer that was taken over; 0 asks for everything",
    check: Check::Elsewhere,
};

/// Not what it was given.
pub static BACKEND_STATE: Rule = Rule {
    id: "remote_config.backend_state",
    level: Level::Violation,
    sentence: "the state of the backend does not come back as it was sent",
    advice: "send signed.custom.opaque_backend_state byte for byte",
    check: Check::Elsewhere,
};
