#[trace]
async fn start() { tokio::spawn(work(1)); std::thread::spawn(move || tokio::task::spawn_blocking(other)); }
// ------------------------------------------------------------------------
fn start() -> impl ::core::future::Future<Output = ()> {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::start"),
        "start",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    ::ddtrace::__private::instrument_site(
        &__DD_SITE,
        async move {
            if false {
                return;
            }
            {
                tokio::spawn(::ddtrace::__private::carry(work(1)));
                std::thread::spawn(
                    ::ddtrace::__private::carry_fn(move || tokio::task::spawn_blocking(
                        ::ddtrace::__private::carry_fn(other),
                    )),
                );
            }
        },
    )
}
