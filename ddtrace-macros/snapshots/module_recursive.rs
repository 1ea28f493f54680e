#[trace(recursive, crate = crate::dd)]
mod work { mod inner { fn h() {} } #[cfg(test)] mod tests { fn j() {} } }
// ------------------------------------------------------------------------
mod work {
    mod inner {
        fn h() {
            static __DD_SITE: crate::dd::__private::Site = crate::dd::__private::Site::new(
                ::core::concat!(::core::module_path!(), "::h"),
                "h",
                ::core::module_path!(),
                ::core::file!(),
                1,
            );
            let __dd_span = crate::dd::__private::enter(&__DD_SITE);
            {}
        }
    }
    #[cfg(test)]
    mod tests {
        fn j() {}
    }
}
