#[trace(root, tags(a = order.id))]
fn pay(order: Order) -> BoxFuture<'static, Result<u8, Error>> { if order.empty() { return ready(Ok(1)).boxed(); } Box::pin(send(order)) }
// ------------------------------------------------------------------------
fn pay(order: Order) -> BoxFuture<'static, Result<u8, Error>> {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::pay"),
        "pay",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    let __dd_start = {
        let mut __dd_span = ::ddtrace::__private::Start::new(&__DD_SITE).root().start();
        if __dd_span.is_recording() {
            __dd_span
                .set_tags(
                    &[
                        ::ddtrace::__private::Tag {
                            key: "a",
                            value: ::ddtrace::__private::probe(&(order.id))
                                .capture()
                                .value(),
                        },
                    ],
                );
        }
        __dd_span
    };
    let __dd_value = ::ddtrace::__private::call_once(move || -> BoxFuture<
        'static,
        Result<u8, Error>,
    > {
        {
            if order.empty() {
                return ready(Ok(1)).boxed();
            }
            Box::pin(send(order))
        }
    });
    ::std::boxed::Box::pin(
        ::ddtrace::__private::instrument_with(
            __dd_start,
            __dd_value,
            ::ddtrace::__private::observer::<Result<u8, Error>>().errors(),
        ),
    )
}
