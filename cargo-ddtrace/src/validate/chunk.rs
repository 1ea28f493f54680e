//! Rules about the tags that stand once per chunk: sampling and process.

use super::{Check, ChunkView, Findings, Level, Rule};

/// The rules of this file.
pub static RULES: &[&Rule] = &[
    &PRIORITY,
    &PRIORITY_DIFFERS,
    &DECISION_MAKER,
    &DECISION_MAKER_CHANGED,
    &RATES,
    &KEEP_RATE,
    &PROCESS,
    &REPEATED,
];

/// No priority, or none that exists.
pub static PRIORITY: Rule = Rule {
    id: "chunk.priority",
    level: Level::Violation,
    sentence: "the chunk's sampling priority is missing, or not one of -1, 0, 1, 2",
    advice: "set the metric _sampling_priority_v1 on the first span of every chunk",
    check: Check::Chunk(priority),
};

fn priority(chunk: &ChunkView<'_>, out: &mut Findings) {
    if chunk.spans.is_empty()
        || chunk
            .priority
            .is_some_and(|p| [-1.0, 0.0, 1.0, 2.0].contains(&p))
    {
        return;
    }
    let found = chunk
        .priority
        .map_or("found none".to_owned(), |p| format!("found {p}"));
    chunk.find_span(
        &PRIORITY,
        0,
        "metrics[\"_sampling_priority_v1\"]",
        found,
        out,
    );
}

/// One trace, one process, two priorities.
pub static PRIORITY_DIFFERS: Rule = Rule {
    id: "chunk.priority_differs",
    level: Level::Violation,
    sentence: "two chunks of one trace from one process have different priorities",
    advice: "decide once per trace, before the first chunk leaves; a part of the trace may be thrown away",
    check: Check::Elsewhere,
};

/// Kept, but by whom?
pub static DECISION_MAKER: Rule = Rule {
    id: "chunk.decision_maker",
    level: Level::Violation,
    sentence: "the trace began here and is kept, but _dd.p.dm is missing or not '-' and a number",
    advice: "write the sampling mechanism as _dd.p.dm, e.g. \"-1\", on the first span of every kept chunk",
    check: Check::Chunk(decision_maker),
};

fn decision_maker(chunk: &ChunkView<'_>, out: &mut Findings) {
    let maker = chunk
        .first()
        .decision_maker
        .or_else(|| chunk.known.iter().find_map(|known| known.decision_maker));
    let well_formed = |text: &str| {
        text.strip_prefix('-')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let missing = chunk.begun_here() && chunk.priority.is_some_and(|p| p > 0.0) && maker.is_none();
    if missing || maker.is_some_and(|text| !well_formed(text)) {
        let found = maker.map_or("found none".to_owned(), |text| format!("found {text:?}"));
        chunk.find_span(&DECISION_MAKER, 0, "meta[\"_dd.p.dm\"]", found, out);
    }
}

/// The mechanism changed between chunks.
pub static DECISION_MAKER_CHANGED: Rule = Rule {
    id: "chunk.decision_maker_changed",
    level: Level::Violation,
    sentence: "_dd.p.dm differs between two chunks of one trace from one process",
    advice: "decide once per trace; who decided does not change afterwards",
    check: Check::Elsewhere,
};

/// Rates that are none, or of another mechanism.
pub static RATES: Rule = Rule {
    id: "chunk.rates",
    level: Level::Violation,
    sentence: "a sampling rate is outside of 0 to 1, or contradicts the mechanism in _dd.p.dm",
    advice: "write _dd.agent_psr with mechanism 1, _dd.rule_psr and _dd.limit_psr with rules (3, 11, 12)",
    check: Check::Chunk(rates),
};

fn rates(chunk: &ChunkView<'_>, out: &mut Findings) {
    for (number, known) in chunk.known.iter().enumerate() {
        for (key, rate) in [
            ("_dd.rule_psr", known.rule_rate),
            ("_dd.limit_psr", known.limit_rate),
            ("_dd.agent_psr", known.agent_rate),
        ] {
            if rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
                let found = format!("found {}", rate.unwrap_or_default());
                chunk.find_span(&RATES, number, &format!("metrics[{key:?}]"), found, out);
            }
        }
    }
    // A mechanism that came with the request says nothing about the rates of this process.
    if !chunk.begun_here() {
        return;
    }
    let first = chunk.first();
    let contradiction = match first.decision_maker {
        Some("-1") => first.rule_rate.map(|_| "_dd.rule_psr"),
        Some("-3" | "-11" | "-12") => first.agent_rate.map(|_| "_dd.agent_psr"),
        _ => None,
    };
    if let Some(key) = contradiction {
        let found = format!("_dd.p.dm is {:?}", first.decision_maker.unwrap_or_default());
        chunk.find_span(&RATES, 0, &format!("metrics[{key:?}]"), found, out);
    }
}

/// The keep rate is none.
pub static KEEP_RATE: Rule = Rule {
    id: "chunk.keep_rate",
    level: Level::Violation,
    sentence: "_dd.tracer_kr is outside of 0 to 1",
    advice: "write 1 - dropped / created",
    check: Check::Chunk(keep_rate),
};

fn keep_rate(chunk: &ChunkView<'_>, out: &mut Findings) {
    for (number, known) in chunk.known.iter().enumerate() {
        if let Some(rate) = known.keep_rate.filter(|rate| !(0.0..=1.0).contains(rate)) {
            chunk.find_span(
                &KEEP_RATE,
                number,
                "metrics[\"_dd.tracer_kr\"]",
                format!("found {rate}"),
                out,
            );
        }
    }
}

/// Whose chunk is it?
pub static PROCESS: Rule = Rule {
    id: "chunk.process",
    level: Level::Violation,
    sentence: "the process does not say who it is",
    advice: "write language on the first span of a chunk, runtime-id and process_id on local roots",
    check: Check::Chunk(process),
};

fn process(chunk: &ChunkView<'_>, out: &mut Findings) {
    if !chunk.request.from_rust() || chunk.spans.is_empty() {
        return;
    }
    let in_payload = &chunk.request.payload.process;
    if chunk.first().language.is_none() && in_payload.language.is_empty() {
        chunk.find_span(&PROCESS, 0, "meta[\"language\"]", String::new(), out);
    }
    if let Some(root) = chunk.local_root {
        if chunk.known[root].runtime_id.is_none() && in_payload.runtime_id.is_empty() {
            chunk.find_span(&PROCESS, root, "meta[\"runtime-id\"]", String::new(), out);
        }
        if chunk.known[root].process_id.is_none() {
            chunk.find_span(
                &PROCESS,
                root,
                "metrics[\"process_id\"]",
                String::new(),
                out,
            );
        }
    }
}

/// Chunk tags on every span.
pub static REPEATED: Rule = Rule {
    id: "chunk.repeated",
    level: Level::Hint,
    sentence: "tags that stand once per chunk are repeated on a later span",
    advice: "write _dd.p.*, _dd.tracer_kr and the sampling priority on the first span only",
    check: Check::Chunk(repeated),
};

fn repeated(chunk: &ChunkView<'_>, out: &mut Findings) {
    if !chunk.request.from_rust() {
        return;
    }
    for (number, known) in chunk.known.iter().enumerate().skip(1) {
        // The local root has them, too, where it is not the first; that is another rule's business.
        if known.single_span || chunk.local_root == Some(number) {
            continue;
        }
        let key = if known.high_half.is_some() {
            "meta[\"_dd.p.tid\"]"
        } else if known.decision_maker.is_some() {
            "meta[\"_dd.p.dm\"]"
        } else if known.keep_rate.is_some() {
            "metrics[\"_dd.tracer_kr\"]"
        } else if known.priority.is_some() {
            "metrics[\"_sampling_priority_v1\"]"
        } else {
            continue;
        };
        return chunk.find_span(&REPEATED, number, key, String::new(), out);
    }
}
