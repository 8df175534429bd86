//! Bytes into the state, field by field, as `encode` wrote them.

use std::num::NonZeroU8;

use super::CheckpointError;
use super::read::{Read, Reader};
use crate::config::Config;
use crate::connection::{Connection, Ending, Rare, Service};
use crate::connections::{Connections, Position};
use crate::conntrack::{MOST_TRACKED, Tracked};
use crate::counts::{Biflow, Counts, PerEnd};
use crate::cover::Cover;
use crate::key::{Socket, Tuple};
use crate::lines::{Line, LinePlace};
use crate::observation::{Evidence, Method};
use crate::output::JoinedBy;
use crate::table::{Keyed, Place};
use crate::tcp::TcpState;
use crate::views::{MOST_VIEWS, View, Views};
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
        log: from.long()?,
        head: from.long()?,
        frame: from.long()?,
    };
    all.position = has_position.then_some(position);
    all.now = from.long()?;
    all.wheel = Wheel::new(from.number()?);
    all.ordinal = from.number()?;
    all.forgotten.start = from.long()?;
    all.forgotten.polled = from.long()?;
    for _ in 0..from.long()? {
        let tick = from.number()?;
        let crowded = from.byte()? != 0;
        let (one, join) = connection(&mut from)?;
        let slot = open(&mut all, one, tick, join, &from)?;
        if crowded {
            all.joins.set_crowded(slot, &all.pool);
        }
    }
    for _ in 0..from.long()? {
        let (one, _) = connection(&mut from)?;
        all.heap += one.heap();
        let slot = all.pool.insert(one);
        all.remembered.push(slot, &all.pool);
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
) -> Read<u32> {
    let network = one.network.clone();
    let tuples = [one.tuple(false), one.tuple(true)];
    all.heap += one.heap();
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
        all.joins.put(slot, client_high, &mut all.pool);
    }
    Ok(slot)
}

fn bits<const N: usize>(from: &mut Reader<'_>) -> Read<[bool; N]> {
    let all = from.long()?;
    if all >> N != 0 {
        return from.malformed("there are more flags than are known");
    }
    Ok(std::array::from_fn(|bit| all >> bit & 1 != 0))
}

fn tuple(from: &mut Reader<'_>) -> Read<Tuple> {
    let proto = from.byte()?;
    let (low, high) = (socket(from)?, socket(from)?);
    if low > high {
        return from.malformed("the ends of a key are not in order");
    }
    Ok(Tuple { low, high, proto })
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

fn ending(from: &mut Reader<'_>) -> Read<Ending> {
    Ok(match from.byte()? {
        0 => Ending::Unknown,
        1 => Ending::Evicted,
        2 => Ending::Seen,
        _ => return from.malformed("no connection ends so"),
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
        midstream,
        clock_off,
        complete,
        low,
        high,
        has_rare,
        joins,
        join_high,
        waits_for_part,
    ] = bits(from)?;
    let one = Connection {
        ending: ending(from)?,
        network: from.text()?,
        tuple: tuple(from)?,
        ordinal: from.number()?,
        origin: from.long()?,
        start: from.long()?,
        end: from.long()?,
        reported: from.per_end()?,
        cover: cover(from)?,
        who: PerEnd {
            low: from.identity()?,
            high: from.identity()?,
        },
        since: from.number()?,
        last_seen: from.number()?,
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
        midstream,
        clock_off,
        complete,
        owned: PerEnd { low, high },
        join_client_high: None,
        waits_for_part,
    };
    Ok((one, joins.then_some(join_high)))
}

fn views(from: &mut Reader<'_>) -> Read<Views> {
    let mut all = Views::default();
    let count: usize = from.number()?;
    if count > MOST_VIEWS {
        return from.malformed("there are more nodes than are kept");
    }
    for _ in 0..count {
        all.push_view(View {
            node: from.text()?,
            reported: from.per_end()?,
        });
    }
    for _ in 0..from.number::<u8>()? {
        let line = line(from, count)?;
        if all.add_line(line).is_err() {
            return from.malformed("there are more lines than are kept");
        }
    }
    Ok(all)
}

fn line(from: &mut Reader<'_>, views: usize) -> Read<Line> {
    let view: u8 = from.number()?;
    if usize::from(view) >= views {
        return from.malformed("a line is of no view");
    }
    let [sender_high, primary] = bits(from)?;
    let Some(merit) = NonZeroU8::new(from.byte()?) else {
        return from.malformed("a line is worth nothing");
    };
    Ok(Line {
        flags: from.byte()?,
        domain: from.number()?,
        start_ms: from.signed()?,
        end_ms: from.signed()?,
        counts: from.counts()?,
        place: LinePlace::new(view, sender_high, primary),
        merit,
    })
}

fn rare(from: &mut Reader<'_>) -> Read<Box<Rare>> {
    let resets = from.number()?;
    let beyond = from.per_end()?;
    let count: usize = from.number()?;
    if count > MOST_TRACKED {
        return from.malformed("there are totals of more sources than are kept");
    }
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(tracked(from)?);
    }
    let service = match from.byte()? {
        0 => None,
        _ => Some(service(from)?),
    };
    Ok(Box::new(Rare {
        tracked: all,
        resets,
        beyond,
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
        zone: from.number()?,
        ended: from.byte()? != 0,
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
        bound: from.byte()? != 0,
        endpoint_end: from.long()?,
    })
}
