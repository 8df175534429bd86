//! Rows as one thread takes them in, before they are a batch: nobody who takes in others
//! is waited for. Only whom nobody has named yet is asked for under the store's lock, and
//! a batch put there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_flow::{FlowRecord, Identity};

use crate::rows::Rows;
use crate::state::Shared;

/// Rows of a batch at most.
const BATCH: usize = 8_192;

/// Places for identities that are known by where they lie in memory. Whoever names flows
/// hands out the same few thousand again and again.
const REFS: usize = 1 << 16;

/// The rows that one thread gathers.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    rows: Rows,
    named: BatchIdentities,
    /// Memory for the ids of records' sides.
    sides: Vec<(u32, u32)>,
    /// When the first of the rows came.
    since: Option<Instant>,
}

impl Gathering {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Takes in records. Those that fill a batch are handed on.
    pub fn append(&mut self, records: &[FlowRecord], shared: &Shared) {
        let mut rest = records;
        while !rest.is_empty() {
            let room = BATCH - self.rows.len();
            let (some, after) = rest.split_at(room.min(rest.len()));
            rest = after;
            let named = &mut self.named;
            let mut id = |identity: &Arc<Identity>| named.id(identity, |new| shared.lock().ids.find(new));
            let side = |record: &FlowRecord| {
                let src = id(record.src.identity.shared());
                (src, id(record.dst.identity.shared()))
            };
            self.sides.clear();
            self.sides.extend(some.iter().map(side));
            self.rows.extend(some, &self.sides);
            if self.rows.len() >= BATCH {
                self.hand_on(shared);
            }
        }
        if self.rows.len() > 0 && self.since.is_none() {
            self.since = Some(Instant::now());
        }
    }

    /// Makes a batch of the rows: from now on they can be seen, and wait for the log.
    pub fn hand_on(&mut self, shared: &Shared) {
        self.since = None;
        if let Some((batch, time)) = self.rows.take() {
            let mut state = shared.lock();
            self.named
                .next_batch(|named| state.push(batch, time, named, &shared.settings));
            let seals = !state.full.is_empty();
            drop(state);
            shared.log.notify_one();
            if seals {
                shared.seal.notify_one();
            }
        }
    }

    /// The first of the rows came so long ago.
    pub fn is_older_than(&self, age: Duration) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= age)
    }
}

/// Whom the rows of a batch name.
pub(crate) struct Named<'a> {
    /// Their ids, each once, and who they are.
    pub all: &'a mut dyn Iterator<Item = (u32, Arc<Identity>)>,
    /// Those that no batch of this memtable named before, as far as who gathers knows,
    /// come first: so many.
    pub new: usize,
    /// Which memtable that is.
    pub memtable: u64,
}

/// Ids of the identities that one thread has to do with, and whom its batch names.
#[derive(Debug)]
struct BatchIdentities {
    known: Box<[Option<KnownIdentity>]>,
    /// Of the batch; others had other numbers.
    batch: u32,
    /// That took the last batch.
    memtable: u64,
    /// Whom the batch names and none before it named in that memtable.
    new: Vec<(u32, Arc<Identity>)>,
    /// Whom it names, and others did before.
    again: Vec<(u32, Arc<Identity>)>,
}

#[derive(Debug)]
struct KnownIdentity {
    identity: Arc<Identity>,
    id: u32,
    /// The last batch that named it by this reference.
    batch: u32,
    /// The memtable that this batch was for.
    memtable: u64,
}

impl Default for BatchIdentities {
    fn default() -> Self {
        Self {
            known: std::iter::repeat_with(|| None).take(REFS).collect(),
            batch: 1,
            memtable: 0,
            new: Vec::new(),
            again: Vec::new(),
        }
    }
}

impl BatchIdentities {
    /// The id of an identity that the batch names; `find` asks for that of one that was
    /// not met lately.
    #[inline]
    fn id(&mut self, identity: &Arc<Identity>, find: impl FnOnce(&Arc<Identity>) -> u32) -> u32 {
        let first = place(identity);
        for place in [first, first ^ 1] {
            match &self.known[place] {
                Some(known) if Arc::ptr_eq(&known.identity, identity) => {
                    let (id, is_named) = (known.id, known.batch == self.batch);
                    if !is_named {
                        self.name(place);
                    }
                    return id;
                }
                _ => {}
            }
        }
        let id = find(identity);
        // The one that was found longer ago makes room.
        self.known.swap(first, first ^ 1);
        self.known[first] = Some(KnownIdentity {
            identity: Arc::clone(identity),
            id,
            batch: 0,
            memtable: 0,
        });
        self.name(first);
        id
    }

    /// The batch names who stands at a place.
    fn name(&mut self, place: usize) {
        let Some(known) = &mut self.known[place] else {
            return;
        };
        let list = if known.memtable == self.memtable && known.memtable != 0 {
            &mut self.again
        } else {
            &mut self.new
        };
        list.push((known.id, Arc::clone(&known.identity)));
        (known.batch, known.memtable) = (self.batch, self.memtable);
    }

    /// Hands on whom the batch names, and learns which memtable has it now.
    fn next_batch(&mut self, push: impl FnOnce(Named<'_>) -> u64) {
        let new = self.new.len();
        let mut all = self.new.drain(..).chain(self.again.drain(..));
        let memtable = self.memtable;
        self.memtable = push(Named {
            all: &mut all,
            new,
            memtable,
        });
        drop(all);
        self.batch = self.batch.wrapping_add(1).max(1);
    }
}

/// Where a reference is looked for. Arcs are 16 bytes apart at least.
fn place(identity: &Arc<Identity>) -> usize {
    let address = Arc::as_ptr(identity).addr() as u64 >> 4;
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % REFS
}

#[cfg(test)]
mod tests;
