#[trace]
pub async fn pay(&self, order: Order, mut n: u8, (a, _): (A, B), _: C, text: &str) -> u8 { self.send(order).await }
// ------------------------------------------------------------------------
pub fn pay(
    &self,
    order: Order,
    n: u8,
    __dd_arg3: (A, B),
    __dd_arg4: C,
    text: &str,
) -> impl ::core::future::Future<Output = u8> {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::pay"),
        "pay",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    ::ddtrace::__private::instrument_site(
        &__DD_SITE,
        async move {
            let order = order;
            let mut n = n;
            let __dd_arg3 = __dd_arg3;
            let (a, _) = __dd_arg3;
            let __dd_arg4 = __dd_arg4;
            if false {
                #[allow(unreachable_code)]
                {
                    let __dd_return: u8 = loop {};
                    return __dd_return;
                }
            }
            { self.send(order).await }
        },
    )
}
