#[trace]
fn load(id: u64, key: String, mut rows: Vec<Row>) -> Result<Row, Error> { let row = fetch(id)?; rows.push(row); Ok(rows.remove(0)) }
// ------------------------------------------------------------------------
fn load(id: u64, key: String, mut rows: Vec<Row>) -> Result<Row, Error> {
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::load"),
        "load",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    let __dd_span = ::ddtrace::__private::enter(&__DD_SITE);
    let __dd_ret: Result<Row, Error> = ::ddtrace::__private::call_once(move || -> Result<
        Row,
        Error,
    > {
        let _ = (&rows, &key);
        {
            let row = fetch(id)?;
            rows.push(row);
            Ok(rows.remove(0))
        }
    });
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
