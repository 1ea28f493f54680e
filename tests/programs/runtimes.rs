//! Starting and stopping in, around and without async runtimes.

use crate::report;
use crate::sending::trace;
use ddtrace::Span;
use ddtrace_core::trace::{Site, instrument};
use tokio::runtime::{Builder, Runtime};

ddtrace_core::site! { static TASK: Site = Site::new("task", "task", module_path!(), file!(), line!()); }

fn current_thread() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Twenty tasks that yield, ten of them on their own threads if there are any. Gives the number of spans.
async fn tasks() -> u64 {
    let mut handles = Vec::new();
    for _ in 0..20 {
        let work = async {
            tokio::task::yield_now().await;
            trace(1);
        };
        handles.push(tokio::spawn(instrument(Span::start(&TASK), work)));
    }
    for handle in handles {
        handle.await.expect("no panic");
    }
    20 * 3
}

pub(crate) fn run(kind: &str) {
    let made = match kind {
        "none" => {
            let _guard = ddtrace::init();
            trace(1)
        }
        "current-thread" => {
            let _guard = ddtrace::init();
            current_thread().block_on(tasks())
        }
        "multi-thread" => {
            let _guard = ddtrace::init();
            multi_thread().block_on(tasks())
        }
        // `init()`, flush and shutdown all happen on the only thread of the only runtime.
        "inside-current-thread" => current_thread().block_on(async {
            let guard = ddtrace::init();
            let made = tasks().await;
            assert!(ddtrace::flush());
            drop(guard);
            made
        }),
        "inside-multi-thread" => multi_thread().block_on(async {
            let _guard = ddtrace::init();
            tasks().await
        }),
        "after-runtime" => {
            let runtime = multi_thread();
            let guard = runtime.block_on(async { ddtrace::init() });
            let made = runtime.block_on(tasks());
            runtime.shutdown_background();
            drop(guard);
            made
        }
        "two-runtimes" => {
            let _guard = ddtrace::init();
            let (one, two) = (current_thread(), multi_thread());
            let in_two = two.spawn(tasks());
            one.block_on(tasks()) + two.block_on(in_two).expect("no panic")
        }
        // The guard is dropped by the destructor of something that the runtime owns.
        "in-a-task" => {
            let guard = ddtrace::init();
            let runtime = current_thread();
            let made = runtime.block_on(tasks());
            let never = async move {
                std::future::pending::<()>().await;
                drop(guard);
            };
            runtime.spawn(never);
            drop(runtime);
            made
        }
        "twice" => {
            let first = ddtrace::init();
            let second = ddtrace::init();
            let mut made = trace(1);
            drop(second);
            made += trace(1);
            drop(first);
            let _third = ddtrace::init();
            made + trace(1)
        }
        other => panic!("there is no runtime {other:?}"),
    };
    report(made);
}
