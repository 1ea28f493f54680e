#[llm(model_name = "gpt-4o", output = |answer| answer.text(), metrics = |answer| answer.usage())]
fn ask(question: &str) -> Result<Answer, Error> { send(question)?; Ok(answer) }
// ------------------------------------------------------------------------
fn ask(question: &str) -> Result<Answer, Error> {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
            "ask",
            "ask",
            ::core::module_path!(),
            ::core::file!(),
            1,
        )
        .with_resource("llm")
        .with_span_type("llm");
    let __dd_span = if (::ddtrace::__private::llm::is_on()) {
        ::ddtrace::__private::enter(&__DD_SITE)
    } else {
        ::ddtrace::__private::enter_off()
    };
    static __DD_LLM: ::ddtrace::__private::llm::Call = ::ddtrace::__private::llm::Call::new(
        ::ddtrace::__private::llm::Kind::Llm,
        "ask",
    );
    let __dd_llm = ::ddtrace::__private::llm::begin(
        __dd_span.is_recording(),
        &__DD_LLM,
        &__DD_SITE,
    );
    if __dd_llm.is_recording() {
        __dd_llm.set_model_name("gpt-4o");
    }
    let __dd_ret: Result<Answer, Error> = ::ddtrace::__private::call_once(move || -> Result<
        Answer,
        Error,
    > {
        send(question)?;
        Ok(answer)
    });
    #[allow(unreachable_code)]
    __dd_span.fail_if(::ddtrace::__private::failure(&__dd_ret).view());
    if __dd_llm.is_recording() {
        if let ::core::option::Option::Some(__dd_error) = ::ddtrace::__private::outcome(
                &__dd_ret,
            )
            .error()
        {
            __dd_llm.fail(::ddtrace::__private::error(__dd_error).view());
        }
        if let ::core::option::Option::Some(__dd_value) = ::ddtrace::__private::outcome(
                &__dd_ret,
            )
            .value()
        {
            __dd_llm
                .set_metrics(
                    ::ddtrace::__private::apply(__dd_value, (|answer| answer.usage())),
                );
            __dd_llm
                .set_output(
                    ::ddtrace::__private::llm::Form::Given,
                    ::ddtrace::__private::llm::capture(
                            &::ddtrace::__private::apply(
                                __dd_value,
                                (|answer| answer.text()),
                            ),
                        )
                        .captured(),
                );
        }
    }
    __dd_ret
}
