#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ddtrace_fuzz::ci_visibility::backend_answers(data));
