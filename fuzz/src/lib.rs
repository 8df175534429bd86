//! What every fuzz target checks: no panic, and what a decoder promises of any
//! input. The targets themselves are in `fuzz_targets/`.

use std::net::SocketAddr;

use wire::{Decoder, Limits, Record, Reject, Session};

/// Limits so small that they are met.
pub fn limits() -> Limits {
    Limits {
        scopes: 8,
        templates_per_scope: 16,
        fields_per_template: 64,
        template_octets: 4_000,
        held_octets: 8_000,
        held_sets_per_scope: 8,
        records_per_datagram: 2_000,
        ..Limits::default()
    }
}

/// A sender's address.
pub fn session(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 4739))
}

/// Decodes one datagram and checks what holds for all of them.
pub fn decode(
    decoder: &mut Decoder,
    session: impl Into<Session>,
    now_ms: u64,
    datagram: &[u8],
    records: &mut Vec<Record>,
) {
    let before = records.len();
    match decoder.decode(session, now_ms, datagram, records) {
        Ok(summary) => {
            assert_eq!(records.len() - before, summary.records);
            assert!(summary.released_records <= summary.records);
        }
        Err(reject) => {
            assert_eq!(records.len(), before, "a refused datagram leaves records");
            assert!(Reject::KINDS.contains(&reject.kind()));
        }
    }
    let limits = limits();
    assert!(decoder.scopes() <= limits.scopes);
    assert!(decoder.templates() <= limits.scopes * limits.templates_per_scope);
    // Counters of a refused datagram and of an accepted one alike are taken out.
    decoder.take_expired_sets();
}

/// One datagram of a protocol: the version is put in front, so that no run is
/// wasted on finding it. Sent twice: templates of the first time meet the data of
/// the second.
pub fn one_protocol(version: &[u8], rest: &[u8]) {
    let datagram = [version, rest].concat();
    let mut decoder = Decoder::new(limits());
    let mut records = Vec::new();
    for now_ms in [1_000, 2_000] {
        decode(&mut decoder, session(1), now_ms, &datagram, &mut records);
        records.clear();
    }
}

/// Datagrams one after another: sender, seconds since the last, length (16 bits,
/// big-endian), octets. What is left over at the end is the last datagram.
pub fn split(mut data: &[u8]) -> impl Iterator<Item = (u8, u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[from, seconds, high, low], rest) = data.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
        let (datagram, rest) = rest.split_at(length);
        data = rest;
        Some((from, seconds, datagram))
    })
}

/// The reverse of [`split`].
pub fn join(datagrams: &[(u8, u8, Vec<u8>)]) -> Vec<u8> {
    let mut data = Vec::new();
    for (from, seconds, datagram) in datagrams {
        let length = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
        data.extend([*from, *seconds]);
        data.extend(length.to_be_bytes());
        data.extend(&datagram[..usize::from(length)]);
    }
    data
}
