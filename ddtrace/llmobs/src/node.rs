//! A span among the others of its trace: what children have to know of it, whatever becomes of what was said about it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use ddtrace_core::trace::TraceId;

use crate::kind::Kind;
use crate::model::CheckedPrompt;
use crate::record::Record;
use crate::sampling::Decision;
use crate::switch::Running;

/// The word for no parent.
pub(crate) const NO_PARENT: &str = "undefined";

/// A trace of this product. It has an id of its own.
#[derive(Debug)]
pub(crate) struct Trace {
    /// 32 hexadecimal digits, or whatever another service has sent.
    pub(crate) id: String,
    /// What stands in until somebody has to know.
    floor: Option<Decision>,
    decided: OnceLock<Option<Decision>>,
    /// The span whose tags the rules look at.
    root: OnceLock<Weak<Record>>,
    /// The lower half of the root's id in tracing.
    sampled_by: u64,
    /// The first session of the trace: that of spans whose parents have none.
    session_id: OnceLock<String>,
}

/// The agent that a span works for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribution {
    pub(crate) name: Option<String>,
    pub(crate) span_id: String,
}

/// A span's place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) running: Arc<Running>,
    pub(crate) kind: Kind,
    pub(crate) span_id: u64,
    pub(crate) apm_trace_id: TraceId,
    /// The nearest span above it in this process.
    pub(crate) parent: Option<Arc<Node>>,
    /// The same as text, which may name a span of another service.
    pub(crate) parent_id: String,
    pub(crate) trace: Arc<Trace>,
    pub(crate) agent: Option<Attribution>,
    /// Tags of the experiment that it is part of.
    pub(crate) experiment: Option<Arc<BTreeMap<String, String>>>,
    has_ended: AtomicBool,
    shared: Mutex<Shared>,
    record: Weak<Record>,
}

/// What may change until the span ends, and children look at.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) ml_app: String,
    pub(crate) session_id: Option<String>,
    pub(crate) prompt: Option<CheckedPrompt>,
    /// Versions of tools, by their names.
    pub(crate) tool_versions: BTreeMap<String, String>,
}

/// How a node begins.
pub(crate) struct Beginning {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) span_id: u64,
    pub(crate) apm_trace_id: TraceId,
    pub(crate) session_id: Option<String>,
    pub(crate) ml_app: Option<String>,
    /// The nearest span above.
    pub(crate) parent: Option<Arc<Node>>,
    /// What came from another service, where there is no span above.
    pub(crate) remote: Option<crate::propagation::Remote>,
    pub(crate) experiment: Option<Arc<BTreeMap<String, String>>>,
}

impl Trace {
    fn new(running: &Running, beginning: &Beginning) -> Self {
        let remote = beginning.remote.as_ref();
        let sampled_by = beginning.apm_trace_id.low();
        let decision = remote.and_then(|remote| remote.decision.clone());
        let decided = OnceLock::new();
        let floor = if remote.is_some_and(|remote| remote.is_trace()) {
            let _ = decided.set(decision);
            None
        } else {
            Some(running.settings.sampler.decide_by_rate(sampled_by))
        };
        let session_id = OnceLock::new();
        if let Some(id) = remote.and_then(|remote| remote.session_id.clone()) {
            let _ = session_id.set(id);
        }
        Self {
            id: remote
                .and_then(|remote| remote.trace_id.clone())
                .unwrap_or_else(|| fresh_id(beginning)),
            floor,
            decided,
            root: OnceLock::new(),
            sampled_by,
            session_id,
        }
    }

    /// The decision, which stays what it is from here on.
    pub(crate) fn decision(&self, running: &Running) -> Option<&Decision> {
        let sampler = &running.settings.sampler;
        let decide = || {
            if !sampler.has_rules() {
                return self.floor.clone();
            }
            let record = self.root.get().and_then(Weak::upgrade);
            let tags = record.map(|record| record.tags()).unwrap_or_default();
            Some(sampler.decide(self.sampled_by, |key| tags.get(key).map(String::as_str)))
        };
        self.decided.get_or_init(decide).as_ref()
    }
}

/// An id for a new trace: the time and random bits, as tracing makes them, but another one.
fn fresh_id(beginning: &Beginning) -> String {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as u32);
    // The span's id is random and unique in this trace; mixing it gives another number that is.
    let low = mixed(beginning.span_id ^ beginning.apm_trace_id.low().rotate_left(32));
    format!("{seconds:08x}00000000{low:016x}")
}

/// A bijection without visible order (the finaliser of SplitMix64).
fn mixed(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Node {
    /// The place of a span that begins.
    pub(crate) fn begin(
        running: Arc<Running>,
        mut beginning: Beginning,
        record: Weak<Record>,
    ) -> Self {
        let parent = beginning.parent.take();
        let trace = match &parent {
            Some(parent) => Arc::clone(&parent.trace),
            None => Arc::new(Trace::new(&running, &beginning)),
        };
        if parent.is_none() {
            let _ = trace.root.set(record.clone());
        }
        let remote = beginning.remote.as_ref();
        let parent_id = match (&parent, remote) {
            (Some(parent), _) => parent.span_id.to_string(),
            (None, Some(remote)) => remote.parent_id.clone().unwrap_or_else(|| NO_PARENT.into()),
            (None, None) => NO_PARENT.into(),
        };
        let agent = match &parent {
            Some(parent) if parent.kind == Kind::Agent => Some(Attribution {
                name: Some(parent.shared().name.clone()),
                span_id: parent.span_id.to_string(),
            }),
            Some(parent) => parent.agent.clone(),
            None => remote.and_then(|remote| remote.agent.clone()),
        };
        let inherited = parent.as_ref().map(|parent| parent.ml_app());
        let inherited = inherited.or_else(|| remote.and_then(|remote| remote.ml_app.clone()));
        let ml_app = beginning
            .ml_app
            .or(inherited)
            .unwrap_or_else(|| running.settings.ml_app.clone());
        let session_id = beginning
            .session_id
            .or_else(|| {
                parent
                    .as_ref()
                    .and_then(|parent| parent.shared().session_id.clone())
            })
            .or_else(|| trace.session_id.get().cloned());
        if let Some(id) = &session_id {
            let _ = trace.session_id.set(id.clone());
        }
        let experiment = beginning
            .experiment
            .or_else(|| parent.as_ref().and_then(|parent| parent.experiment.clone()));
        Self {
            running,
            kind: beginning.kind,
            span_id: beginning.span_id,
            apm_trace_id: beginning.apm_trace_id,
            parent,
            parent_id,
            trace,
            agent,
            experiment,
            has_ended: AtomicBool::new(false),
            shared: Mutex::new(Shared {
                name: beginning.name,
                ml_app,
                session_id,
                ..Shared::default()
            }),
            record,
        }
    }

    /// What may change.
    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        // Held for assignments only.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The application that it belongs to.
    pub(crate) fn ml_app(&self) -> String {
        self.shared().ml_app.clone()
    }

    /// What was said about it; nothing once it was sent.
    pub(crate) fn record(&self) -> Option<Arc<Record>> {
        self.record.upgrade()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// True for the one that ends it.
    pub(crate) fn end(&self) -> bool {
        let is_first = !self.has_ended.swap(true, Ordering::AcqRel);
        if is_first && self.parent.is_none() {
            // The last moment at which the root's tags may decide.
            let _ = self.trace.decision(&self.running);
        }
        is_first
    }

    /// Says which session it belongs to.
    pub(crate) fn set_session(&self, id: String) {
        let _ = self.trace.session_id.set(id.clone());
        self.shared().session_id = Some(id);
    }

    /// The first session of the trace.
    pub(crate) fn trace_session(&self) -> Option<String> {
        self.trace.session_id.get().cloned()
    }

    /// The decision about its trace.
    pub(crate) fn decision(&self) -> Option<&Decision> {
        self.trace.decision(&self.running)
    }

    /// The agent that whatever it calls works for.
    pub(crate) fn agent_for_children(&self) -> Option<Attribution> {
        if self.kind == Kind::Agent {
            return Some(Attribution {
                name: Some(self.shared().name.clone()),
                span_id: self.span_id.to_string(),
            });
        }
        self.agent.clone()
    }
}

/// The node itself, or the nearest one above it that is open.
pub(crate) fn nearest_open(mut node: Arc<Node>) -> Option<Arc<Node>> {
    while node.has_ended() {
        node = Arc::clone(node.parent.as_ref()?);
    }
    Some(node)
}
