//! One datagram of IPFIX, without its version.
#![no_main]

libfuzzer_sys::fuzz_target!(|rest: &[u8]| weir_fuzz::one_protocol(&[0, 10], rest));
