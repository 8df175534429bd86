//! Rows as one thread takes them in, before they are a batch: nobody who takes in others
//! is waited for. Only whom nobody has named yet is asked for under the store's lock, and
//! a batch put there.

use std::sync::Arc;
use std::time::Instant;

use weir_flow::{FlowRecord, Identity};

use crate::identities::Content;
use crate::rows::Rows;
use crate::state::Shared;

/// Rows of a batch at most.
const BATCH: usize = 8_192;
/// Bytes of texts and the like that records keep elsewhere, at which a batch is handed on.
const TEXTS: usize = 1 << 20;

/// Places for identities that are known by where they lie in memory. Whoever names flows
/// hands out the same few thousand again and again.
const REFS: usize = 1 << 16;

/// Rows that one thread at a time adds to.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    rows: Rows,
    named: BatchIdentities,
    /// Memory for the ids of records' sides.
    sides: Vec<(u32, u32)>,
    /// Bytes that the records kept elsewhere.
    texts: usize,
    /// When the first of the rows came.
    since: Option<Instant>,
}

impl Gathering {
    /// Takes in records. Those that fill a batch are handed on.
    pub fn append(&mut self, records: &[FlowRecord], shared: &Shared) {
        let mut rest = records;
        while !rest.is_empty() {
            let room = BATCH - self.rows.len();
            let (some, after) = rest.split_at(room.min(rest.len()));
            rest = after;
            let named = &mut self.named;
            let find = |new: &Arc<Identity>| {
                let content = Content::of(new);
                shared.lock().ids.find(&content)
            };
            let mut id = |identity: &Arc<Identity>| named.id(identity, find);
            let side = |record: &FlowRecord| {
                let src = id(record.src.identity.shared());
                (src, id(record.dst.identity.shared()))
            };
            self.sides.clear();
            self.sides.extend(some.iter().map(side));
            self.rows.extend(some, &self.sides);
            self.texts += some.iter().map(FlowRecord::heap_bytes).sum::<usize>();
            if self.rows.len() >= BATCH || self.texts >= TEXTS {
                self.hand_on(shared);
            }
        }
        if self.rows.len() > 0 && self.since.is_none() {
            self.since = Some(Instant::now());
        }
        self.hand_on_aged(shared);
    }

    /// Makes a batch of the rows: from now on they can be seen, and wait for the log.
    pub fn hand_on(&mut self, shared: &Shared) {
        (self.since, self.texts) = (None, 0);
        if let Some((batch, time)) = self.rows.take() {
            let mut state = shared.lock();
            let memtable = state.push(batch, time, &self.named.named(), &shared.settings);
            let seals = !state.full.is_empty();
            drop(state);
            self.named.next_batch(memtable);
            shared.log.notify_one();
            if seals {
                shared.seal.notify_one();
            }
        }
    }

    /// The same if the first of the rows came long enough ago.
    pub fn hand_on_aged(&mut self, shared: &Shared) {
        let age = shared.settings.write_age;
        if self.since.is_some_and(|since| since.elapsed() >= age) {
            self.hand_on(shared);
        }
    }

    /// Lets go of those whom no batch named lately; `memtable` is the open one.
    pub fn forget(&mut self, memtable: u64) {
        if self.rows.len() == 0 {
            self.named.forget(memtable);
        }
    }
}

/// Whom the rows of a batch name: ids, and who they are.
pub(crate) struct Named<'a> {
    /// Those that no batch of this memtable named before, as far as who gathers knows.
    pub new: &'a [(u32, Arc<Identity>)],
    /// The others.
    pub again: &'a [(u32, Arc<Identity>)],
    /// Which memtable that is; 0: nobody knows.
    pub memtable: u64,
}

/// Ids of the identities that rows had to do with lately, and whom the batch names.
#[derive(Debug, Default)]
struct BatchIdentities {
    /// None at all until the first is met.
    known: Vec<Option<KnownIdentity>>,
    /// How many batches there were before this one.
    batch: u64,
    /// That took the last batch.
    memtable: u64,
    /// The latest before which those are forgotten that it did not name.
    forgotten: u64,
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
    batch: u64,
    /// The memtable that this batch was for, as far as was known; 0: nobody knew.
    memtable: u64,
}

impl BatchIdentities {
    /// The id of an identity that the batch names; `find` asks for that of one that was
    /// not met lately.
    #[inline]
    fn id(&mut self, identity: &Arc<Identity>, find: impl FnOnce(&Arc<Identity>) -> u32) -> u32 {
        let first = place(identity);
        for place in [first, first ^ 1] {
            match self.known.get(place) {
                Some(Some(known)) if Arc::ptr_eq(&known.identity, identity) => {
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
        if self.known.is_empty() {
            self.known.resize_with(REFS, || None);
        }
        // The one that was found longer ago makes room.
        self.known.swap(first, first ^ 1);
        self.known[first] = Some(KnownIdentity {
            identity: Arc::clone(identity),
            id,
            batch: self.batch,
            memtable: self.memtable,
        });
        self.new.push((id, Arc::clone(identity)));
        id
    }

    /// The batch names who stands at a place.
    fn name(&mut self, place: usize) {
        let Some(known) = &mut self.known[place] else {
            return;
        };
        let is_new = known.memtable != self.memtable || self.memtable == 0;
        let list = if is_new { &mut self.new } else { &mut self.again };
        list.push((known.id, Arc::clone(&known.identity)));
        (known.batch, known.memtable) = (self.batch, self.memtable);
    }

    /// Whom the batch names.
    fn named(&self) -> Named<'_> {
        Named {
            new: &self.new,
            again: &self.again,
            memtable: self.memtable,
        }
    }

    /// This memtable took the batch; another one begins.
    fn next_batch(&mut self, memtable: u64) {
        self.new.clear();
        self.again.clear();
        self.memtable = memtable;
        self.batch += 1;
        self.forget(memtable);
    }

    /// Lets go of those whom no batch for this memtable, the open one, or the one before it
    /// named.
    fn forget(&mut self, memtable: u64) {
        if self.forgotten < memtable {
            self.forgotten = memtable;
            let last = |known: &KnownIdentity| {
                if known.batch + 1 == self.batch {
                    self.memtable
                } else {
                    known.memtable
                }
            };
            for place in &mut self.known {
                place.take_if(|known| last(known) + 1 < memtable);
            }
        }
    }
}

/// Where a reference is looked for. Arcs are 16 bytes apart at least.
fn place(identity: &Arc<Identity>) -> usize {
    let address = Arc::as_ptr(identity).addr() as u64 >> 4;
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % REFS
}

#[cfg(test)]
mod tests;
