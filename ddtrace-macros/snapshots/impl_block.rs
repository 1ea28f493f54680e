#[trace(service = "shop", args_all, skip(password))]
impl<T: Clone> crate::cart::Cart<T> {
    pub const LIMIT: usize = { 3 };
    /// New.
    pub const fn new() -> Self { Cart { items: 0 } }
    pub fn price(&self, password: &str) -> u64 { self.items }
    #[trace(skip)] fn quick(&self) {}
    #[trace(name = "cart.pay", err = false)] async fn pay(self: Arc<Self>) -> Result<(), E> { Ok(()) }
}
// ------------------------------------------------------------------------
impl<T: Clone> crate::cart::Cart<T> {
    pub const LIMIT: usize = { 3 };
    /// New.
    pub const fn new() -> Self {
        Cart { items: 0 }
    }
    pub fn price(&self, password: &str) -> u64 {
        static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
                ::core::concat!(::core::module_path!(), "::Cart::price"),
                "Cart::price",
                ::core::module_path!(),
                ::core::file!(),
                1,
            )
            .with_service("shop");
        let __dd_span = ::ddtrace::__private::enter(&__DD_SITE);
        { self.items }
    }
    fn quick(&self) {}
    fn pay(self: Arc<Self>) -> impl ::core::future::Future<Output = Result<(), E>> {
        static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
                "cart.pay",
                "Cart::pay",
                ::core::module_path!(),
                ::core::file!(),
                1,
            )
            .with_service("shop");
        ::ddtrace::__private::instrument_site(
            &__DD_SITE,
            async move {
                let _ = &self;
                if false {
                    #[allow(unreachable_code)]
                    {
                        let __dd_return: Result<(), E> = loop {};
                        return __dd_return;
                    }
                }
                { Ok(()) }
            },
        )
    }
}
