#[trace(args(order))]
fn pay<'a, 'async_trait>(&'a self, order: Order) -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = Result<u8, Error>> + ::core::marker::Send + 'async_trait>> where 'a: 'async_trait { Box::pin(async move { let order = order; send(order).await?; return Ok(1); }) }
// ------------------------------------------------------------------------
fn pay<'a, 'async_trait>(
    &'a self,
    order: Order,
) -> ::core::pin::Pin<
    Box<
        dyn ::core::future::Future<
            Output = Result<u8, Error>,
        > + ::core::marker::Send + 'async_trait,
    >,
>
where
    'a: 'async_trait,
{
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::pay"),
        "pay",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    Box::pin(
        ::ddtrace::__private::instrument_site_with(
            &__DD_SITE,
            async move {
                {
                    let __dd_span = ::ddtrace::__private::active_at(&__DD_SITE);
                    if __dd_span.is_recording() {
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
                    let order = order;
                    send(order).await?;
                    return Ok(1);
                }
            },
            ::ddtrace::__private::observer::<Result<u8, Error>>().errors(),
        ),
    )
}
