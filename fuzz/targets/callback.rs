#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetprompt_fuzz::callback(data));
