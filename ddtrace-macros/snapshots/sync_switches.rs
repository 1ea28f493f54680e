#[trace(root, enabled = verbose(), short_name, args_all, skip(password), err(handled), ret = |r| r.len())]
unsafe extern "C" fn login(name: &str, password: &str, (x, y): (u8, u8)) -> Result<(), Error> { #![allow(dead_code)] check(name)?; Ok(()) }
// ------------------------------------------------------------------------
#[allow(dead_code)]
unsafe extern "C" fn login(
    name: &str,
    password: &str,
    (x, y): (u8, u8),
) -> Result<(), Error> {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
        "login",
        "login",
        ::core::module_path!(),
        ::core::file!(),
        1,
    );
    let __dd_span = if (verbose()) {
        ::ddtrace::__private::enter_root(&__DD_SITE)
    } else {
        ::ddtrace::__private::enter_off()
    };
    if __dd_span.is_recording() {
        __dd_span
            .set_tags(
                &[
                    ::ddtrace::__private::Tag {
                        key: "args.name",
                        value: ::ddtrace::__private::probe(&name).capture().value(),
                    },
                    ::ddtrace::__private::Tag {
                        key: "args.x",
                        value: ::ddtrace::__private::probe(&x).capture().value(),
                    },
                    ::ddtrace::__private::Tag {
                        key: "args.y",
                        value: ::ddtrace::__private::probe(&y).capture().value(),
                    },
                ],
            );
    }
    let __dd_ret: Result<(), Error> = ::ddtrace::__private::call_once(move || -> Result<
        (),
        Error,
    > {
        let _ = (&y, &x);
        {
            check(name)?;
            Ok(())
        }
    });
    #[allow(unreachable_code)]
    if let ::core::result::Result::Err(__dd_error) = &__dd_ret {
        __dd_span.fail_handled(::ddtrace::__private::error(__dd_error).view());
    }
    if __dd_span.is_recording() {
        __dd_span
            .set_tags(
                &[
                    ::ddtrace::__private::Tag {
                        key: "return",
                        value: ::ddtrace::__private::probe(
                                &::ddtrace::__private::apply(&__dd_ret, (|r| r.len())),
                            )
                            .capture()
                            .value(),
                    },
                ],
            );
    }
    __dd_ret
}
