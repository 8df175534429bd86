//! Templates of an earlier decoder: the octets are refused, or they are an archive that
//! stays what it is and that a decoder can work with.
#![no_main]

use wire::encode::{Ipfix, NetFlow9};
use wire::{Archive, Decoder};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let limits = weir_fuzz::limits();
    let Ok(archive) = Archive::decode(octets, &limits, 0, 1_000) else {
        return;
    };
    let again = Archive::decode(&archive.encode(), &limits, 0, 1_000).expect("what was written");
    assert_eq!(
        (again.scopes(), again.templates()),
        (archive.scopes(), archive.templates())
    );
    let mut decoder = Decoder::new(limits);
    decoder.recall(&again);
    for id in [256, 257, 280, 300] {
        for domain in 0..4 {
            let ipfix = Ipfix::new(0, 0, domain).set(id, octets);
            let netflow9 = NetFlow9::new(0, 0, 0, domain, 1).set(id, octets);
            for datagram in [ipfix.encode(), netflow9.encode()] {
                weir_fuzz::decode(
                    &mut decoder,
                    weir_fuzz::session(1),
                    1_000,
                    &datagram,
                    &mut Vec::new(),
                );
            }
        }
    }
});
