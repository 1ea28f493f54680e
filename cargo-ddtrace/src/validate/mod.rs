//! What is wrong with a payload, in sentences.
//!
//! A [`Rule`] has an id that never changes, a level, the sentence that says what is wrong and the one that says what to
//! do. Its check is one function over a [`RequestView`], a [`ChunkView`] or a [`SpanView`]; what it finds goes into
//! [`Findings`] with a pointer (`chunk 3, span 7, meta["http.status_code"]`). The groups of rules are the files of this
//! folder; [`rules`] is the list of all of them, from which the page, the summary and the tests take theirs.
//!
//! Four levels: *rejected*, a real Agent refuses the payload; *dropped*, it answers 200 and throws the chunk away in silence;
//! *violation*, it takes the span, but something is lost, changed or wrong; *hint*, it smells. Rejections happen while
//! reading (`intake`), and what can only be judged over several payloads is judged by the store; their rules
//! stand here all the same.
//!
//! Rules about what only our library promises are applied only to `Datadog-Meta-Lang: rust`, so that other tracers may
//! send here, too.

pub mod chunk;
pub mod ids;
pub mod known;
pub mod llm;
pub mod normalise;
pub mod remote_config;
pub mod request;
pub mod secret;
pub mod streams;
pub mod structure;
pub mod telemetry;
pub mod time;
pub mod values;

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use crate::intake::model::{Chunk, Payload, Span};
use known::Known;

/// How bad it is; the worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A real Agent refuses the payload.
    Rejected,
    /// A real Agent throws the chunk away and says nothing.
    Dropped,
    /// The Agent takes it, but something is lost, changed or wrong.
    Violation,
    /// It smells.
    Hint,
}

impl Level {
    /// All levels, worst first.
    pub const ALL: [Level; 4] = [
        Level::Rejected,
        Level::Dropped,
        Level::Violation,
        Level::Hint,
    ];

    /// The level's name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Level::Rejected => "rejected",
            Level::Dropped => "dropped",
            Level::Violation => "violation",
            Level::Hint => "hint",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that can be wrong.
#[derive(Debug)]
pub struct Rule {
    /// Stable name, `area.what`.
    pub id: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What is wrong.
    pub sentence: &'static str,
    /// What to do.
    pub advice: &'static str,
    /// How it is found.
    pub check: Check,
}

impl Rule {
    /// The group that the rule belongs to: what stands before the dot of its id.
    pub fn area(&self) -> &'static str {
        self.id.split('.').next().unwrap_or(self.id)
    }
}

/// The function of a rule.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// Looks at the request's headers and the payload as a whole.
    Request(fn(&RequestView<'_>, &mut Findings)),
    /// Looks at one chunk.
    Chunk(fn(&ChunkView<'_>, &mut Findings)),
    /// Looks at one span.
    Span(fn(&SpanView<'_>, &mut Findings)),
    /// Found while reading (`intake`), while masking (`secret`), or over several payloads (`store`).
    Elsewhere,
}

/// Every rule, by group.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [
        request::RULES,
        ids::RULES,
        structure::RULES,
        time::RULES,
        chunk::RULES,
        values::RULES,
        secret::RULES,
        remote_config::RULES,
        telemetry::RULES,
        streams::RULES,
        llm::RULES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// What a rule found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// The chunk, if one is at fault.
    pub chunk: Option<usize>,
    /// The span within the chunk, if one is at fault.
    pub span: Option<usize>,
    /// Where within the span or the request: `meta["k"]`, `header X-Datadog-Trace-Count`, or nothing.
    pub field: String,
    /// What was found, if that is not plain from the sentence.
    pub detail: String,
}

impl Finding {
    /// The pointer, for people.
    pub fn pointer(&self) -> String {
        let mut text = String::new();
        if let Some(chunk) = self.chunk {
            let _ = write!(text, "chunk {chunk}");
        }
        if let Some(span) = self.span {
            let _ = write!(text, ", span {span}");
        }
        if !self.field.is_empty() {
            let _ = write!(
                text,
                "{}{}",
                if text.is_empty() { "" } else { ", " },
                self.field
            );
        }
        text
    }
}

/// Findings of one payload, bounded: a payload that is wrong everywhere must not cost more than one that is right.
#[derive(Debug, Default)]
pub struct Findings {
    /// The first [`Findings::MOST`] of them.
    pub list: Vec<Finding>,
    /// How many more there were.
    pub more: usize,
    dropped: Vec<usize>,
}

impl Findings {
    /// How many findings of a payload are kept.
    pub const MOST: usize = 1000;

    /// Adds one.
    pub fn add(&mut self, finding: Finding) {
        if finding.rule.level == Level::Dropped
            && let Some(chunk) = finding.chunk
            && self.dropped.last() != Some(&chunk)
        {
            self.dropped.push(chunk);
        }
        if self.list.len() < Self::MOST {
            self.list.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Whether the Agent would have thrown this chunk away.
    pub fn drops(&self, chunk: usize) -> bool {
        self.dropped.contains(&chunk)
    }

    /// How many chunks the Agent would have thrown away.
    pub fn dropped_chunks(&self) -> usize {
        let mut chunks = self.dropped.clone();
        chunks.sort_unstable();
        chunks.dedup();
        chunks.len()
    }

    /// The worst level found.
    pub fn worst(&self) -> Option<Level> {
        self.list.iter().map(|finding| finding.rule.level).min()
    }
}

/// A request that carries traces.
#[derive(Debug)]
pub struct RequestView<'a> {
    /// What it carries.
    pub payload: &'a Payload<'a>,
    /// Its headers.
    pub headers: &'a Headers,
    /// When it was received, in nanoseconds since the epoch.
    pub now: i64,
}

/// The headers that rules look at.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    /// `Content-Length`, if there was one.
    pub content_length: Option<u64>,
    /// The length of the body as it came in.
    pub body_length: usize,
    /// `X-Datadog-Trace-Count`.
    pub trace_count: Option<String>,
    /// `Datadog-Meta-Lang`.
    pub language: String,
    /// `Datadog-Meta-Lang-Version`.
    pub language_version: String,
    /// `Datadog-Meta-Tracer-Version`.
    pub tracer_version: String,
}

impl RequestView<'_> {
    /// Whether our own library sent it.
    pub fn from_rust(&self) -> bool {
        self.headers.language == "rust"
    }

    /// Adds a finding about the request.
    pub fn find(&self, rule: &'static Rule, field: &str, detail: String, out: &mut Findings) {
        out.add(Finding {
            rule,
            chunk: None,
            span: None,
            field: field.to_owned(),
            detail,
        });
    }
}

/// One chunk, with what its rules ask for often.
#[derive(Debug)]
pub struct ChunkView<'a> {
    /// The request.
    pub request: &'a RequestView<'a>,
    /// Its number.
    pub number: usize,
    /// The chunk.
    pub chunk: &'a Chunk<'a>,
    /// Its spans.
    pub spans: &'a [Span<'a>],
    /// By span: the well-known tags.
    pub known: &'a [Known<'a>],
    /// By span: the place of its parent in this chunk.
    pub parents: &'a [Option<usize>],
    /// The span that begins the local part of the trace, if it is in this chunk.
    pub local_root: Option<usize>,
    /// The sampling priority.
    pub priority: Option<f64>,
}

impl<'a> ChunkView<'a> {
    /// Adds a finding about the chunk.
    pub fn find(&self, rule: &'static Rule, field: &str, detail: String, out: &mut Findings) {
        out.add(Finding {
            rule,
            chunk: Some(self.number),
            span: None,
            field: field.to_owned(),
            detail,
        });
    }

    /// Adds a finding about one of its spans.
    pub fn find_span(
        &self,
        rule: &'static Rule,
        span: usize,
        field: &str,
        detail: String,
        out: &mut Findings,
    ) {
        out.add(Finding {
            rule,
            chunk: Some(self.number),
            span: Some(span),
            field: field.to_owned(),
            detail,
        });
    }

    /// The first span's well-known tags.
    pub fn first(&self) -> &Known<'a> {
        static NONE: Known<'static> = Known::NONE;
        self.known.first().unwrap_or(&NONE)
    }

    /// Whether the trace began in this chunk's process: its root is here.
    pub fn begun_here(&self) -> bool {
        self.local_root
            .is_some_and(|root| self.spans[root].parent_id == 0)
    }
}

/// One span of a chunk.
#[derive(Debug)]
pub struct SpanView<'a> {
    /// Its chunk.
    pub chunk: &'a ChunkView<'a>,
    /// Its number.
    pub number: usize,
    /// The span.
    pub span: &'a Span<'a>,
    /// Its well-known tags.
    pub known: &'a Known<'a>,
}

impl SpanView<'_> {
    /// Adds a finding about the span.
    pub fn find(&self, rule: &'static Rule, field: &str, detail: String, out: &mut Findings) {
        self.chunk.find_span(rule, self.number, field, detail, out);
    }

    /// Its text tags.
    pub fn meta(&self) -> impl Iterator<Item = (&str, &str)> {
        self.chunk
            .request
            .payload
            .meta_of(self.span)
            .iter()
            .map(|(k, v)| (k.as_ref(), v.as_ref()))
    }

    /// Its number tags.
    pub fn metrics(&self) -> impl Iterator<Item = (&str, f64)> {
        self.chunk
            .request
            .payload
            .metrics_of(self.span)
            .iter()
            .map(|(k, v)| (k.as_ref(), *v))
    }
}

/// The check functions, by what they look at.
struct Checks {
    request: Vec<fn(&RequestView<'_>, &mut Findings)>,
    chunk: Vec<fn(&ChunkView<'_>, &mut Findings)>,
    span: Vec<fn(&SpanView<'_>, &mut Findings)>,
}

fn checks() -> &'static Checks {
    static CHECKS: std::sync::OnceLock<Checks> = std::sync::OnceLock::new();
    CHECKS.get_or_init(|| {
        let mut checks = Checks {
            request: Vec::new(),
            chunk: Vec::new(),
            span: Vec::new(),
        };
        for rule in rules() {
            match rule.check {
                Check::Request(check) => checks.request.push(check),
                Check::Chunk(check) => checks.chunk.push(check),
                Check::Span(check) => checks.span.push(check),
                Check::Elsewhere => {}
            }
        }
        checks
    })
}

/// Applies every rule that one payload can be judged by.
pub fn check(request: &RequestView<'_>, out: &mut Findings) {
    let checks = checks();
    for check in &checks.request {
        check(request, out);
    }
    let mut known = Vec::new();
    let mut parents = Vec::new();
    for (number, chunk) in request.payload.chunks.iter().enumerate() {
        let spans = &request.payload.spans[chunk.spans.clone()];
        known.clear();
        known.extend(spans.iter().map(|span| Known::of(request.payload, span)));
        link_parents(spans, &mut parents);
        let view = ChunkView {
            request,
            number,
            chunk,
            spans,
            known: &known,
            parents: &parents,
            local_root: local_root(spans, &known, &parents),
            priority: chunk
                .priority
                .map(f64::from)
                .or_else(|| known.iter().find_map(|known| known.priority)),
        };
        for check in &checks.chunk {
            check(&view, out);
        }
        for (number, span) in spans.iter().enumerate() {
            let view = SpanView {
                chunk: &view,
                number,
                span,
                known: &known[number],
            };
            for check in &checks.span {
                check(&view, out);
            }
        }
    }
}

/// Finds each span's parent among the spans of the chunk.
pub(crate) fn link_parents(spans: &[Span<'_>], parents: &mut Vec<Option<usize>>) {
    /// Below this many spans looking at all of them is cheaper than a table.
    const FEW: usize = 24;
    parents.clear();
    if spans.len() <= FEW {
        parents.extend(spans.iter().map(|span| match span.parent_id {
            0 => None,
            parent => spans.iter().position(|other| other.span_id == parent),
        }));
        return;
    }
    let places: HashMap<u64, usize> = spans
        .iter()
        .enumerate()
        .rev()
        .map(|(at, span)| (span.span_id, at))
        .collect();
    parents.extend(spans.iter().map(|span| match span.parent_id {
        0 => None,
        parent => places.get(&parent).copied(),
    }));
}

/// The span without a parent in the chunk that is a root, or says that its parent is elsewhere.
fn local_root(spans: &[Span<'_>], known: &[Known<'_>], parents: &[Option<usize>]) -> Option<usize> {
    let outermost = |at: &usize| parents[*at].is_none();
    (0..spans.len())
        .filter(outermost)
        .find(|at| spans[*at].parent_id == 0)
        .or_else(|| {
            (0..spans.len())
                .filter(outermost)
                .find(|at| known[*at].is_local_root())
        })
}
