#[trace]
mod work {
    use super::*;
    pub fn f() {}
    fn main() {}
    struct A;
    impl A { fn g(&self) {} }
    mod inner { fn h() {} }
    #[trace] mod asked { fn i() {} }
    #[cfg(test)] mod tests { fn j() {} }
}
// ------------------------------------------------------------------------
mod work {
    use super::*;
    pub fn f() {
        static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
            ::core::concat!(::core::module_path!(), "::f"),
            "f",
            ::core::module_path!(),
            ::core::file!(),
            1,
        );
        let __dd_span = ::ddtrace::__private::enter(&__DD_SITE);
        {}
    }
    fn main() {}
    struct A;
    impl A {
        fn g(&self) {
            static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
                ::core::concat!(::core::module_path!(), "::A::g"),
                "A::g",
                ::core::module_path!(),
                ::core::file!(),
                1,
            );
            let __dd_span = ::ddtrace::__private::enter(&__DD_SITE);
            {}
        }
    }
    mod inner {
        fn h() {}
    }
    mod asked {
        fn i() {
            static __DD_SITE: ::ddtrace::__private::Site = ::ddtrace::__private::Site::new(
                ::core::concat!(::core::module_path!(), "::i"),
                "i",
                ::core::module_path!(),
                ::core::file!(),
                1,
            );
            let __dd_span = ::ddtrace::__private::enter(&__DD_SITE);
            {}
        }
    }
    #[cfg(test)]
    mod tests {
        fn j() {}
    }
}
