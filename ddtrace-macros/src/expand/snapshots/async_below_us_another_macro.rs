#[trace]
#[tokio::test]
async fn pay(order: Order, other: Order) -> Result<(), Error> { send(order).await }
