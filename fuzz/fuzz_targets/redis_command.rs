#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ddtrace_fuzz::redis::redis_command(data));
