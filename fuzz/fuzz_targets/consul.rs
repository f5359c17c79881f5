#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| carme_fuzz::consul(bytes));
