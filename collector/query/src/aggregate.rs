//! Sums over groups: from the question to a plan, from what the plan gives to
//! the answer.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::TimestampMicrosecondType;
use datafusion_expr::{Expr, col, lit};
use jiff::Timestamp;
use weir_api::fields::Column;
use weir_store::{Reader, Tier, TimeRange, View, schema};

use crate::broken_segment::answer_whole;
use crate::budget::{Budget, off_thread};
use crate::direction::{Read, Selection};
use crate::filter::{Filter, expr};
use crate::groups::{self, Keys, TIME};
use crate::identity_table::IdentityTable;
use crate::lower::time_value;
use crate::measure::{self, Sum};
use crate::output::present;
use crate::plan::{self, Aggregate, Part, Plan};
use crate::rank::{Ranked, Table};
use crate::run::{self, QueryRun, Task};
use crate::segment_reader::OpenedSegments;
use crate::tier_slice::{self, Batch, TierSlice};
use crate::{
    Answer, AnswerRows, Explanation, Measure, Note, NoteKind, QueryError, Question, Since, Until, compile,
};

/// A question that was understood, and the view that it is asked of.
struct PreparedQuestion {
    reader: Reader,
    view: View,
    range: TimeRange,
    filter: Filter,
    keys: Keys,
    selection: Selection,
    bucket: Option<i64>,
    measures: Vec<Measure>,
    sums: Vec<Sum>,
    by: Measure,
    top: usize,
    conversation: bool,
    slices: Vec<TierSlice>,
    budget: Budget,
}

/// Sums over groups of flows.
pub(crate) async fn answer(
    reader: &Reader,
    question: &Question,
    budget: &Budget,
) -> Result<Answer, QueryError> {
    let (_, _, answer) = ask(reader, question, budget).await?;
    Ok(answer)
}

/// Answers a question and says how.
pub(crate) async fn explain(
    reader: &Reader,
    question: &Question,
    budget: &Budget,
) -> Result<Explanation, QueryError> {
    let (asked, ran, answer) = ask(reader, question, budget).await?;
    Ok(Explanation {
        filter: question.filter.clone(),
        parts: asked.slices.iter().map(TierSlice::explained).collect(),
        stats: answer.stats,
        notes: answer.notes,
        plan: ran.plan(),
    })
}

async fn ask(
    reader: &Reader,
    question: &Question,
    budget: &Budget,
) -> Result<(PreparedQuestion, QueryRun, Answer), QueryError> {
    answer_whole(reader, |opened| attempt(reader, question, budget, opened)).await
}

async fn attempt(
    reader: &Reader,
    question: &Question,
    budget: &Budget,
    opened: Arc<OpenedSegments>,
) -> Result<(PreparedQuestion, QueryRun, Answer), QueryError> {
    let (reader, question, budget) = (reader.clone(), question.clone(), budget.clone());
    let asked = off_thread(move || PreparedQuestion::new(&reader, &question, &budget)).await?;
    let ran = run::run(asked.task(opened)?).await?;
    off_thread(move || {
        let answer = asked.finish(&ran)?;
        Ok((asked, ran, answer))
    })
    .await
}

/// The range between two moments, as it is now.
pub(crate) fn range(since: Since, until: Until) -> Result<TimeRange, QueryError> {
    let now = Timestamp::now();
    let (from, until) = (since.0.at(now), until.0.at(now));
    if from >= until {
        let message = "the range of time ends before it begins: look at since and until";
        return Err(QueryError::Invalid(message.to_owned()));
    }
    Ok(TimeRange { from, until })
}

/// Each column once; a bucket's start is a row's `time` already.
fn asked_once(columns: Vec<Column>, in_buckets: bool) -> Vec<Column> {
    let mut once = Vec::new();
    for column in columns {
        let is_bucket = in_buckets && column == TIME;
        if !is_bucket && !once.contains(&column) {
            once.push(column);
        }
    }
    once
}

impl PreparedQuestion {
    fn new(reader: &Reader, question: &Question, budget: &Budget) -> Result<Self, QueryError> {
        let range = range(question.since, question.until)?;
        let filter = compile(&question.filter)?.within(&budget.limits.scope);
        let bucket = bucket(question)?;
        let columns = asked_once(groups::columns(&question.group_by)?, bucket.is_some());
        let measures = measure::measures(question);
        let conversation = question.conversation || measures.iter().any(|m| m.has_direction());
        let view = reader.view(range);
        let who = IdentityTable::within(&view.identities, budget);
        let coarsest = match question.raw_only || question.all_observations {
            true => Tier::Raw,
            false => coarsest(&filter, &columns, bucket),
        };
        let keys = Keys::new(columns, &who, bucket)?;
        let all = question.all_observations;
        Ok(Self {
            slices: tier_slice::slices(&view, range, coarsest),
            selection: Selection::new(&filter, &who, &keys, conversation, all)?,
            by: question.by,
            top: question.top.unwrap_or(usize::MAX),
            sums: measure::sums(&measures),
            budget: budget.clone(),
            reader: reader.clone(),
            view,
            range,
            filter,
            keys,
            bucket,
            measures,
            conversation,
        })
    }

    fn task(&self, opened: Arc<OpenedSegments>) -> Result<Task<'_>, QueryError> {
        let limits = &self.budget.limits;
        Ok(Task {
            plan: self.plan()?,
            limits,
            filter_first: expr::is_selective(&self.filter.test),
            most: limits.max_groups,
            too_many: QueryError::TooManyGroups,
            opened,
        })
    }

    fn plan(&self) -> Result<Plan, QueryError> {
        let mut parts = Vec::new();
        for batch in self.slices.iter().flat_map(TierSlice::batches) {
            for read in self.selection.reads() {
                parts.push(self.part(read, batch.clone())?);
            }
        }
        if let (true, Some(read)) = (parts.is_empty(), self.selection.reads().first()) {
            parts.push(self.part(read, Batch::empty())?);
        }
        let added = self.selection.names(&self.sums).into_iter();
        let sum = |column| Aggregate {
            function: plan::sum(),
            column,
        };
        Ok(Plan::Groups {
            parts,
            keys: self.keys.names().collect(),
            added: added.map(sum).collect(),
        })
    }

    /// Keys and what is added up, of the rows that count.
    fn part(&self, read: &Read, batch: Batch) -> Result<Part, QueryError> {
        let test = read.test(batch.sums);
        let test = match batch.bounds {
            Some(bounds) => within(bounds).and(test),
            None => test,
        };
        let columns = self.selection.columns(read, &self.keys, &self.sums, batch.sums)?;
        Ok(Part::new(batch.rows, &test, columns))
    }

    fn finish(&self, ran: &QueryRun) -> Result<Answer, QueryError> {
        let mut table = Table::new(&ran.rows, self.keys.len(), self.sums.clone());
        if self.conversation && self.keys.are_symmetric() {
            table.join(&self.keys)?;
        }
        let ranked = table.rank(&self.keys, Sum::of(self.by), self.top)?;
        let max_rows = self.budget.limits.max_rows;
        if ranked.shown.len() > max_rows {
            return Err(QueryError::TooManyRows(max_rows));
        }
        let mut stats = ran.stats;
        stats.segments = self.slices.iter().map(TierSlice::segments).sum();
        Ok(Answer {
            rows: self.rows(&table, &ranked)?,
            other: self.other(&table, &ranked)?,
            totals: self.totals(&ranked)?,
            groups: ranked.groups,
            notes: self.notes(&ranked),
            stats,
        })
    }

    fn notes(&self, ranked: &Ranked) -> Vec<Note> {
        let mut notes = tier_slice::notes(&self.reader, &self.view, &self.slices);
        if ranked.groups > self.top {
            let message = format!("{} of {} groups are shown", self.top, ranked.groups);
            notes.push(Note {
                kind: NoteKind::Truncated,
                message,
            });
        }
        notes
    }

    fn rows(&self, table: &Table, ranked: &Ranked) -> Result<AnswerRows, QueryError> {
        let shown = UInt32Array::from(ranked.shown.clone());
        let keys = table.keys.iter().map(|key| take(key, &shown, None));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let mut columns = self.keys.read(&keys)?;
        let rows = ranked.shown.iter().map(|row| *row as usize);
        let lengths = self.lengths(table, rows.clone());
        let sums = |at: usize| rows.clone().map(move |row| table.values[at][row]);
        columns.extend(self.measured(|at| Box::new(sums(at)), &lengths));
        Ok(present(columns, ranked.shown.len())?)
    }

    fn other(&self, table: &Table, ranked: &Ranked) -> Result<AnswerRows, QueryError> {
        let mut columns = Vec::new();
        let rows = ranked.other.iter().map(|(row, _)| row.unwrap_or_default());
        if self.keys.has_buckets() {
            let rows = UInt32Array::from_iter_values(rows.clone());
            columns.push((TIME.name().to_owned(), take(&table.keys[0], &rows, None)?));
        }
        let lengths = self.lengths(table, rows.map(|row| row as usize));
        let sums = |at: usize| ranked.other.iter().map(move |(_, sums)| sums[at]);
        columns.extend(self.measured(|at| Box::new(sums(at)), &lengths));
        Ok(present(columns, ranked.other.len())?)
    }

    fn totals(&self, ranked: &Ranked) -> Result<AnswerRows, QueryError> {
        let length = [self.range.until.saturating_sub(self.range.from)];
        let columns = self.measured(|at| Box::new(std::iter::once(ranked.totals[at])), &length);
        Ok(present(columns.collect(), 1)?)
    }

    /// LoweringContext how many microseconds of the range each row sums: the whole, or as much of
    /// its bucket as the range has.
    fn lengths(&self, table: &Table, rows: impl Iterator<Item = usize>) -> Vec<i64> {
        let TimeRange { from, until } = self.range;
        let Some(bucket) = self.bucket else {
            return rows.map(|_| until.saturating_sub(from)).collect();
        };
        let starts = table.keys[0].as_primitive::<TimestampMicrosecondType>();
        let length = |row| {
            let start = starts.value(row);
            let end = start.saturating_add(bucket).min(until);
            end.saturating_sub(start.max(from))
        };
        rows.map(length).collect()
    }

    /// The measures, from the sums at their places and the lengths of time of each.
    fn measured<'a>(
        &'a self,
        sums: impl Fn(usize) -> Box<dyn Iterator<Item = u64> + 'a> + 'a,
        lengths: &'a [i64],
    ) -> impl Iterator<Item = (String, ArrayRef)> + 'a {
        self.measures.iter().map(move |measure| {
            let at = self.sums.iter().position(|sum| *sum == Sum::of(*measure));
            let sums = sums(at.unwrap_or_default()).zip(lengths.iter().copied());
            (measure.as_str().to_owned(), measure::values(*measure, sums))
        })
    }
}

/// The time is in the range.
pub(crate) fn within(range: TimeRange) -> Expr {
    let time = || col("time");
    time()
        .gt_eq(lit(time_value(range.from)))
        .and(time().lt(lit(time_value(range.until))))
}

fn bucket(question: &Question) -> Result<Option<i64>, QueryError> {
    let Some(span) = question.bucket else {
        return Ok(None);
    };
    match i64::try_from(span.0.as_micros()) {
        Ok(micros) if micros >= 1_000 => Ok(Some(micros)),
        _ => Err(QueryError::Invalid(format!(
            "a bucket of {span} is too short or too long"
        ))),
    }
}

/// The coarsest tier whose rows have all that the question asks for.
fn coarsest(filter: &Filter, columns: &[Column], bucket: Option<i64>) -> Tier {
    let kept = |column: Column| {
        column.field().identity || column == crate::lower::PROTOCOL || schema::ROLLUP_KEYS.contains(&column)
    };
    let mut all = columns.iter().all(|column| kept(*column));
    expr::columns(&filter.test, &mut |column| all &= kept(column));
    let fits = |tier: &Tier| {
        let length = tier.bucket().unwrap_or(1);
        bucket.is_none_or(|bucket| bucket % length == 0)
    };
    let tiers = Tier::ALL.into_iter().rev();
    tiers.filter(|_| all).find(fits).unwrap_or(Tier::Raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_is_asked_once_and_time_not_beside_a_bucket() {
        let names = |in_buckets| -> Vec<&str> {
            let columns = ["ns", "time", "dst_port", "ns", "time"].map(Column::of);
            let once = asked_once(columns.into(), in_buckets);
            once.into_iter().map(Column::name).collect()
        };
        assert_eq!(names(false), ["ns", "time", "dst_port"]);
        assert_eq!(names(true), ["ns", "dst_port"]);
    }
}
