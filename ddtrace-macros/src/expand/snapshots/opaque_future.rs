#[trace]
fn pay(order: Order) -> impl Future<Output = Result<u8, Error>> + Send { let order = order.clone(); async move { send(order).await } }
