//! The attribute, where things go wrong inside of it, and where work moves to other threads.

use crate::failing::Explosive;
use crate::report;
use std::panic::catch_unwind;

#[ddtrace::trace(args(value), ret)]
fn shown(value: Explosive) -> Explosive {
    value
}

#[ddtrace::trace(tags(debug = ?value, display = %value))]
fn tagged(value: &Explosive) -> u8 {
    let _ = value;
    1
}

#[ddtrace::trace]
fn fails() -> Result<u8, Explosive> {
    Err(Explosive)
}

#[ddtrace::trace]
fn panics() {
    std::panic::panic_any("as it was");
}

#[ddtrace::trace]
async fn parent() {
    let child = tokio::spawn(child());
    std::thread::spawn(on_a_thread).join().expect("no panic");
    child.await.expect("no panic");
}

#[ddtrace::trace]
async fn child() {
    tokio::task::yield_now().await;
}

#[ddtrace::trace]
fn on_a_thread() {}

pub(crate) fn run() {
    let guard = ddtrace::init();
    std::panic::set_hook(Box::new(|_| {}));
    shown(Explosive);
    assert_eq!(tagged(&Explosive), 1);
    assert!(fails().is_err());
    assert_eq!(
        catch_unwind(panics).unwrap_err().downcast_ref(),
        Some(&"as it was")
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(parent());
    drop(guard);
    report(7);
}

/// What is linked into this program: integrations, and annotated functions of this file.
pub(crate) fn registry() {
    let integrations = ddtrace::registry::linked().integrations;
    let integrations: Vec<_> = integrations
        .iter()
        .map(|it| format!("{} {}", it.name(), it.supported()))
        .collect();
    let sites = ddtrace::__private::DDTRACE_SITES
        .iter()
        .filter(|site| site.module() == module_path!())
        .count();
    println!(
        "{}",
        serde_json::json!({ "integrations": integrations, "sites": sites })
    );
}
