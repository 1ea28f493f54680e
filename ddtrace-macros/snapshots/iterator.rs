#[trace(iter)]
fn rows(&self) -> Box<dyn Iterator<Item = Row> + '_> { Box::new(self.rows.iter()) }
// ------------------------------------------------------------------------
fn rows(&self) -> Box<dyn Iterator<Item = Row> + '_> {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        ::core::concat!(::core::module_path!(), "::rows"),
        "rows",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    let __dd_start = ::ddtrace::__private::Start::new(&__DD_SITE);
    let __dd_value = {
        let __dd_value: Box<dyn Iterator<Item = Row> + '_> = {
            Box::new(self.rows.iter())
        };
        __dd_value
    };
    ::std::boxed::Box::new(::ddtrace::__private::instrument_iter(__dd_start, __dd_value))
}
