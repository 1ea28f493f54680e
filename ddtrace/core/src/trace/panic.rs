//! What a panic leaves on the spans that it unwinds through.
//!
//! A guard that is dropped while its thread unwinds marks its span with `error.type` `panic`. The message is not to be had
//! from a destructor, so `init()` puts a hook in front of the program's panic hook; it notes message, place and moment
//! on the thread and then calls the hook that was there. A span that began after that moment is a destructor's own and is
//! not marked.

use std::any::Any;
use std::fmt::Write as _;
use std::panic::PanicHookInfo;
use std::sync::Once;

use super::clock;
use super::local;
use super::open::{Open, flags};
use super::tags::Value;

/// The newest panic of a thread.
pub(crate) struct PanicNote {
    pub(crate) ticks: u64,
    message: String,
}

/// The longest message that is kept, in bytes.
const MESSAGE_LIMIT: usize = 4096;

/// Puts the hook in place, once per process. Other hooks keep working; one that is set later replaces ours,
/// and panics are then marked without their message.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            note(info);
            before(info);
        }));
    });
}

fn note(info: &PanicHookInfo<'_>) {
    let mut message = message_of(info.payload()).unwrap_or("panicked").to_owned();
    if message.len() > MESSAGE_LIMIT {
        let cut = (0..=MESSAGE_LIMIT)
            .rev()
            .find(|&at| message.is_char_boundary(at))
            .unwrap_or(0);
        message.truncate(cut);
    }
    if let Some(place) = info.location() {
        let _ = write!(
            message,
            " ({}:{}:{})",
            place.file(),
            place.line(),
            place.column()
        );
    }
    let note = PanicNote {
        ticks: clock::now(),
        message,
    };
    local::with(|local| local.panic = Some(Box::new(note)));
}

/// The text of a panic, if it was raised with one.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> Option<&str> {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Marks a span as one that panicked.
pub(crate) fn mark(open: &mut Open, note: Option<&PanicNote>) {
    open.flags |= flags::ERROR | flags::PANICKED;
    let tags = open.tags.get_or_insert_default();
    tags.set(&"error.type".into(), Value::Static("panic"));
    let message = note.map_or("panicked", |note| &note.message);
    tags.set(&"error.message".into(), Value::Text(message));
}
