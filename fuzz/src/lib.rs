//! What every fuzz target checks: no panic, and what a decoder promises of any
//! input. The targets themselves are in `fuzz_targets/`.

pub mod exporter;
pub mod fields;
pub mod frames;

use std::net::SocketAddr;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use wire::{AttributeValue, Decoder, Limits, Record, Reject, Session, Text};

/// Limits so small that they are met.
pub fn limits() -> Limits {
    Limits {
        scopes: 8,
        templates_per_scope: 16,
        fields_per_template: 64,
        template_bytes: 4_000,
        held_bytes: 8_000,
        held_sets_per_scope: 8,
        records_per_datagram: 2_000,
        ..Limits::default()
    }
}

/// A sender's address.
pub fn session(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 4739))
}

/// Decodes one datagram and checks what holds for all of them. Returns whether it was
/// accepted.
pub fn decode(
    decoder: &mut Decoder,
    session: impl Into<Session>,
    now_ms: u64,
    datagram: &[u8],
    records: &mut Vec<Record>,
) -> bool {
    let (before, templates) = (records.len(), decoder.templates());
    let limits = limits();
    let result = decoder.decode(session, now_ms, datagram, records);
    match &result {
        Ok(summary) => {
            assert_eq!(records.len() - before, summary.records);
            assert!(summary.records <= limits.records_per_datagram);
            assert!(summary.released_records <= summary.records);
            assert!(summary.options.len() <= summary.options_records);
            records[before..].iter().for_each(check);
            let names = summary.counters.iter().map(|counters| &counters.port_name);
            names.for_each(check_text);
            summary.discards.iter().for_each(|discard| check(&discard.packet));
        }
        Err(reject) => {
            assert_eq!(records.len(), before, "a refused datagram leaves records");
            assert!(
                decoder.templates() <= templates,
                "a refused datagram teaches a template"
            );
            assert!(Reject::KINDS.contains(&reject.kind()));
        }
    }
    assert!(decoder.scopes() <= limits.scopes);
    assert!(decoder.templates() <= limits.scopes * limits.templates_per_scope);
    // Counters of a refused datagram and of an accepted one alike are taken out.
    decoder.take_expired_sets();
    result.is_ok()
}

/// No text grows with what was sent, and a tunnel is left once.
fn check(record: &Record) {
    let sample = record.sample.as_ref();
    if sample.is_some_and(|sample| sample.inner.is_some()) {
        let inner = record.clone().into_inner();
        assert!(inner.src_addr.is_some() && inner.tunnel_src.is_some());
        assert_eq!(inner.clone().into_inner(), inner);
    }
    let texts = [
        &record.virtual_obs_id,
        &record.in_if_name,
        &record.in_if_description,
        &record.out_if_name,
        &record.out_if_description,
    ];
    texts.into_iter().for_each(check_text);
    for (_, value) in record.attributes.iter() {
        if let AttributeValue::Text(text) = value {
            check_text(text);
        }
    }
}

fn check_text(text: &Text) {
    assert!(text.as_str().len() <= Text::MAX_BYTES);
}

/// A decoder and its time.
#[derive(Debug)]
pub struct Decoding {
    /// The decoder, with [`limits`].
    pub decoder: Decoder,
    now_ms: u64,
    records: Vec<Record>,
}

impl Default for Decoding {
    fn default() -> Self {
        Self {
            decoder: Decoder::new(limits()),
            now_ms: 1_000_000,
            records: Vec::new(),
        }
    }
}

impl Decoding {
    /// Time passes now and then: until data has waited too long, until templates are old.
    pub fn wait(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if u.ratio(1, 8)? {
            self.now_ms += u.choose(&[1_000, 11_000, 700_000, 4 * 3_600_000])?;
        }
        Ok(())
    }

    /// Decodes and checks; returns whether the datagram was accepted.
    pub fn decode(&mut self, session: impl Into<Session>, datagram: &[u8]) -> bool {
        self.records.clear();
        decode(
            &mut self.decoder,
            session,
            self.now_ms,
            datagram,
            &mut self.records,
        )
    }

    /// Ends all sessions: nothing is left of them.
    pub fn end<S: Into<Session>>(mut self, sessions: impl Iterator<Item = S>) {
        sessions.for_each(|session| self.decoder.end_session(session));
        assert_eq!((self.decoder.scopes(), self.decoder.templates()), (0, 0));
    }
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
