#[trace]
/// Docs stay.
pub fn price(cart: &Cart) -> Money { cart.sum() }
// ------------------------------------------------------------------------
/// Docs stay.
pub fn price(cart: &Cart) -> Money {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::price"),
        "price",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    let __dd_span = ::ddtrace::__private::enter(&__DD_SITE);
    let __dd_ret: Money = { cart.sum() };
    #[allow(unreachable_code)]
    __dd_span.fail_if(::ddtrace::__private::failure(&__dd_ret).view());
    __dd_ret
}
