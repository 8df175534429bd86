//! Records of pairs of identities that were met before, as most are: whether metrics count them, and in which
//! series, follows from who stands on their sides as long as no other label has a value. Where those series stand is
//! remembered for each pair, and a record adds to them without a look at filters and labels.
//!
//! That holds of metrics that look up as a whole, count no histogram, and whose filters look at the direction or
//! ask whether a column of identities is there. Of a primary record the direction follows from the nodes at its
//! ends, if there is one; what is between no nodes is looked at each time.

use super::{Batch, Registry};
use crate::metric::Count;
use crate::pair_cache::{Cell, Place};
use crate::record::Record;
use crate::shared::SharedFilter;
use crate::source::text;

use weir_fields::Column;

/// Cells of a pair at most.
const MOST: usize = 64;

impl Registry {
    /// Finds out which batches are by pair.
    pub(super) fn plan_pairs(&mut self) {
        let Self {
            batches,
            filters,
            groups,
            own_labels,
            ..
        } = self;
        own_labels.clear();
        for batch in batches {
            let group = &groups[batch.group];
            let mut of_batch = batch.filters.iter().map(|at| &filters[*at]);
            let sums = batch.members.iter().all(|member| member.addition.is_some());
            batch.is_by_pair = sums && group.sources.is_some() && of_batch.all(SharedFilter::is_by_pair);
            let sources = group.sources.as_deref().unwrap_or_default();
            for at in group.own.iter().filter(|_| batch.is_by_pair) {
                if !own_labels.contains(&sources[*at]) {
                    own_labels.push(sources[*at]);
                }
            }
        }
    }

    /// Whether a record has none of the labels that do not follow from its pair.
    #[inline]
    pub(super) fn is_plain(&mut self, record: &impl Record) -> bool {
        let Self {
            scratch, own_labels, ..
        } = self;
        own_labels.iter().all(|source| {
            scratch.ensure(*source, record);
            scratch.label(*source).is_empty()
        })
    }

    /// Counts a plain record in all batches that are by pair; false where its pair is not known.
    #[inline]
    pub(super) fn count_pair(&mut self, place: Place, record: &impl Record, now_ms: u64) -> bool {
        let generation = self.scratch.generation();
        let Some(cells) = self.pairs.cells(place) else {
            return false;
        };
        for cell in cells {
            let Some(raw) = self.values[usize::from(cell.value)].read(generation, record) else {
                continue;
            };
            let table = &mut self.groups[usize::from(cell.group)].table;
            if !table.add_at(cell.at as usize, cell.addition, raw, now_ms) {
                let metric = &mut self.metrics[usize::from(cell.metric)];
                metric.count_in(cell.slot, table, Count { raw, now_ms });
            }
        }
        true
    }

    /// Remembers where the series of a plain primary record stand.
    #[cold]
    pub(super) fn know_pair(&mut self, place: Place, record: &impl Record) {
        if self.pairs.is_new(place) {
            let cells = self.cells(record);
            self.pairs.know_cells(place, cells.as_deref());
        }
    }

    /// Where the series stand of the record at hand, which was counted; `None` if that does not follow from its pair.
    fn cells(&mut self, record: &impl Record) -> Option<Vec<Cell>> {
        let has_node = [
            const { Column::of("node_name") },
            const { Column::of("dst_node_name") },
        ]
        .into_iter()
        .any(|column| !text(record, column).is_empty());
        let mut cells = Vec::new();
        for at in 0..self.batches.len() {
            if self.batches[at].is_by_pair && self.passes(at, record) {
                cells.extend(self.cells_of(&self.batches[at])?);
            }
        }
        (has_node && cells.len() <= MOST).then_some(cells)
    }

    fn passes(&mut self, batch: usize, record: &impl Record) -> bool {
        let Self {
            batches,
            filters,
            scratch,
            ..
        } = self;
        let mut wanted = batches[batch].filters.iter();
        wanted.all(|at| filters[*at].judge(scratch, record))
    }

    /// Where those of one batch stand; `None` if none of its labels was met.
    fn cells_of(&self, batch: &Batch) -> Option<Vec<Cell>> {
        let group = &self.groups[batch.group];
        let slot = group.slot?;
        let cell = |member: &super::Member| {
            Some(Cell {
                at: group.table.place_of(slot, member.column)?,
                slot,
                metric: u16::try_from(member.metric).ok()?,
                group: u16::try_from(batch.group).ok()?,
                value: u16::try_from(member.value).ok()?,
                addition: member.addition?,
            })
        };
        batch.members.iter().map(cell).collect()
    }
}

impl SharedFilter {
    /// Whether it holds of a primary record between nodes as it holds of all others of its pair.
    fn is_by_pair(&self) -> bool {
        let of_identity = self.needed.is_some_and(|column| column.field().identity);
        self.directions.is_some() || of_identity
    }
}
