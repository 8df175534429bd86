//! Records of pairs of identities that were met before, as most are: whether metrics count them, and in which
//! series, follows from who stands on their sides as long as no other label has a value. Where those series stand is
//! remembered for each pair, and a record adds to them without a look at filters and labels.
//!
//! That holds of metrics that look up as a whole, count no histogram, have no label of the flow itself that exporters
//! usually fill (a port), and whose filters look at the direction or ask whether a column of identities is there. What
//! they have of labels that few exporters fill is looked at for each record: batches without one that has a value go by
//! the pair, the others are counted like those that never do. Of a primary record the direction follows from the nodes
//! at its ends, if there is one; what is between no nodes is looked at each time.

use super::{Batch, Registry};
use crate::metric::Count;
use crate::pair_cache::{Known, OwnLabels, Place, Row};
use crate::record::{Record, Value};
use crate::shared::{Memory, SharedFilter};
use crate::source::{Source, text};

use weir_fields::Column;

/// Rows of a pair at most.
const MOST: usize = 64;

impl Batch {
    /// Whether it was counted by the pair of a record whose labels `but` were not.
    #[inline]
    pub(super) fn is_counted(&self, but: OwnLabels) -> bool {
        self.by_pair.is_some_and(|own| own & but == 0)
    }
}

impl Registry {
    /// Finds out which batches are by pair, and puts them behind the others.
    pub(super) fn plan_pairs(&mut self) {
        let Self {
            batches,
            filters,
            groups,
            own_labels,
            ..
        } = self;
        own_labels.clear();
        for batch in &mut *batches {
            let group = &groups[batch.group];
            let mut of_batch = batch.filters.iter().map(|at| &filters[*at]);
            let sums = batch.members.iter().all(|member| member.addition.is_some());
            batch.by_pair = match group.sources.as_deref() {
                Some(sources) if sums && of_batch.all(SharedFilter::is_by_pair) => {
                    let own: Option<Vec<_>> =
                        group.own.iter().map(|at| seldom_filled(sources[*at])).collect();
                    own.and_then(|own| numbered(&own, own_labels))
                }
                _ => None,
            };
        }
        batches.sort_by_key(|batch| batch.by_pair.is_some());
        let mut of_batches = batches.iter().map(|batch| &groups[batch.group]);
        self.remembers_pairs = of_batches.any(|group| group.sources.is_some());
        self.first_by_pair = batches.partition_point(|batch| batch.by_pair.is_none());
    }

    /// Which labels of batches by pair have a value that does not follow from the pair.
    #[inline]
    pub(super) fn own_labels(&self, record: &impl Record) -> OwnLabels {
        let labels = self.own_labels.iter().enumerate();
        labels.fold(0, |own, (at, column)| {
            let has_value = !matches!(record.value(*column), Value::Absent | Value::Text(""));
            own | OwnLabels::from(has_value) << at
        })
    }

    /// Counts a primary record with these labels of its own in batches whose series its pair tells, and says which
    /// labels these do without: the others are not counted. `None`: no batch is.
    #[inline]
    pub(super) fn count_pair(
        &mut self,
        (place, own): (Place, OwnLabels),
        record: &impl Record,
        now_ms: u64,
    ) -> Option<OwnLabels> {
        let Known::Rows(but) = self.pairs.known(place) else {
            return None;
        };
        let but = but | own;
        let generation = self.scratch.generation();
        for row in self.pairs.rows(place) {
            let batch = &self.batches[row.batch as usize];
            if !batch.is_counted(but) {
                continue;
            }
            let table = &mut self.groups[batch.group].table;
            for member in &batch.members {
                let (Some(raw), Some(addition)) = (
                    self.values[member.value].read(generation, record),
                    member.addition,
                ) else {
                    continue;
                };
                #[cfg(test)]
                {
                    self.metrics[member.metric].by_pair += 1;
                }
                if !table.add_at(row.at as usize + member.column, addition, raw, now_ms) {
                    let metric = &mut self.metrics[member.metric];
                    metric.count_in(table.slot_at(row.at), table, Count { raw, now_ms });
                }
            }
        }
        Some(but)
    }

    /// Remembers where the series of a primary record stand that was counted, from the second of its pair.
    #[cold]
    pub(super) fn know_pair(&mut self, (place, own): (Place, OwnLabels), record: &impl Record) {
        match self.pairs.known(place) {
            Known::Nothing => return self.pairs.meet(place),
            Known::NoRows => return,
            // Of one with fewer labels more is known.
            Known::Rows(but) if own & !but != 0 || own == but => return,
            Known::Rows(_) | Known::Met => {}
        }
        let rows = self.rows((place, own), record);
        self.pairs.know_rows(place, rows.as_deref(), own);
    }

    /// Where the series stand of the record at hand; `None` if that does not follow from its pair.
    fn rows(&mut self, (place, own): (Place, OwnLabels), record: &impl Record) -> Option<Vec<Row>> {
        let has_node = [
            const { Column::of("node_name") },
            const { Column::of("dst_node_name") },
        ]
        .into_iter()
        .any(|column| !text(record, column).is_empty());
        let mut rows = Vec::new();
        for at in self.first_by_pair..self.batches.len() {
            if self.batches[at].is_counted(own) && self.passes(at, record) {
                rows.push(self.row(at, place, record)?);
            }
        }
        (has_node && rows.len() <= MOST).then_some(rows)
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
    fn row(&mut self, batch: usize, place: Place, record: &impl Record) -> Option<Row> {
        let group = self.batches[batch].group;
        let memory = Some(Memory { place, group });
        let group = &mut self.groups[group];
        group.look_up(&mut self.scratch, record, &mut self.pairs, memory);
        Some(Row {
            at: group.table.place_of(group.slot?, 0)?,
            batch: u32::try_from(batch).ok()?,
        })
    }
}

impl SharedFilter {
    /// Whether it holds of a primary record between nodes as it holds of all others of its pair.
    fn is_by_pair(&self) -> bool {
        let of_identity = self.needed.is_some_and(|column| column.field().identity);
        self.directions.is_some() || of_identity
    }
}

/// The column of a label that few records have.
fn seldom_filled(source: Source) -> Option<Column> {
    match source {
        Source::Column(column) if column.field().sparse || !column.field().filled => Some(column),
        _ => None,
    }
}

/// A set of these columns by their places among those that are known, to which new ones come; `None` where these are
/// too many.
fn numbered(columns: &[Column], known: &mut Vec<Column>) -> Option<OwnLabels> {
    let mut set = 0;
    for column in columns {
        let at = known.iter().position(|other| other == column);
        let at = at.or_else(|| {
            known.push(*column);
            (known.len() <= OwnLabels::BITS as usize).then_some(known.len() - 1)
        });
        let Some(at) = at else {
            known.truncate(OwnLabels::BITS as usize);
            return None;
        };
        set |= 1 << at;
    }
    Some(set)
}
