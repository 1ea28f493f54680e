#[trace(args(order))]
fn pay<'a, 'async_trait>(&'a self, order: Order) -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = Result<u8, Error>> + ::core::marker::Send + 'async_trait>> where 'a: 'async_trait { Box::pin(async move { let order = order; send(order).await?; return Ok(1); }) }
