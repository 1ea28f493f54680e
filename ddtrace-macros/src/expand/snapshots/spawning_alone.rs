#[trace(propagate = false)]
fn start() { tokio::spawn(work(1)); }
