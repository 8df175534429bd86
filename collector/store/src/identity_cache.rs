//! Tables of identities that were read out of segments' files, kept for the next
//! query within a bound. Reading is outside of every lock.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arrow::array::RecordBatch;

use crate::identities::{self, Identities};
use crate::segment::{Segment, SegmentError};

/// Bytes of tables that are kept.
const MAX_BYTES: usize = 64 << 20;

/// Tables by the segment that they are beside.
#[derive(Debug)]
pub(crate) struct IdentityCache {
    entries: Mutex<Entries>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Entries {
    tables: HashMap<PathBuf, Entry>,
    bytes: usize,
    /// Grows with each use.
    uses: u64,
    /// What queries that run now were given, by the tables that it was made of.
    given: Vec<(Vec<PathBuf>, Weak<Identities>)>,
}

#[derive(Debug)]
struct Entry {
    table: RecordBatch,
    bytes: usize,
    used: u64,
}

impl Default for IdentityCache {
    fn default() -> Self {
        Self::bounded(MAX_BYTES)
    }
}

impl IdentityCache {
    pub fn bounded(max_bytes: usize) -> Self {
        Self {
            entries: Mutex::default(),
            max_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table beside a segment.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn table(&self, segment: &Segment) -> Result<RecordBatch, SegmentError> {
        if let Some(table) = self.lock().take(&segment.path) {
            return Ok(table);
        }
        let table = identities::conform(&segment.identities()?);
        self.lock()
            .keep(segment.path.clone(), table.clone(), self.max_bytes);
        Ok(table)
    }

    /// Identities of these segments alone that a query has just now.
    pub fn given(&self, segments: &[Arc<Segment>]) -> Option<Arc<Identities>> {
        let mut entries = self.lock();
        entries.given.retain(|(_, given)| given.strong_count() > 0);
        let same = |paths: &[PathBuf]| paths.iter().eq(segments.iter().map(|segment| &segment.path));
        let found = entries.given.iter().find(|(paths, _)| same(paths))?;
        found.1.upgrade()
    }

    /// A query has these now.
    pub fn give(&self, segments: &[Arc<Segment>], identities: &Arc<Identities>) {
        let paths = segments.iter().map(|segment| segment.path.clone()).collect();
        self.lock().given.push((paths, Arc::downgrade(identities)));
    }
}

impl Entries {
    fn take(&mut self, path: &PathBuf) -> Option<RecordBatch> {
        self.uses += 1;
        let entry = self.tables.get_mut(path)?;
        entry.used = self.uses;
        Some(entry.table.clone())
    }

    /// The tables that were used longest ago make room.
    fn keep(&mut self, path: PathBuf, table: RecordBatch, max_bytes: usize) {
        let bytes = table.get_array_memory_size();
        if bytes > max_bytes {
            return;
        }
        while self.bytes + bytes > max_bytes {
            let oldest = self.tables.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(path, _)| path.clone()) else {
                break;
            };
            self.bytes -= self.tables.remove(&oldest).map_or(0, |entry| entry.bytes);
        }
        let used = self.uses;
        let before = self.tables.insert(path, Entry { table, bytes, used });
        self.bytes = self.bytes + bytes - before.map_or(0, |entry| entry.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identities::{Content, table};

    #[test]
    fn the_tables_that_were_used_longest_ago_make_room() {
        let nobody = Content::of(&weir_flow::Identity::default());
        let table = table((0..100).map(|id| (id, &nobody)));
        let bytes = table.get_array_memory_size();
        let mut entries = Entries::default();
        for name in ["a", "b", "a", "c"] {
            let path = PathBuf::from(name);
            if entries.take(&path).is_none() {
                entries.keep(path, table.clone(), 2 * bytes);
            }
            assert!(entries.bytes <= 2 * bytes);
        }
        let mut kept: Vec<_> = entries.tables.keys().collect();
        kept.sort();
        assert_eq!(kept, ["a", "c"].map(PathBuf::from).iter().collect::<Vec<_>>());
        entries.keep("d".into(), table, bytes - 1);
        assert_eq!(entries.tables.len(), 2, "what does not fit at all is not kept");
    }
}
