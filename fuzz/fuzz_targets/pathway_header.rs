#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ddtrace_fuzz::data_streams::pathway_header(data));
