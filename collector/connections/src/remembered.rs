//! Connections that are over and are remembered for what comes late. They stay where they
//! were; here is in which order they are forgotten, and where their keys are.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::connection::Connection;
use crate::key::{Key, Tuple};
use crate::pool::Pool;
use crate::table::{Keyed, Place, Table};

/// Those that are remembered, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    table: Table,
    order: VecDeque<u32>,
}

impl Remembered {
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Their slots, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.order.iter().copied()
    }

    pub fn oldest(&self) -> Option<u32> {
        self.order.front().copied()
    }

    pub fn find(&self, network: &Arc<str>, tuple: &Tuple, pool: &Pool<Connection>) -> Option<Place> {
        let hash = self.table.hash(network, tuple);
        self.table.find(hash, (network, tuple), |slot| pool.get(slot))
    }

    /// Remembers one, instead of an earlier one of the same key.
    pub fn push(&mut self, slot: u32, pool: &Pool<Connection>) {
        self.order.push_back(slot);
        let Some(connection) = pool.get(slot) else { return };
        for by_service in [false, true] {
            let Some(key) = connection.key(by_service) else {
                continue;
            };
            if let Some(earlier) = self.find(&key.network, &key.tuple, pool) {
                self.table.remove(&key, earlier);
            }
            let hash = self.table.hash(&key.network, &key.tuple);
            self.table
                .insert(hash, Place::new(slot, by_service), |slot| pool.get(slot));
        }
    }

    /// Forgets the oldest.
    pub fn pop(&mut self, pool: &mut Pool<Connection>) -> Option<Connection> {
        let slot = self.order.pop_front()?;
        for by_service in [false, true] {
            if let Some(key) = pool.get(slot).and_then(|one| one.key(by_service)) {
                self.table.remove(&key, Place::new(slot, by_service));
            }
        }
        pool.remove(slot)
    }
}

impl Connection {
    /// Its key; of the address before translation `None` where it has none.
    pub fn key(&self, by_service: bool) -> Option<Key> {
        let network = Arc::clone(&self.network);
        let tuple = self.tuple(by_service)?;
        Some(Key { network, tuple })
    }
}
