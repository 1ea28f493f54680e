#[trace(name = "cart.price", service = "shop", resource = cart.id, span_type = "web", kind = client, tags(items = cart.len(), "shop.kind" = "big", shown = %cart, raw = ?cart), args(a, b), ret, err(filter = is_serious), parent = context, link = other)]
fn price(cart: &Cart, a: u8, b: &str) -> Result<Money, Error> { cart.sum() }
// ------------------------------------------------------------------------
fn price(cart: &Cart, a: u8, b: &str) -> Result<Money, Error> {
    #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
    static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
            "cart.price",
            "price",
            ::core::module_path!(),
            ::core::file!(),
            1,
        )
        .with_service("shop")
        .with_span_type("web")
        .with_kind(::ddtrace::__private::SpanKind::Client);
    let __dd_span = ::ddtrace::__private::enter_child_of(&__DD_SITE, &(context));
    if __dd_span.is_recording() {
        __dd_span
            .set_resource(&::ddtrace::__private::probe(&(cart.id)).capture().text());
        __dd_span.add_link(::core::convert::Into::into((other)));
        __dd_span
            .set_tags(
                &[
                    ::ddtrace::__private::Tag {
                        key: "args.a",
                        value: ::ddtrace::__private::probe(&a).capture().value(),
                    },
                    ::ddtrace::__private::Tag {
                        key: "args.b",
                        value: ::ddtrace::__private::probe(&b).capture().value(),
                    },
                    ::ddtrace::__private::Tag {
                        key: "items",
                        value: ::ddtrace::__private::probe(&(cart.len()))
                            .capture()
                            .value(),
                    },
                    ::ddtrace::__private::Tag {
                        key: "shop.kind",
                        value: ::ddtrace::__private::Value::Static("big"),
                    },
                    ::ddtrace::__private::Tag {
                        key: "shown",
                        value: ::ddtrace::__private::display(&(cart)).value(),
                    },
                    ::ddtrace::__private::Tag {
                        key: "raw",
                        value: ::ddtrace::__private::debug(&(cart)).value(),
                    },
                ],
            );
    }
    let __dd_ret: Result<Money, Error> = { cart.sum() };
    #[allow(unreachable_code)]
    if let ::core::result::Result::Err(__dd_error) = &__dd_ret {
        if ::ddtrace::__private::apply(__dd_error, (is_serious)) {
            __dd_span.fail(::ddtrace::__private::error(__dd_error).view());
        }
    }
    if __dd_span.is_recording() {
        if let ::core::option::Option::Some(__dd_value) = ::ddtrace::__private::outcome(
                &__dd_ret,
            )
            .value()
        {
            __dd_span
                .set_tags(
                    &[
                        ::ddtrace::__private::Tag {
                            key: "return",
                            value: ::ddtrace::__private::returned(__dd_value)
                                .capture()
                                .value(),
                        },
                    ],
                );
        }
    }
    __dd_ret
}
