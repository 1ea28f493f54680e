//! A program without a dependency on `ddtrace`: a library that it has hands the attributes on.

#![deny(warnings)]

use reexport::telemetry::trace;

/// A span.
#[trace(crate = reexport::telemetry::ddtrace, args(n), tags(double = n * 2), ret)]
pub fn f(n: u8) -> Result<u8, String> {
    if n == 0 {
        return Err("zero".to_owned());
    }
    Ok(n)
}

/// A span in edition 2018.
#[trace(crate = ::reexport::telemetry::ddtrace)]
pub async fn g(list: &mut Vec<u8>, text: &str) -> Result<(), std::num::ParseIntError> {
    list.push(text.parse()?);
    Ok(())
}

/// Others may implement it.
#[allow(async_fn_in_trait)]
pub trait Store {
    /// Loads.
    async fn load(&self, key: &str) -> Result<u8, String>;
}

/// A store.
pub struct Memory;

impl Store for Memory {
    #[trace(crate = reexport::telemetry::ddtrace)]
    async fn load(&self, key: &str) -> Result<u8, String> {
        f(key.len() as u8)
    }
}

#[trace(crate = reexport::telemetry::ddtrace)]
mod inner {
    pub(crate) fn h() {}
}

#[test]
fn a_re_export_works() {
    let recorder = reexport::telemetry::ddtrace::test_support::Recorder::new();
    let _ = (f(0), f(1));
    inner::h();
    let spans = recorder.take();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["through::f", "through::f", "through::inner::h"]);
    assert_eq!(spans[1].metric("return"), Some(1.0));
}
