#[trace(args(order), enabled = on)]
async fn pay<T: Send>(order: Order) -> Result<(), Error> where T: Clone { send(order).await?; Ok(()) }
