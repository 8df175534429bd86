//! One datagram of sFlow v5, without its version.
#![no_main]

libfuzzer_sys::fuzz_target!(|rest: &[u8]| weir_fuzz::one_protocol(&[0, 0, 0, 5], rest));
