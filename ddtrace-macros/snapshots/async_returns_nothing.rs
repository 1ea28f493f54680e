#[trace(enter_on_poll)]
async fn pay() { tick().await }
// ------------------------------------------------------------------------
fn pay() -> impl ::core::future::Future<Output = ()> {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::pay"),
        "pay",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    ::ddtrace::__private::enter_on_poll(
        &__DD_SITE,
        async move {
            if false {
                return;
            }
            { tick().await }
        },
    )
}
