#[trace]
fn pay(order: Order) -> impl Future<Output = Result<u8, Error>> + Send { let order = order.clone(); async move { send(order).await } }
// ------------------------------------------------------------------------
fn pay(order: Order) -> impl Future<Output = Result<u8, Error>> + Send {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::pay"),
        "pay",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    let __dd_start = ::ddtrace::__private::Start::new(&__DD_SITE);
    let __dd_value = {
        let order = order.clone();
        async move { send(order).await }
    };
    ::ddtrace::__private::instrument_start_with(
        __dd_start,
        __dd_value,
        ::ddtrace::__private::observer::<Result<u8, Error>>().errors(),
    )
}
