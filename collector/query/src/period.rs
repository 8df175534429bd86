//! A range of time that a question is about: what is read of it, and what that plan gives.
//! A question that compares has two.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion_expr::{Expr, col, lit};
use weir_api::fields::Column;
use weir_store::{Reader, Tier, TimeRange, View};

use crate::aggregation::{Aggregate, INTERVAL, is_kept};
use crate::bucket::Buckets;
use crate::budget::Budget;
use crate::direction::{Context, Read, Selection};
use crate::filter::{Filter, expr};
use crate::group_key::GroupKey;
use crate::groups::Keys;
use crate::identity_table::IdentityTable;
use crate::lower::time_value;
use crate::plan::{Part, Plan};
use crate::rank::Table;
use crate::run::{QueryRun, Task};
use crate::segment_reader::OpenedSegments;
use crate::shift::Shift;
use crate::tier_slice::{self, Batch, TierSlice};
use crate::{Note, NoteKind, QueryError, Question};

/// What is asked of each range.
pub(crate) struct Sums {
    pub(crate) filter: Filter,
    pub(crate) group_by: Vec<GroupKey>,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) buckets: Option<Buckets>,
    pub(crate) conversation: bool,
    pub(crate) all_observations: bool,
    pub(crate) raw_only: bool,
}

impl Sums {
    /// The length of an interval of peaks, in microseconds.
    pub(crate) fn interval(&self) -> i64 {
        let shortest = self.buckets.as_ref().map(Buckets::shortest);
        shortest.map_or(INTERVAL, |shortest| shortest.min(INTERVAL))
    }

    /// How a plan is run that is of these.
    pub(crate) fn task<'a>(&self, plan: Plan, budget: &'a Budget, opened: Arc<OpenedSegments>) -> Task<'a> {
        Task {
            plan,
            limits: &budget.limits,
            filter_first: expr::is_selective(&self.filter.test),
            most: budget.limits.max_groups,
            too_many: QueryError::TooManyGroups,
            opened,
        }
    }

    /// Whether anything that is asked for, or by, is a field of identities.
    fn names_identities(&self) -> bool {
        let is_named = |column: Column| column.field().identity;
        let counted = self.aggregates.iter().filter_map(|aggregate| aggregate.column());
        let mut any = self
            .group_by
            .iter()
            .map(|key| key.column)
            .chain(counted)
            .any(is_named);
        expr::columns(&self.filter.test, &mut |column| any |= is_named(column));
        any
    }

    /// The coarsest tier whose rows have all that is asked for, of a range that is counted
    /// so.
    fn coarsest(&self, shift: &Shift, aggregates: &[Aggregate]) -> Tier {
        if self.raw_only || self.all_observations {
            return Tier::Raw;
        }
        let mut all = self.group_by.iter().all(|key| is_kept(key.column));
        expr::columns(&self.filter.test, &mut |column| all &= is_kept(column));
        let fits = |tier: &Tier| {
            let buckets = self.buckets.as_ref();
            let of_minutes = shift.of_intervals() % INTERVAL == 0;
            let kept = |aggregate: &Aggregate| match aggregate {
                Aggregate::Intervals if !of_minutes => *tier == Tier::Raw,
                aggregate => *tier <= aggregate.coarsest(),
            };
            aggregates.iter().all(kept) && buckets.is_none_or(|buckets| shift.fits(buckets, *tier))
        };
        let tiers = Tier::FLOWS.into_iter().rev();
        tiers.filter(|_| all).find(fits).unwrap_or(Tier::Raw)
    }
}

/// A range, the view of it, and what is read.
pub(crate) struct Period {
    pub(crate) range: TimeRange,
    pub(crate) shift: Shift,
    view: View,
    who: IdentityTable,
    pub(crate) keys: Keys,
    selection: Selection,
    pub(crate) slices: Vec<TierSlice>,
    /// Sums would do but for what is worked out.
    needs_records: bool,
}

impl Period {
    /// A range that is counted so.
    pub(crate) fn new(
        reader: &Reader,
        sums: &Sums,
        (range, shift): (TimeRange, Shift),
        budget: &Budget,
    ) -> Result<Self, QueryError> {
        let view = if sums.names_identities() {
            reader.view(range)
        } else {
            reader.view_without_identities(range)
        };
        let who = IdentityTable::within(&view.identities, budget);
        let coarsest = sums.coarsest(&shift, &sums.aggregates);
        let keys = Keys::new(sums.group_by.clone(), &who, sums.buckets.clone(), shift.clone())?;
        let all = sums.all_observations;
        Ok(Self {
            slices: tier_slice::slices(&view, range, coarsest),
            selection: Selection::new(&sums.filter, &who, &keys, sums.conversation, all)?,
            needs_records: coarsest < sums.coarsest(&shift, &[]),
            range,
            shift,
            view,
            who,
            keys,
        })
    }

    /// What is read of it.
    pub(crate) fn plan(&self, sums: &Sums) -> Result<Plan, QueryError> {
        let mut parts = Vec::new();
        for batch in self.slices.iter().flat_map(TierSlice::batches) {
            for read in self.selection.reads() {
                parts.push(self.part(sums, read, batch.clone())?);
            }
        }
        if let (true, Some(read)) = (parts.is_empty(), self.selection.reads().first()) {
            parts.push(self.part(sums, read, Batch::empty())?);
        }
        Ok(Plan::Groups {
            parts,
            keys: self.keys.names().collect(),
            added: self.selection.aggregations(&sums.aggregates),
        })
    }

    /// Keys and what is worked with, of the rows that count.
    fn part(&self, sums: &Sums, read: &Read, batch: Batch) -> Result<Part, QueryError> {
        let test = read.test(batch.sums);
        let test = match batch.bounds {
            Some(bounds) => within(bounds).and(test),
            None => test,
        };
        let context = Context {
            who: &self.who,
            of_sums: batch.sums,
            interval: sums.interval(),
            later: self.shift.of_intervals(),
        };
        let columns = self
            .selection
            .columns(read, &self.keys, &sums.aggregates, &context)?;
        Ok(Part::new(batch.rows, &test, columns))
    }

    /// The groups that the plan gave, mirror images joined.
    pub(crate) fn table(&self, sums: &Sums, ran: &QueryRun) -> Result<Table, QueryError> {
        let mut table = Table::new(&ran.rows, self.keys.len(), &sums.aggregates);
        if self.selection.joined {
            table.join(&self.keys)?;
        }
        Ok(table)
    }

    /// The keys of these groups as people read them, by name.
    pub(crate) fn read(&self, keys: &[ArrayRef]) -> Result<Vec<(String, ArrayRef)>, QueryError> {
        Ok(self.keys.read(keys)?)
    }

    pub(crate) fn segments(&self) -> usize {
        self.slices.iter().map(TierSlice::segments).sum()
    }

    /// The part of its own time that a row is of: all of it, or what it has of the row's
    /// bucket.
    pub(crate) fn bounds(&self, bucket: Option<(i64, &Buckets)>) -> TimeRange {
        let Some((start, buckets)) = bucket else {
            return self.range;
        };
        let own = self.shift.own(start, buckets);
        TimeRange {
            from: own.from.max(self.range.from),
            until: own.until.min(self.range.until),
        }
    }

    /// Since when there has been anything, where that is in this range or behind it: nobody
    /// has anything before.
    pub(crate) fn begins_late(&self, reader: &Reader) -> Option<Note> {
        let coarsest = self.slices.iter().map(|slice| slice.tier).max()?;
        let tiers = Tier::FLOWS.into_iter().filter(|tier| *tier <= coarsest);
        let oldest = tiers.filter_map(|tier| self.view.oldest[tier as usize]).min()?;
        let begins = oldest > self.range.from && reader.begins_at(oldest, coarsest);
        begins.then(|| {
            let message = format!(
                "the first record ever is of {}: the earlier range begins before it, and what is compared with \
                 the time before is new",
                tier_slice::rfc3339(oldest)
            );
            Note::new(NoteKind::BeforeFirstRecord, message)
        })
    }

    /// What one should know about what was read.
    pub(crate) fn notes(&self, reader: &Reader) -> Vec<Note> {
        let mut notes = tier_slice::notes(reader, &self.view, &self.slices);
        let is_gone = notes.iter().any(|note| note.kind == NoteKind::Expired);
        if is_gone && self.needs_records {
            let message = "sums may reach further back than records: leave out measures that are known of \
                           records alone (min_, max_, avg_, percentiles, first_seen, last_seen, distinct_ of what \
                           sums do not keep)";
            notes.push(Note::new(NoteKind::Expired, message));
        }
        notes
    }
}

/// The time is in the range.
pub(crate) fn within(range: TimeRange) -> Expr {
    let time = || col("time");
    time()
        .gt_eq(lit(time_value(range.from)))
        .and(time().lt(lit(time_value(range.until))))
}

/// Each key once; a bucket's start is a row's `time` already.
pub(crate) fn asked_once(keys: Vec<GroupKey>, question: &Question) -> Vec<GroupKey> {
    let mut once = Vec::new();
    for key in keys {
        let is_bucket = question.bucket.is_some() && key.column == crate::groups::TIME;
        if !is_bucket && !once.contains(&key) {
            once.push(key);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group_key::group_keys;

    #[test]
    fn each_key_is_asked_once_and_time_not_beside_a_bucket() {
        let names = |bucket: Option<&str>| -> Vec<String> {
            let names = ["ns", "time", "dst_port", "ns", "addr/24", "src_addr/24", "time"];
            let keys = group_keys(&names.map(str::to_owned)).unwrap();
            let question = Question {
                bucket: bucket.map(|bucket| bucket.parse().unwrap()),
                ..Question::default()
            };
            let once = asked_once(keys, &question).into_iter();
            once.map(GroupKey::name).collect()
        };
        assert_eq!(names(None), ["ns", "time", "dst_port", "addr/24"]);
        assert_eq!(names(Some("1h")), ["ns", "dst_port", "addr/24"]);
    }
}
