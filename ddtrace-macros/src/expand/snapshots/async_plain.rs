#[trace]
pub async fn pay(&self, order: Order, mut n: u8, (a, _): (A, B), _: C, text: &str) -> u8 { self.send(order).await }
