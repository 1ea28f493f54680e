#[trace]
async fn start() { tokio::spawn(work(1)); std::thread::spawn(move || tokio::task::spawn_blocking(other)); }
