#[llm(stream = "text")]
fn words(text: &str) -> impl Stream<Item = String> { split(text) }
// ------------------------------------------------------------------------
fn words(text: &str) -> impl Stream<Item = String> {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
            "words",
            "words",
            ::core::module_path!(),
            ::core::file!(),
            1,
        )
        .with_resource("llm")
        .with_span_type("llm");
    static __DD_LLM: ::ddtrace::__private::llm::Call = ::ddtrace::__private::llm::Call::new(
        ::ddtrace::__private::llm::Kind::Llm,
        "words",
    );
    let __dd_on: bool = (::ddtrace::__private::llm::is_on());
    let mut __dd_start = ::ddtrace::__private::Start::new(&__DD_SITE)
        .enabled(__dd_on)
        .start();
    let __dd_llm = {
        let __dd_entered = __dd_start.enter();
        let __dd_llm = ::ddtrace::__private::llm::begin(__dd_on, &__DD_LLM, &__DD_SITE);
        __dd_llm
    };
    let __dd_value = { split(text) };
    let __dd_value = ::ddtrace::__private::llm::stream(
        __dd_llm,
        __dd_value,
        |__dd_item, __dd_items: &mut ::ddtrace::__private::llm::Items| {
            if let ::core::option::Option::Some(__dd_error) = ::ddtrace::__private::outcome(
                    __dd_item,
                )
                .error()
            {
                __dd_items.fail(::ddtrace::__private::error(__dd_error).view());
            }
            if let ::core::option::Option::Some(__dd_value) = ::ddtrace::__private::outcome(
                    __dd_item,
                )
                .value()
            {
                __dd_items.text(::ddtrace::__private::llm::as_text(__dd_value));
            }
        },
    );
    ::ddtrace::__private::instrument_stream_in(__dd_start, __dd_value)
}
