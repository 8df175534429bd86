//! Bytes into the state, field by field, as `encode` wrote them.

use std::num::NonZeroU8;

use super::CheckpointError;
use super::read::{Read, Reader};
use crate::config::Config;
use crate::connection::{Connection, Rare, Service};
use crate::connections::{Connections, Position};
use crate::conntrack::Tracked;
use crate::counts::{Biflow, Counts, PerEnd};
use crate::cover::Cover;
use crate::key::{Key, Socket, Tuple};
use crate::observation::{Evidence, Method};
use crate::output::JoinedBy;
use crate::table::{Keyed, Place};
use crate::tcp::TcpState;
use crate::tombstone::Tombstone;
use crate::views::{Line, View, Views};
use crate::wheel::Wheel;

pub(super) fn state(config: Config, payload: &[u8]) -> Result<Connections, CheckpointError> {
    let mut from = Reader::new(payload);
    let cluster = from.plain_text()?;
    if cluster != &*config.cluster {
        return Err(CheckpointError::Cluster {
            expected: config.cluster.to_string(),
            found: cluster.to_owned(),
        });
    }
    let mut all = Connections::new(config);
    let has_position = from.byte()? != 0;
    let position = Position {
        head: from.long()?,
        frame: from.long()?,
    };
    all.position = has_position.then_some(position);
    all.now = from.long()?;
    all.wheel = Wheel::new(from.number()?);
    all.ordinal = from.long()?;
    for _ in 0..from.long()? {
        let tick = from.number()?;
        let (one, join) = connection(&mut from)?;
        open(&mut all, one, tick, join, &from)?;
    }
    for _ in 0..from.long()? {
        let one = tombstone(&mut from)?;
        all.tombstones.push(one);
    }
    from.end()?;
    Ok(all)
}

/// Puts a connection where it was.
fn open(
    all: &mut Connections,
    one: Connection,
    tick: u32,
    join: Option<bool>,
    from: &Reader<'_>,
) -> Read<()> {
    let network = one.key.network.clone();
    let tuples = [one.tuple(false), one.tuple(true)];
    let slot = all.pool.insert(one);
    for (tuple, by_service) in tuples.into_iter().zip([false, true]) {
        let Some(tuple) = tuple else { continue };
        let hash = all.table.hash(&network, &tuple);
        if all
            .table
            .find(hash, (&network, &tuple), |slot| all.pool.get(slot))
            .is_some()
        {
            return from.malformed("two connections have one key");
        }
        let place = Place::new(slot, by_service);
        all.table.insert(hash, place, |slot| all.pool.get(slot));
    }
    all.wheel.insert(slot, tick);
    if let Some(client_high) = join {
        all.joins.insert(slot, client_high, &mut all.pool);
    }
    Ok(())
}

fn bits<const N: usize>(from: &mut Reader<'_>) -> Read<[bool; N]> {
    let all = from.long()?;
    if all >> N != 0 {
        return from.malformed("there are more flags than are known");
    }
    Ok(std::array::from_fn(|bit| all >> bit & 1 != 0))
}

fn key(from: &mut Reader<'_>) -> Read<Key> {
    let network = from.text()?;
    let proto = from.byte()?;
    let (low, high) = (socket(from)?, socket(from)?);
    if low > high {
        return from.malformed("the ends of a key are not in order");
    }
    Ok(Key {
        network,
        tuple: Tuple { low, high, proto },
    })
}

fn socket(from: &mut Reader<'_>) -> Read<Socket> {
    Ok(Socket {
        addr: from.array()?,
        port: from.number()?,
    })
}

fn evidence(from: &mut Reader<'_>) -> Read<Evidence> {
    Ok(match from.byte()? {
        0 => Evidence::FirstSeen,
        1 => Evidence::Port,
        2 => Evidence::Listener,
        3 => Evidence::Service,
        4 => Evidence::Syn,
        5 => Evidence::Conntrack,
        _ => return from.malformed("there is no such evidence"),
    })
}

fn tcp_state(from: &mut Reader<'_>) -> Read<Option<TcpState>> {
    let number = from.byte()?;
    let state = TcpState::of_number(number);
    if state.is_none() && number != 0 {
        return from.malformed("there is no such state of TCP");
    }
    Ok(state)
}

fn cover(from: &mut Reader<'_>) -> Read<Cover> {
    let mut cover = Cover::default();
    for _ in 0..from.number::<u8>()? {
        let (start, length) = (from.long()?, from.long()?);
        let Some(end) = start.checked_add(length) else {
            return from.malformed("an interval does not end");
        };
        cover.add(start, end);
    }
    Ok(cover)
}

/// A connection, and its place in the index of joins.
fn connection(from: &mut Reader<'_>) -> Read<(Connection, Option<bool>)> {
    let [
        client_high,
        fresh,
        sampled,
        midstream,
        clock_off,
        complete,
        low,
        high,
        has_rare,
        joins,
        join_high,
    ] = bits(from)?;
    let one = Connection {
        key: key(from)?,
        ordinal: from.long()?,
        origin: from.long()?,
        start: from.long()?,
        end: from.long()?,
        totals: from.per_end()?,
        reported: from.per_end()?,
        cover: cover(from)?,
        who: PerEnd {
            low: from.identity()?,
            high: from.identity()?,
        },
        created: from.number()?,
        last_seen: from.number()?,
        last_output: from.number()?,
        ended: from.number()?,
        seq: from.number()?,
        sampled_packets: from.number()?,
        flags: PerEnd {
            low: from.byte()?,
            high: from.byte()?,
        },
        tcp_state: tcp_state(from)?,
        evidence: evidence(from)?,
        views: views(from)?,
        rare: has_rare.then(|| rare(from)).transpose()?,
        client_high,
        fresh,
        sampled,
        midstream,
        clock_off,
        complete,
        owned: PerEnd { low, high },
        join_client_high: None,
    };
    Ok((one, joins.then_some(join_high)))
}

fn views(from: &mut Reader<'_>) -> Read<Views> {
    let mut all = Views::default();
    let count: u8 = from.number()?;
    for _ in 0..count {
        all.views.push(View {
            node: from.text()?,
            end: from.long()?,
            reported: from.per_end()?,
        });
    }
    for _ in 0..from.number::<u8>()? {
        let line = line(from)?;
        if line.view >= count {
            return from.malformed("a line is of no view");
        }
        if all.add_line(line).is_err() {
            return from.malformed("there are more lines than are kept");
        }
    }
    Ok(all)
}

fn line(from: &mut Reader<'_>) -> Read<Line> {
    let view = from.byte()?;
    let [sender_high, primary] = bits(from)?;
    let Some(merit) = NonZeroU8::new(from.byte()?) else {
        return from.malformed("a line is worth nothing");
    };
    Ok(Line {
        domain: from.number()?,
        start_ms: from.signed()?,
        end_ms: from.signed()?,
        counts: from.counts()?,
        view,
        sender_high,
        primary,
        merit,
    })
}

fn rare(from: &mut Reader<'_>) -> Read<Box<Rare>> {
    let resets = from.number()?;
    let mut all = Vec::new();
    for _ in 0..from.long()? {
        all.push(tracked(from)?);
    }
    let service = match from.byte()? {
        0 => None,
        _ => Some(service(from)?),
    };
    Ok(Box::new(Rare {
        tracked: all,
        resets,
        service,
    }))
}

fn tracked(from: &mut Reader<'_>) -> Read<Tracked> {
    Ok(Tracked {
        node: from.text()?,
        method: match from.byte()? {
            0 => Method::Conntrack,
            1 => Method::Ipfix,
            2 => Method::NetFlow,
            3 => Method::SFlow,
            _ => return from.malformed("there is no such method"),
        },
        domain: from.number()?,
        id: from.number()?,
        start: from.long()?,
        polled: from.long()?,
        last: from.per_end()?,
    })
}

fn biflow(from: &mut Reader<'_>) -> Read<Biflow<Counts>> {
    Ok(Biflow {
        forward: from.counts()?,
        reverse: from.counts()?,
    })
}

fn service(from: &mut Reader<'_>) -> Read<Service> {
    Ok(Service {
        server: socket(from)?,
        who: from.identity()?,
        totals: biflow(from)?,
        reported: biflow(from)?,
        joined_by: match from.byte()? {
            0 => JoinedBy::Conntrack,
            _ => JoinedBy::Service,
        },
    })
}

fn tombstone(from: &mut Reader<'_>) -> Read<Tombstone> {
    let [client_high, sampled, midstream, clock_off, ended, has_rare] = bits(from)?;
    Ok(Tombstone {
        key: key(from)?,
        ordinal: from.long()?,
        origin: from.long()?,
        start: from.long()?,
        end: from.long()?,
        settled_end: from.long()?,
        totals: from.per_end()?,
        who: PerEnd {
            low: from.identity()?,
            high: from.identity()?,
        },
        until: from.number()?,
        seq: from.number()?,
        sampled_packets: from.number()?,
        tcp_state: tcp_state(from)?,
        evidence: evidence(from)?,
        rare: has_rare.then(|| rare(from)).transpose()?,
        client_high,
        sampled,
        midstream,
        clock_off,
        ended,
    })
}
