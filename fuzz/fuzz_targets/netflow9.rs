//! One datagram of NetFlow v9, without its version.
#![no_main]

libfuzzer_sys::fuzz_target!(|rest: &[u8]| weir_fuzz::one_protocol(&[0, 9], rest));
