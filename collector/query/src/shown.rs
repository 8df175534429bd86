//! What is shown of the groups of a question: the first of them, the others together, all
//! together, and what one should know about it.

use std::sync::Arc;

use crate::aggregate::PreparedQuestion;
use crate::aggregation::Aggregate;
use crate::amount::{self, Amount};
use crate::compared::{Compared, Presence};
use crate::groups::TIME;
use crate::output::present;
use crate::rank::{Coverage, Ranked, Table};
use crate::states::State;
use crate::{Answer, AnswerRows, Cover, Measure, Note, NoteKind, QueryError, Stats};
use arrow::array::{ArrayRef, AsArray, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::TimestampMicrosecondType;

/// What is shown of a table, and what had to be estimated.
pub(crate) struct Shown<'a> {
    asked: &'a PreparedQuestion,
    table: &'a Table,
    ranked: &'a Ranked,
    estimates: Vec<Measure>,
}

impl<'a> Shown<'a> {
    /// Of a table in this order.
    pub(crate) fn new(asked: &'a PreparedQuestion, table: &'a Table, ranked: &'a Ranked) -> Self {
        Self {
            asked,
            table,
            ranked,
            estimates: Vec::new(),
        }
    }
}

/// The names and values of columns.
type Columns = Vec<(String, ArrayRef)>;

impl Shown<'_> {
    /// The answer; what it cost is known to whoever calls.
    pub(crate) fn answer(mut self, compared: Option<&Compared>, stats: Stats) -> Result<Answer, QueryError> {
        Ok(Answer {
            rows: self.rows(compared)?,
            other: self.other()?,
            totals: self.totals()?,
            groups: self.ranked.groups,
            notes: self.notes(),
            stats,
        })
    }

    fn rows(&mut self, compared: Option<&Compared>) -> Result<AnswerRows, QueryError> {
        let (table, ranked) = (self.table, self.ranked);
        let shown = UInt32Array::from(ranked.shown.clone());
        let keys = table.keys.iter().map(|key| take(key, &shown, None));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let mut columns = match compared {
            None => self.asked.periods[0].read(&keys)?,
            Some(compared) => compared.key_names.iter().cloned().zip(keys).collect(),
        };
        columns.extend(compared.map(|compared| {
            let presences = compared
                .presences(ranked)
                .map(|presence: Presence| presence.word());
            let words: ArrayRef = Arc::new(StringArray::from_iter_values(presences));
            ("compared".to_owned(), words)
        }));
        let rows: Vec<usize> = ranked.shown.iter().map(|row| *row as usize).collect();
        let buckets = self.buckets(rows.iter().copied());
        columns.extend(self.measured(&buckets, |row, column| table.columns[column].at(rows[row]))?);
        Ok(present(columns, rows.len())?)
    }

    fn other(&mut self) -> Result<AnswerRows, QueryError> {
        let (table, ranked) = (self.table, self.ranked);
        let mut columns = Vec::new();
        let rows = ranked.other.iter().map(|(row, _)| row.unwrap_or_default());
        if self.asked.sums.buckets.is_some() {
            let rows = UInt32Array::from_iter_values(rows.clone());
            columns.push((TIME.name().to_owned(), take(&table.keys[0], &rows, None)?));
        }
        let buckets = self.buckets(rows.map(|row| row as usize));
        columns.extend(self.measured(&buckets, |row, column| ranked.other[row].1[column].clone())?);
        Ok(present(columns, ranked.other.len())?)
    }

    fn totals(&mut self) -> Result<AnswerRows, QueryError> {
        let ranked = self.ranked;
        let columns = self.measured(&[None], |_, column| ranked.totals[column].clone())?;
        Ok(present(columns, 1)?)
    }

    /// When the bucket of each row begins; none: it is of the whole range.
    fn buckets(&self, rows: impl Iterator<Item = usize>) -> Vec<Option<i64>> {
        if self.asked.sums.buckets.is_none() {
            return rows.map(|_| None).collect();
        }
        let starts = self.table.keys[0].as_primitive::<TimestampMicrosecondType>();
        rows.map(|row| Some(starts.value(row))).collect()
    }

    /// The measures of rows of these buckets, of each period, and what changed.
    fn measured(
        &mut self,
        buckets: &[Option<i64>],
        state: impl Fn(usize, usize) -> State,
    ) -> Result<Columns, QueryError> {
        let mut columns = Vec::new();
        for &measure in &self.asked.measures {
            self.asked.budget.check()?;
            let periods = 0..self.asked.periods.len();
            let amounts: Vec<Vec<Option<Amount>>> = periods
                .map(|period| self.amounts(measure, period, buckets, &state))
                .collect();
            let [now, then] = match amounts.as_slice() {
                [now, then] => [now, then],
                _ => {
                    columns.push((measure.to_string(), amount::column(measure, &amounts[0])));
                    continue;
                }
            };
            columns.push((measure.to_string(), amount::column(measure, now)));
            columns.push((format!("{measure}_then"), amount::column(measure, then)));
            let change = amount::change(measure, now, then);
            columns.extend(change.map(|change| (format!("{measure}_change"), change)));
        }
        Ok(columns)
    }

    fn amounts(
        &mut self,
        measure: Measure,
        period: usize,
        buckets: &[Option<i64>],
        state: &impl Fn(usize, usize) -> State,
    ) -> Vec<Option<Amount>> {
        let asked = self.asked;
        let whole = Aggregate::of_sum(asked.by).map_or(0, |sum| {
            let total = |column: usize| self.ranked.totals[column].clone();
            asked.state(sum, period, &total).sum()
        });
        let mut is_estimated = false;
        let amounts = buckets.iter().enumerate().map(|(row, start)| {
            let of_row = |aggregate| asked.state(aggregate, period, &|column| state(row, column));
            let bounds = asked.periods[period].bounds(start.zip(asked.sums.buckets.as_ref()));
            let (amount, estimated) = asked.group(&of_row, period, bounds, whole).measured(measure);
            is_estimated |= estimated;
            amount
        });
        let amounts = amounts.collect();
        if is_estimated && !self.estimates.contains(&measure) {
            self.estimates.push(measure);
        }
        amounts
    }

    fn notes(&self) -> Vec<Note> {
        let mut notes: Vec<Note> = Vec::new();
        for period in &self.asked.periods {
            let more = period.notes(&self.asked.reader);
            notes.extend(
                more.into_iter()
                    .filter(|note| !notes.contains(note))
                    .collect::<Vec<_>>(),
            );
        }
        let then = self.asked.periods.get(1);
        notes.extend(then.and_then(|then| then.begins_late(&self.asked.reader)));
        let mut note = |kind, message| notes.push(Note::new(kind, message));
        let estimates = self.estimates.iter();
        estimates.for_each(|measure| note(NoteKind::Approximate, amount::estimate(*measure)));
        let Ranked {
            shown_groups, groups, ..
        } = self.ranked;
        if groups > shown_groups {
            let shown = format!("{shown_groups} of {groups} groups are shown");
            let message = self
                .asked
                .cover
                .map_or(shown.clone(), |cover| self.covered(&shown, cover));
            note(NoteKind::Truncated, message);
        }
        notes
    }

    /// How much the groups that are shown have of all.
    fn covered(&self, shown: &str, cover: Cover) -> String {
        let by = self.asked.by;
        // Groups are ordered by the larger of both.
        let all = match self.asked.periods.len() {
            1 => format!("all {by}"),
            _ => format!("all {by}, of each group the larger of now and then"),
        };
        match self.ranked.coverage {
            Coverage::Nothing => format!("{shown}: none has any {by}"),
            Coverage::Reached => format!("{shown}: they have {cover} of {all}"),
            Coverage::CutByTop => {
                format!("{shown}, and top allows no more of those that have {cover} of {all}")
            }
        }
    }
}
