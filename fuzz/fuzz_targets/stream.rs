//! IPFIX over TCP: pieces of a stream, the size of each from a number in front,
//! cut into messages and decoded. What comes out does not depend on the pieces.
#![no_main]

use wire::{Decoder, Framer, Session};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&piece, stream)) = data.split_first() else {
        return;
    };
    let in_pieces = messages(stream, usize::from(piece) + 1);
    assert_eq!(in_pieces, messages(stream, stream.len().max(1)));
    let session = Session::stream(weir_fuzz::session(1));
    let mut decoder = Decoder::new(weir_fuzz::limits());
    let mut records = Vec::new();
    for message in &in_pieces {
        weir_fuzz::decode(&mut decoder, session, 1_000, message, &mut records);
        records.clear();
    }
    decoder.end_session(session);
    assert_eq!((decoder.scopes(), decoder.templates()), (0, 0));
});

/// Until something follows that is no message.
fn messages(stream: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let (mut framer, mut found) = (Framer::default(), Vec::new());
    for octets in stream.chunks(piece) {
        framer.push(octets);
        loop {
            match framer.next_message() {
                Ok(Some(message)) => found.push(message.to_vec()),
                Ok(None) => break,
                Err(_) => return found,
            }
        }
    }
    found
}
