use ddtrace::{span, trace};

fn is_send<T: Send>(_: T) {}

#[trace]
async fn waits() {
    let _guard = span!("waiting");
    std::future::ready(()).await;
}

fn main() {
    is_send(waits());
}
