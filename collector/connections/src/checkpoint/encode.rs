//! The state into bytes, field by field. `decode` reads the same in the same order.

use std::io::{self, Write};

use super::write::Writer;
use crate::connection::{Connection, Rare, Service};
use crate::connections::Connections;
use crate::conntrack::Tracked;
use crate::key::{Key, Socket};
use crate::output::JoinedBy;
use crate::tombstone::Tombstone;
use crate::views::Views;

pub(super) fn state<W: Write>(all: &Connections, out: &mut Writer<'_, W>) -> io::Result<()> {
    out.plain_text(&all.config.cluster);
    out.byte(u8::from(all.position.is_some()));
    let position = all.position.unwrap_or_default();
    out.number(position.head);
    out.number(position.frame);
    out.number(all.now);
    out.number(all.wheel.now());
    out.number(all.ordinal);
    out.number(all.pool.len() as u64);
    for (slot, tick) in all.wheel.iter() {
        if let Some(open) = all.pool.get(slot) {
            out.number(tick);
            connection(open, out);
            out.settle()?;
        }
    }
    out.number(all.tombstones.len() as u64);
    for remembered in all.tombstones.iter() {
        tombstone(remembered, out);
        out.settle()?;
    }
    Ok(())
}

/// So many bits, the first the lowest.
fn bits<const N: usize>(bits: [bool; N]) -> u64 {
    bits.into_iter()
        .rev()
        .fold(0, |all, bit| all << 1 | u64::from(bit))
}

fn key<W: Write>(key: &Key, out: &mut Writer<'_, W>) {
    out.text(&key.network);
    out.byte(key.tuple.proto);
    socket(key.tuple.low, out);
    socket(key.tuple.high, out);
}

fn socket<W: Write>(socket: Socket, out: &mut Writer<'_, W>) {
    out.bytes(&socket.addr);
    out.number(socket.port);
}

fn connection<W: Write>(one: &Connection, out: &mut Writer<'_, W>) {
    out.number(bits([
        one.client_high,
        one.fresh,
        one.sampled,
        one.midstream,
        one.clock_off,
        one.complete,
        one.owned.low,
        one.owned.high,
        one.rare.is_some(),
        one.join_client_high.is_some(),
        one.join_client_high == Some(true),
    ]));
    key(&one.key, out);
    for number in [one.ordinal, one.origin, one.start, one.end] {
        out.number(number);
    }
    out.per_end(one.totals);
    out.per_end(one.reported);
    out.number(one.cover.iter().count() as u64);
    for (start, end) in one.cover.iter() {
        out.number(start);
        out.number(end - start);
    }
    out.identity(one.who.low.as_ref());
    out.identity(one.who.high.as_ref());
    for tick in [one.created, one.last_seen, one.last_output, one.ended] {
        out.number(tick);
    }
    out.number(one.seq);
    out.number(one.sampled_packets);
    out.bytes(&[one.flags.low, one.flags.high]);
    out.byte(one.tcp_state.map_or(0, |state| state.number()));
    out.byte(one.evidence as u8);
    views(&one.views, out);
    if let Some(parts) = &one.rare {
        rare(parts, out);
    }
}

fn views<W: Write>(all: &Views, out: &mut Writer<'_, W>) {
    out.number(all.views.len() as u64);
    for view in all.views.iter() {
        out.text(&view.node);
        out.number(view.end);
        out.per_end(view.reported);
    }
    out.number(all.lines.len() as u64);
    for line in all.lines.iter() {
        out.byte(line.view);
        out.number(bits([line.sender_high, line.primary]));
        out.byte(line.merit.get());
        out.number(line.domain);
        out.signed(line.start_ms);
        out.signed(line.end_ms);
        out.counts(line.counts);
    }
}

fn rare<W: Write>(parts: &Rare, out: &mut Writer<'_, W>) {
    out.number(parts.resets);
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
}

fn tombstone<W: Write>(one: &Tombstone, out: &mut Writer<'_, W>) {
    out.number(bits([
        one.client_high,
        one.sampled,
        one.midstream,
        one.clock_off,
        one.ended,
        one.rare.is_some(),
    ]));
    key(&one.key, out);
    for number in [one.ordinal, one.origin, one.start, one.end, one.settled_end] {
        out.number(number);
    }
    out.per_end(one.totals);
    out.identity(one.who.low.as_ref());
    out.identity(one.who.high.as_ref());
    out.number(one.until);
    out.number(one.seq);
    out.number(one.sampled_packets);
    out.byte(one.tcp_state.map_or(0, |state| state.number()));
    out.byte(one.evidence as u8);
    if let Some(parts) = &one.rare {
        rare(parts, out);
    }
}
