//! Datagrams of several senders and all protocols into one decoder, over hours.
#![no_main]

use wire::Decoder;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new(weir_fuzz::limits());
    let (mut records, mut now_ms) = (Vec::new(), 1_000);
    for (from, seconds, datagram) in weir_fuzz::split(data) {
        // Minutes, so that templates and held data grow old.
        now_ms += u64::from(seconds) * 60_000;
        let session = weir_fuzz::session(from % 12);
        weir_fuzz::decode(&mut decoder, session, now_ms, datagram, &mut records);
        records.clear();
    }
});
