#[trace(service = "shop", args_all, skip(password))]
impl<T: Clone> crate::cart::Cart<T> {
    pub const LIMIT: usize = { 3 };
    /// New.
    pub const fn new() -> Self { Cart { items: 0 } }
    pub fn price(&self, password: &str) -> u64 { self.items }
    #[trace(skip)] fn quick(&self) {}
    #[trace(name = "cart.pay", err = false)] async fn pay(self: Arc<Self>) -> Result<(), E> { Ok(()) }
}
