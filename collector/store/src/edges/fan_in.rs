//! Records of which neither flags nor Services nor the kinds of their ports tell who
//! listens: many ports that meet one port, and not the other way round, do. Of what is
//! left nothing is guessed but, where the record did so, by the lower port.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::{Evidence, Record};
use crate::rollup::Fold;

/// Remote ports that make a server likely.
const SOME: u32 = 3;
/// Remote ports that prove it.
const MANY: u32 = 10;

/// RFC 6335 section 6.
const FIRST_USER_PORT: u16 = 1_024;
/// `net.ipv4.ip_local_port_range`, as Linux has it by default.
const FIRST_CLIENT_PORT: u16 = 32_768;

/// System, user, or what clients take: two of a kind do not tell who listens.
pub(super) fn kind(port: u16) -> u8 {
    u8::from(port >= FIRST_USER_PORT) + u8::from(port >= FIRST_CLIENT_PORT)
}

/// Identity, protocol and port, as a number.
fn endpoint(id: u32, proto: Option<u8>, port: u16) -> u64 {
    u64::from(id) << 24 | u64::from(proto.unwrap_or_default()) << 16 | u64::from(port)
}

/// Hands each record on with whether it is an answer, what that rests on, and the server's
/// port where it is known. The order of the records does not matter.
pub(super) fn settle(records: &[Record], mut each: impl FnMut(&Record, bool, Evidence, Option<u16>)) {
    let remotes = remotes(records);
    let remotes = |id, record: &Record, port| {
        let found = remotes.get(&endpoint(id, record.proto, port));
        found.copied().unwrap_or_default()
    };
    for record in records {
        let [Some(src), Some(dst)] = record.ports else {
            continue;
        };
        let (of_src, of_dst) = (remotes(record.src, record, src), remotes(record.dst, record, dst));
        let evidence = match of_src.max(of_dst) {
            MANY.. => Evidence::MANY_CLIENTS,
            _ => Evidence::SOME_CLIENTS,
        };
        match (of_src >= SOME, of_dst >= SOME) {
            (false, true) => each(record, false, evidence, Some(dst)),
            (true, false) => each(record, true, evidence, Some(src)),
            _ if is_claimed(record) => {
                let turned = record.claim.is_source;
                each(record, turned, record.claim.evidence, record.port(turned));
            }
            // Peers that speak from the same port have it in common.
            _ => each(record, false, Evidence::NONE, (src == dst).then_some(dst)),
        }
    }
}

/// The record names a server, and not by a port that clients take.
fn is_claimed(record: &Record) -> bool {
    let port = record.port(record.claim.is_source).unwrap_or_default();
    record.claim.evidence != Evidence::NONE && port < FIRST_CLIENT_PORT
}

/// How many remote ports each endpoint met.
fn remotes(records: &[Record]) -> HashMap<u64, u32, BuildHasherDefault<Fold>> {
    let mut met = Vec::with_capacity(2 * records.len());
    for record in records {
        let [Some(src), Some(dst)] = record.ports else {
            continue;
        };
        let one = endpoint(record.src, record.proto, src);
        let other = endpoint(record.dst, record.proto, dst);
        met.extend([(one, other), (other, one)]);
    }
    met.sort_unstable();
    met.dedup();
    let same = met.chunk_by(|(one, _), (other, _)| one == other);
    let counts = same.filter_map(|met| Some((met.first()?.0, u32::try_from(met.len()).unwrap_or(u32::MAX))));
    // Who met few ports is as one that met none.
    counts.filter(|(_, count)| *count >= SOME).collect()
}
