#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| changeover_fuzz::analyser::run(data));
