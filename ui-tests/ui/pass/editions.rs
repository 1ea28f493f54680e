//! Places where an attribute may stand and where names are in the way.

#![allow(dead_code, non_camel_case_types)]

mod std {}
mod core {}

struct Ok;
struct Err;
struct Some;
struct None;
struct Result;
struct Option;
struct Box;
struct Vec;
struct String;

#[ddtrace::trace]
fn shadowed_prelude(n: u8) -> ::core::result::Result<u8, &'static str> {
    if n == 0 {
        return ::core::result::Result::Err("zero");
    }
    ::core::result::Result::Ok(n)
}

#[ddtrace::trace(args_all, ret, tags(a = n))]
async fn shadowed_in_a_future(n: u8) -> ::core::result::Result<u8, &'static str> {
    ::core::result::Result::Ok(n)
}

#[ddtrace::trace]
fn own_result(n: u8) -> Result {
    if n == 0 {
        return Result;
    }
    Result
}

fn main() {
    let _ = (shadowed_prelude(1), own_result(0), own_result(1));
    drop(shadowed_in_a_future(1));

    #[ddtrace::trace]
    fn nested() -> u8 {
        1
    }
    nested();
}
