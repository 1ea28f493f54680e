//! Rules about what the library says of itself.

use super::{Check, Level, Rule};

/// The rules of this file.
pub static RULES: &[&Rule] = &[&ENVELOPE, &HEADER, &TYPE, &PAYLOAD, &SEQUENCE, &START];

/// Who speaks is not said.
pub static ENVELOPE: Rule = Rule {
    id: "telemetry.envelope",
    level: Level::Violation,
    sentence: "the envelope of the telemetry lacks a field, or it is not of its type",
    advice: "send api_version v2, tracer_time, runtime_id, seq_id from 1, application and host with every request",
    check: Check::Elsewhere,
};

/// Headers that say something else.
pub static HEADER: Rule = Rule {
    id: "telemetry.header",
    level: Level::Violation,
    sentence: "the headers of the telemetry do not say what its body says",
    advice: "send DD-Telemetry-API-Version: v2, DD-Telemetry-Request-Type as in the body, and DD-Session-ID as runtime_id",
    check: Check::Elsewhere,
};

/// Nobody knows it.
pub static TYPE: Rule = Rule {
    id: "telemetry.type",
    level: Level::Violation,
    sentence: "there is no telemetry of this type",
    advice: "use the request types of the API, version 2; batches hold messages, not batches",
    check: Check::Elsewhere,
};

/// Not as its type wants it.
pub static PAYLOAD: Rule = Rule {
    id: "telemetry.payload",
    level: Level::Violation,
    sentence: "the payload of the telemetry is not what its type asks for",
    advice: "compare it with the schema of the type; lists that a type asks for may be short, but not missing",
    check: Check::Elsewhere,
};

/// A request is missing.
pub static SEQUENCE: Rule = Rule {
    id: "telemetry.sequence",
    level: Level::Violation,
    sentence: "the numbers of the telemetry have a gap, or go back",
    advice: "number requests from 1 on, and send what did not arrive again under the number it had",
    check: Check::Elsewhere,
};

/// Out of order.
pub static START: Rule = Rule {
    id: "telemetry.start",
    level: Level::Violation,
    sentence: "app-started is not the first request of its runtime, alone and once",
    advice: "send it first, alone, and never again under another number; forked children do not send it",
    check: Check::Elsewhere,
};
