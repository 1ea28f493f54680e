#[trace]
fn load(id: u64) -> Result<Row, Error> { fetch(id) }
// ------------------------------------------------------------------------
fn load(id: u64) -> Result<Row, Error> {
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::load"),
        "load",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    let __dd_span = ::ddtrace::__private::enter(&__DD_SITE);
    let __dd_ret: Result<Row, Error> = { fetch(id) };
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
