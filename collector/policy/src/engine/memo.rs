//! The last answers, for batches in which connections come again: first the one before,
//! then a table with one place for each hash.

use std::sync::Arc;

use super::evaluate::Connection;
use super::snapshot::{Endpoint, Snapshot};
use crate::verdict::{PackedSide, Side, Verdict};

/// Places of the table, unless told otherwise.
const PLACES: usize = 1 << 16;

/// Everything that a verdict depends on, packed: not who the ends are, but of which class,
/// and how they stand to each other. Never zero, which is the key of an empty place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Key {
    classes: u64,
    rest: u64,
}

impl Key {
    fn of(connection: &Connection<'_>) -> Key {
        let (client, server) = (&connection.client, &connection.server);
        let end = |end: &Endpoint| (end.kind as u64) << 1 | u64::from(end.reaches_own_pods);
        let flags = [
            client.pod == server.pod,
            client.node == server.node,
            connection.through_service,
            true,
        ];
        let flags = flags.iter().fold(0, |bits, flag| bits << 1 | u64::from(*flag));
        let service = u64::from(connection.protocol) << 16 | u64::from(connection.port);
        Key {
            classes: u64::from(client.class) << 32 | u64::from(server.class),
            rest: service << 12 | end(client) << 8 | end(server) << 4 | flags,
        }
    }

    /// Of so many places, a power of two and more than one.
    fn place(&self, places: usize) -> usize {
        let mixed = (self.classes ^ self.rest.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (u64::BITS - places.trailing_zeros())) as usize
    }
}

/// An empty place, or what is remembered.
type Entry = (Key, [PackedSide; 2]);

/// Evaluates with a memory of its own: one for each thread.
#[derive(Debug)]
pub struct Memo {
    snapshot: Arc<Snapshot>,
    last: Entry,
    table: Vec<Entry>,
}

impl Memo {
    /// An empty memory in front of a snapshot.
    pub fn new(snapshot: Arc<Snapshot>) -> Memo {
        Memo::with_places(snapshot, PLACES)
    }

    /// The same with so many places, or the next power of two; 32 bytes each.
    pub fn with_places(snapshot: Arc<Snapshot>, places: usize) -> Memo {
        let empty = Entry::default();
        Memo {
            snapshot,
            last: empty,
            table: vec![empty; places.max(2).next_power_of_two()],
        }
    }

    /// Goes on with a newer snapshot; what is remembered of the old one is forgotten.
    pub fn follow(&mut self, snapshot: Arc<Snapshot>) {
        if !Arc::ptr_eq(&self.snapshot, &snapshot) {
            self.snapshot = snapshot;
            self.last = Entry::default();
            self.table.fill(self.last);
        }
    }

    /// The snapshot in use.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// As [`Snapshot::evaluate`]. What rests on DNS or is of another epoch is not remembered.
    pub fn evaluate(&mut self, connection: &Connection<'_>) -> Verdict {
        let epoch = self.snapshot.epoch();
        let is_plain = connection.domains.is_none()
            && connection.primary_network
            && connection.client.epoch == epoch
            && connection.server.epoch == epoch;
        if !is_plain {
            return self.snapshot.evaluate(connection);
        }
        let key = Key::of(connection);
        if self.last.0 != key {
            let places = self.table.len();
            let place = &mut self.table[key.place(places)];
            if place.0 != key {
                let verdict = self.snapshot.evaluate(connection);
                *place = (key, [verdict.egress.packed(), verdict.ingress.packed()]);
            }
            self.last = *place;
        }
        let [egress, ingress] = self.last.1.map(Side::unpacked);
        Verdict::of(egress, ingress)
    }
}
