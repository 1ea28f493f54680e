#[trace(args(order), enabled = on)]
async fn pay<T: Send>(order: Order) -> Result<(), Error> where T: Clone { send(order).await?; Ok(()) }
// ------------------------------------------------------------------------
fn pay<T: Send>(order: Order) -> impl ::core::future::Future<Output = Result<(), Error>>
where
    T: Clone,
{
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::pay"),
        "pay",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    let __dd_on: bool = (on);
    ::ddtrace::__private::instrument_start_with(
        ::ddtrace::__private::Start::new(&__DD_SITE).enabled(__dd_on),
        async move {
            let order = order;
            if false {
                #[allow(unreachable_code)]
                {
                    let __dd_return: Result<(), Error> = loop {};
                    return __dd_return;
                }
            }
            {
                let __dd_span = ::ddtrace::__private::active_at(&__DD_SITE);
                if __dd_on && __dd_span.is_recording() {
                    __dd_span
                        .set_tags(
                            &[
                                ::ddtrace::__private::Tag {
                                    key: "args.order",
                                    value: ::ddtrace::__private::probe(&order).capture().value(),
                                },
                            ],
                        );
                }
            }
            {
                send(order).await?;
                Ok(())
            }
        },
        ::ddtrace::__private::observer::<Result<(), Error>>().errors(),
    )
}
