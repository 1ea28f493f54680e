#[trace(include(drop))]
impl Drop for Cart { fn drop(&mut self) { clean(); } }
// ------------------------------------------------------------------------
impl Drop for Cart {
    fn drop(&mut self) {
        static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
            ::core::concat!(::core::module_path!(), "::Cart::drop"),
            "Cart::drop",
            ::core::module_path!(),
            ::core::file!(),
            1,
        );
        let __dd_span = ::ddtrace::__private::enter(&__DD_SITE);
        {
            clean();
        }
    }
}
