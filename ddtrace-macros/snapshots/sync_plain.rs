#[trace]
/// Docs stay.
pub fn price(cart: &Cart) -> Money { cart.sum() }
// ------------------------------------------------------------------------
/// Docs stay.
pub fn price(cart: &Cart) -> Money {
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::price"),
        "price",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    let __dd_span = ::ddtrace::__private::enter(&__DD_SITE);
    let __dd_ret: Money = { cart.sum() };
    {
        let __dd_span = &__dd_span;
        if let ::core::option::Option::Some(__dd_error) = ::ddtrace::__private::outcome(
                &__dd_ret,
            )
            .error()
        {
            __dd_span.fail(::ddtrace::__private::error(__dd_error).view());
        }
    }
    __dd_ret
}
