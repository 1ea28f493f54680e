#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ddtrace_fuzz::aws_sdk::aws_operation(data));
