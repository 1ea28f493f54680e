#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ddtrace_fuzz::tonic::grpc_call(data));
