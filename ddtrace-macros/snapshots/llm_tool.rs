#[tool(version = "2", skip(key))]
async fn weather(city: &str, key: &str) -> Vec<f32> { send(city, key).await }
// ------------------------------------------------------------------------
fn weather(city: &str, key: &str) -> impl ::core::future::Future<Output = Vec<f32>> {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
            "weather",
            "weather",
            ::core::module_path!(),
            ::core::file!(),
            1,
        )
        .with_resource("tool")
        .with_span_type("llm");
    static __DD_LLM: ::ddtrace::__private::llm::Call = ::ddtrace::__private::llm::Call::new(
        ::ddtrace::__private::llm::Kind::Tool,
        "weather",
    );
    let __dd_on: bool = (::ddtrace::__private::llm::is_on());
    ::ddtrace::__private::instrument_start(
        ::ddtrace::__private::Start::new(&__DD_SITE).enabled(__dd_on),
        ::ddtrace::__private::llm::within(
            __dd_on,
            &__DD_LLM,
            &__DD_SITE,
            async move {
                if false {
                    #[allow(unreachable_code)]
                    {
                        let __dd_return: Vec<f32> = loop {};
                        return __dd_return;
                    }
                }
                {
                    let __dd_llm = ::ddtrace::__private::llm::active(&__DD_LLM);
                    if __dd_llm.is_recording() {
                        __dd_llm.set_version("2");
                        __dd_llm
                            .set_input(
                                ::ddtrace::__private::llm::Form::Auto,
                                ::ddtrace::__private::llm::arguments([
                                    (
                                        "city",
                                        ::ddtrace::__private::llm::capture(&city).captured(),
                                    ),
                                ]),
                            );
                    }
                }
                { send(city, key).await }
            },
            |__dd_ret, __dd_llm: &::ddtrace::__private::llm::Recording| {
                if __dd_llm.is_recording() {
                    if let ::core::option::Option::Some(__dd_value) = ::ddtrace::__private::outcome(
                            __dd_ret,
                        )
                        .value()
                    {
                        __dd_llm
                            .set_output(
                                ::ddtrace::__private::llm::Form::Auto,
                                ::ddtrace::__private::llm::capture(__dd_value).captured(),
                            );
                    }
                }
            },
        ),
    )
}
