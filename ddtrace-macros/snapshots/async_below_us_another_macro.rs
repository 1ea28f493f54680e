#[trace]
#[tokio::test]
async fn pay(order: Order, other: Order) -> Result<(), Error> { send(order).await }
// ------------------------------------------------------------------------
#[tokio::test]
async fn pay(order: Order, other: Order) -> Result<(), Error> {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::pay"),
        "pay",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    ::ddtrace::__private::instrument_site_with(
            &__DD_SITE,
            async move {
                let _ = (&other, &order);
                if false {
                    #[allow(unreachable_code)]
                    {
                        let __dd_return: Result<(), Error> = loop {};
                        return __dd_return;
                    }
                }
                { send(order).await }
            },
            ::ddtrace::__private::observer::<Result<(), Error>>().errors(),
        )
        .await
}
