//! The state into bytes, field by field. `decode` reads the same in the same order.

use std::io::{self, Write};

use super::write::Writer;
use crate::connection::{Connection, Rare, Service};
use crate::connections::Connections;
use crate::conntrack::Tracked;
use crate::key::{Socket, Tuple};
use crate::output::JoinedBy;
use crate::views::Views;

pub(super) fn state<W: Write>(all: &Connections, out: &mut Writer<'_, W>) -> io::Result<()> {
    out.plain_text(&all.config.cluster);
    out.byte(u8::from(all.position.is_some()));
    let position = all.position.unwrap_or_default();
    for number in [position.log, position.head, position.frame, all.now] {
        out.number(number);
    }
    out.number(all.wheel.now());
    out.number(all.ordinal);
    out.number(all.forgotten.start);
    out.number(all.forgotten.polled);
    out.number(all.len() as u64);
    for (slot, tick) in all.wheel.iter() {
        if let Some(open) = all.pool.get(slot) {
            out.number(tick);
            out.byte(u8::from(all.joins.is_crowded(slot, &all.pool)));
            connection(open, out);
            out.settle()?;
        }
    }
    out.number(all.remembered.len() as u64);
    for slot in all.remembered.iter() {
        if let Some(remembered) = all.pool.get(slot) {
            connection(remembered, out);
            out.settle()?;
        }
    }
    Ok(())
}

/// So many bits, the first the lowest.
fn bits<const N: usize>(bits: [bool; N]) -> u64 {
    bits.into_iter()
        .rev()
        .fold(0, |all, bit| all << 1 | u64::from(bit))
}

fn tuple<W: Write>(tuple: &Tuple, out: &mut Writer<'_, W>) {
    out.byte(tuple.proto);
    socket(tuple.low, out);
    socket(tuple.high, out);
}

fn socket<W: Write>(socket: Socket, out: &mut Writer<'_, W>) {
    out.bytes(&socket.addr);
    out.number(socket.port);
}

fn connection<W: Write>(one: &Connection, out: &mut Writer<'_, W>) {
    out.number(bits([
        one.client_high,
        one.fresh,
        one.midstream,
        one.clock_off,
        one.complete,
        one.owned.low,
        one.owned.high,
        one.rare.is_some(),
        one.join_client_high.is_some(),
        one.join_client_high == Some(true),
        one.waits_for_part,
    ]));
    out.byte(one.ending as u8);
    out.text(&one.network);
    tuple(&one.tuple, out);
    out.number(one.ordinal);
    for number in [one.origin, one.start, one.end] {
        out.number(number);
    }
    out.per_end(one.reported);
    out.number(one.cover.iter().count() as u64);
    for (start, end) in one.cover.iter() {
        out.number(start);
        out.number(end - start);
    }
    out.identity(one.who.low.as_ref());
    out.identity(one.who.high.as_ref());
    for number in [one.since, one.last_seen, one.seq, one.sampled_packets] {
        out.number(number);
    }
    out.bytes(&[one.flags.low, one.flags.high]);
    out.byte(one.tcp_state.map_or(0, |state| state.number()));
    out.byte(one.evidence as u8);
    views(&one.views, out);
    if let Some(parts) = &one.rare {
        rare(parts, out);
    }
}

fn views<W: Write>(all: &Views, out: &mut Writer<'_, W>) {
    out.number(all.views().count() as u64);
    for view in all.views() {
        out.text(&view.node);
        out.per_end(view.reported);
    }
    out.number(all.lines().count() as u64);
    for line in all.lines() {
        out.number(line.place.view() as u64);
        out.number(bits([line.place.sender_high(), line.place.primary()]));
        out.bytes(&[line.merit.get(), line.flags]);
        out.number(line.domain);
        out.signed(line.start_ms);
        out.signed(line.end_ms);
        out.counts(line.counts);
    }
}

fn rare<W: Write>(parts: &Rare, out: &mut Writer<'_, W>) {
    out.number(parts.resets);
    out.per_end(parts.beyond);
    out.number(parts.tracked.len() as u64);
    for one in &parts.tracked {
        tracked(one, out);
    }
    out.byte(u8::from(parts.service.is_some()));
    if let Some(one) = &parts.service {
        service(one, out);
    }
}

fn tracked<W: Write>(one: &Tracked, out: &mut Writer<'_, W>) {
    out.text(&one.node);
    out.byte(one.method as u8);
    out.number(one.domain);
    out.number(one.zone);
    out.byte(u8::from(one.ended));
    out.number(one.id);
    out.number(one.start);
    out.number(one.polled);
    out.per_end(one.last);
}

fn service<W: Write>(one: &Service, out: &mut Writer<'_, W>) {
    socket(one.server, out);
    out.identity(one.who.as_ref());
    for counts in [one.totals, one.reported] {
        out.counts(counts.forward);
        out.counts(counts.reverse);
    }
    out.byte(match one.joined_by {
        JoinedBy::Conntrack => 0,
        JoinedBy::Service => 1,
    });
    out.byte(u8::from(one.bound));
    out.number(one.endpoint_end);
}
