#[dsm_checkpoint(produce, type = "kafka", topic = "invoices", span = true)]
async fn send(message: Message) { settle(message).await }
// ------------------------------------------------------------------------
fn send(message: Message) -> impl ::core::future::Future<Output = ()> {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
            ::core::concat!(::core::module_path!(), "::send"),
            "send",
            ::core::module_path!(),
            ::core::file!(),
            1,
        )
        .with_kind(::ddtrace::__private::SpanKind::Producer);
    ::ddtrace::__private::instrument_site(
        &__DD_SITE,
        ::ddtrace::__private::dsm::within(async move {
            let message = message;
            if false {
                return;
            }
            if ::ddtrace::__private::dsm::is_on() {
                #[allow(unused_imports)]
                use ::ddtrace::__private::dsm::{AsCarrier as _, AsCarrierMut as _};
                let _ = ::ddtrace::__private::dsm::NOTHING_IS_INJECTED_WITHOUT_A_CARRIER;
                ::ddtrace::__private::dsm::produce("kafka", "invoices").pass();
            }
            { settle(message).await }
        }),
    )
}
