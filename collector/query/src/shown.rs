//! What is shown of the groups of a question: the first of them, the others together, all
//! together, and what one should know about it.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::TimestampMicrosecondType;
use weir_store::TimeRange;

use crate::aggregate::PreparedQuestion;
use crate::aggregation::Aggregate;
use crate::amount::{self, Amount};
use crate::compared::{Compared, Presence};
use crate::groups::TIME;
use crate::output::present;
use crate::rank::{Ranked, Table};
use crate::states::State;
use crate::{Answer, AnswerRows, Measure, Note, NoteKind, QueryError, Stats};

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
        let lengths = self.lengths(rows.iter().copied());
        columns.extend(self.measured(&lengths, |row, column| table.columns[column].at(rows[row]))?);
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
        let lengths = self.lengths(rows.map(|row| row as usize));
        columns.extend(self.measured(&lengths, |row, column| ranked.other[row].1[column].clone())?);
        Ok(present(columns, ranked.other.len())?)
    }

    fn totals(&mut self) -> Result<AnswerRows, QueryError> {
        let range = self.asked.range;
        let length = [range.until.saturating_sub(range.from)];
        let ranked = self.ranked;
        let columns = self.measured(&length, |_, column| ranked.totals[column].clone())?;
        Ok(present(columns, 1)?)
    }

    /// How many microseconds of the range each row is of: the whole, or as much of its
    /// bucket as the range has.
    fn lengths(&self, rows: impl Iterator<Item = usize>) -> Vec<i64> {
        let TimeRange { from, until } = self.asked.range;
        let Some(buckets) = &self.asked.sums.buckets else {
            return rows.map(|_| until.saturating_sub(from)).collect();
        };
        let starts = self.table.keys[0].as_primitive::<TimestampMicrosecondType>();
        let length = |row| {
            let start = starts.value(row);
            buckets.end(start).min(until).saturating_sub(start.max(from))
        };
        rows.map(length).collect()
    }

    /// The measures of rows of these lengths, of each period, and what changed.
    fn measured(
        &mut self,
        lengths: &[i64],
        state: impl Fn(usize, usize) -> State,
    ) -> Result<Columns, QueryError> {
        let mut columns = Vec::new();
        for &measure in &self.asked.measures {
            self.asked.budget.check()?;
            let periods = 0..self.asked.periods.len();
            let amounts: Vec<Vec<Option<Amount>>> = periods
                .map(|period| self.amounts(measure, period, lengths, &state))
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
        lengths: &[i64],
        state: &impl Fn(usize, usize) -> State,
    ) -> Vec<Option<Amount>> {
        let asked = self.asked;
        let whole = Aggregate::of_sum(asked.by).map_or(0, |sum| {
            let total = |column: usize| self.ranked.totals[column].clone();
            asked.state(sum, period, &total).sum()
        });
        let mut is_estimated = false;
        let amounts = lengths.iter().enumerate().map(|(row, length)| {
            let of_row = |aggregate| asked.state(aggregate, period, &|column| state(row, column));
            let (amount, estimated) = asked.group(&of_row, *length, whole).measured(measure);
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
        let mut note = |kind, message| notes.push(Note { kind, message });
        let estimates = self.estimates.iter();
        estimates.for_each(|measure| note(NoteKind::Approximate, amount::estimate(*measure)));
        let Ranked {
            shown_groups, groups, ..
        } = self.ranked;
        if groups > shown_groups {
            let mut message = format!("{shown_groups} of {groups} groups are shown");
            if let Some(cover) = self.asked.cover {
                let by = self.asked.by;
                message = match *shown_groups < self.asked.top {
                    true => format!("{message}: they have {cover} of all {by}"),
                    false => {
                        format!("{message}, and top allows no more of those that have {cover} of all {by}")
                    }
                };
            }
            note(NoteKind::Truncated, message);
        }
        notes
    }
}
