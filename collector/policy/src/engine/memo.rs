//! The last answers, for batches in which connections come again: first the one before,
//! then a table with one place for each hash.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::evaluate::Connection;
use super::snapshot::{Endpoint, EndpointKind, Snapshot};
use crate::verdict::Verdict;

/// Places of the table; a power of two.
const PLACES: usize = 1 << 16;

/// Everything that a verdict depends on: not who the ends are, but of which class, and
/// how they stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    client: (EndpointKind, u32, bool),
    server: (EndpointKind, u32, bool),
    same_pod: bool,
    same_node: bool,
    through_service: bool,
    protocol: u8,
    port: u16,
}

impl Key {
    fn of(connection: &Connection<'_>) -> Key {
        let (client, server) = (&connection.client, &connection.server);
        let part = |end: &Endpoint| (end.kind, end.class, end.reaches_own_pods);
        Key {
            client: part(client),
            server: part(server),
            same_pod: client.pod == server.pod,
            same_node: client.node == server.node,
            through_service: connection.through_service,
            protocol: connection.protocol,
            port: connection.port,
        }
    }
}

/// Evaluates with a memory of its own: one for each thread.
#[derive(Debug)]
pub struct Memo {
    snapshot: Arc<Snapshot>,
    hasher: FixedState,
    last: Option<(Key, Verdict)>,
    table: Vec<Option<(Key, Verdict)>>,
}

impl Memo {
    /// An empty memory in front of a snapshot.
    pub fn new(snapshot: Arc<Snapshot>) -> Memo {
        Memo { snapshot, hasher: FixedState::default(), last: None, table: vec![None; PLACES] }
    }

    /// Goes on with a newer snapshot; what is remembered of another generation is forgotten.
    pub fn follow(&mut self, snapshot: Arc<Snapshot>) {
        if !Arc::ptr_eq(&self.snapshot, &snapshot) {
            self.snapshot = snapshot;
            self.last = None;
            self.table.fill(None);
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
        if let Some((last, verdict)) = self.last
            && last == key
        {
            return verdict;
        }
        let place = self.hasher.hash_one(key) as usize % PLACES;
        let verdict = match self.table[place] {
            Some((known, verdict)) if known == key => verdict,
            _ => self.snapshot.evaluate(connection),
        };
        self.table[place] = Some((key, verdict));
        self.last = Some((key, verdict));
        verdict
    }
}
