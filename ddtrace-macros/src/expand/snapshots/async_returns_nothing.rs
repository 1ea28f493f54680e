#[trace(enter_on_poll)]
async fn pay() { tick().await }
