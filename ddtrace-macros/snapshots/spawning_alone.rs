#[trace(propagate = false)]
fn start() { tokio::spawn(work(1)); }
// ------------------------------------------------------------------------
fn start() {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::start"),
        "start",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    let __dd_span = ::ddtrace::__private::enter(&__DD_SITE);
    {
        tokio::spawn(work(1));
    }
}
