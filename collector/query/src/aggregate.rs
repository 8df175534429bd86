//! Sums over groups: from the question to a plan, from what the plan gives to
//! the answer.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{col, lit};
use jiff::Timestamp;
use weir_api::fields::Column;
use weir_store::{Reader, Tier, TimeRange, View, schema};

use crate::engine::{self, Ran, Task};
use crate::filter::{Filter, expr};
use crate::groups::{self, Keys};
use crate::lower::{Over, time_value};
use crate::measure::{self, Sum};
use crate::output::present;
use crate::parts::{self, Batch, Piece};
use crate::rank::{Ranked, Table};
use crate::who::Who;
use crate::{
    Answer, Explanation, Limits, Measure, Note, NoteKind, QueryError, Question, Since, Until, compile,
};

/// A question that was understood, and the view that it is asked of.
struct Asked {
    view: View,
    who: Who,
    range: TimeRange,
    filter: Filter,
    all_observations: bool,
    keys: Keys,
    bucket: Option<i64>,
    measures: Vec<Measure>,
    sums: Vec<Sum>,
    by: Measure,
    top: usize,
    conversation: bool,
    pieces: Vec<Piece>,
}

/// Sums over groups of flows.
pub(crate) async fn answer(
    reader: &Reader,
    question: &Question,
    limits: &Limits,
) -> Result<Answer, QueryError> {
    let mut asked = Asked::new(reader, question, limits)?;
    let ran = asked.run(limits).await?;
    asked.finish(&ran, limits)
}

/// Answers a question and says how.
pub(crate) async fn explain(
    reader: &Reader,
    question: &Question,
    limits: &Limits,
) -> Result<Explanation, QueryError> {
    let mut asked = Asked::new(reader, question, limits)?;
    let ran = asked.run(limits).await?;
    let answer = asked.finish(&ran, limits)?;
    let memory = &asked.view.memory;
    Ok(Explanation {
        filter: question.filter.clone(),
        parts: asked.pieces.iter().map(|piece| piece.explained(memory)).collect(),
        stats: answer.stats,
        notes: answer.notes,
        plan: ran.plan(),
    })
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
        let is_bucket = in_buckets && column == Column::of("time");
        if !is_bucket && !once.contains(&column) {
            once.push(column);
        }
    }
    once
}

impl Asked {
    fn new(reader: &Reader, question: &Question, limits: &Limits) -> Result<Self, QueryError> {
        let range = range(question.since, question.until)?;
        let filter = compile(&question.filter)?.within(&limits.scope);
        let bucket = bucket(question)?;
        let columns = asked_once(groups::columns(&question.group_by)?, bucket.is_some());
        let measures = measure::measures(question);
        let conversation = question.conversation || measures.iter().any(|m| m.has_direction());
        let view = reader.view(range);
        let who = Who::new(&view.identities);
        let coarsest = match question.raw_only || question.all_observations {
            true => Tier::Raw,
            false => coarsest(&filter, &columns, bucket),
        };
        let sums = measure::sums(&measures);
        Ok(Self {
            pieces: parts::pieces(&view, range, coarsest),
            keys: Keys::new(columns, &who, bucket)?,
            all_observations: question.all_observations,
            by: question.by,
            top: question.top.unwrap_or(usize::MAX),
            view,
            who,
            range,
            filter,
            bucket,
            measures,
            sums,
            conversation,
        })
    }

    /// Runs the plan; once more without the segments that cannot be read.
    async fn run(&mut self, limits: &Limits) -> Result<Ran, QueryError> {
        match engine::run(self.task(limits)?).await {
            Err(QueryError::Engine(_))
                if parts::leave_out_unreadable(&mut self.pieces, &mut self.view).await =>
            {
                engine::run(self.task(limits)?).await
            }
            ran => ran,
        }
    }

    fn task<'a>(&self, limits: &'a Limits) -> Result<Task<'a>, QueryError> {
        Ok(Task {
            plan: self.plan()?,
            limits,
            filter_first: expr::is_selective(&self.filter.test),
            most: limits.max_groups,
            too_many: QueryError::TooManyGroups,
        })
    }

    fn plan(&self) -> Result<LogicalPlan, QueryError> {
        let mut plan: Option<LogicalPlanBuilder> = None;
        let mirrored: &[bool] = if self.conversation {
            &[false, true]
        } else {
            &[false]
        };
        for piece in &self.pieces {
            for &mirrored in mirrored {
                for batch in piece.batches(&self.view.memory) {
                    let part = self.part(batch, mirrored)?;
                    plan = Some(match plan {
                        Some(plan) => plan.union(part)?,
                        None => LogicalPlanBuilder::from(part),
                    });
                }
            }
        }
        let plan = match plan {
            Some(plan) => plan,
            None => LogicalPlanBuilder::from(self.nothing()?),
        };
        let keys: Vec<Expr> = self.keys.names().into_iter().map(col).collect();
        let sums = self.sums.iter().map(|s| sum(col(s.name())).alias(s.name()));
        let names = self.keys.names();
        let all = names
            .iter()
            .map(String::as_str)
            .chain(self.sums.iter().map(|s| s.name()));
        let ordered: Vec<Expr> = all.map(col).collect();
        let plan = plan.aggregate(keys, sums.collect::<Vec<_>>())?.project(ordered)?;
        Ok(plan.build()?)
    }

    /// Keys and what is added up, of the rows that the filter lets through.
    fn part(&self, batch: Batch, mirrored: bool) -> Result<LogicalPlan, QueryError> {
        let filter = if mirrored {
            self.filter.mirrored()
        } else {
            self.filter.clone()
        };
        let filter = match batch.sums || self.all_observations {
            true => filter,
            false => filter.primary(),
        };
        let mut test = Over::Facts(&self.who).test(&filter.test)?;
        if let Some(bounds) = batch.bounds {
            test = within(bounds).and(test);
        }
        let mut columns = self.keys.expressions(mirrored);
        columns.extend(self.sums.iter().map(|sum| sum.expression(batch.sums, mirrored)));
        let table = provider_as_source(Arc::new(batch.rows));
        let plan = LogicalPlanBuilder::scan("flows", table, None)?;
        Ok(plan.filter(test)?.project(columns)?.build()?)
    }

    /// A part that has no row.
    fn nothing(&self) -> Result<LogicalPlan, QueryError> {
        let rows = parts::Batch {
            rows: crate::scan::Rows::facts(Vec::new(), &[]),
            sums: false,
            bounds: None,
        };
        self.part(rows, false)
    }

    fn finish(&self, ran: &Ran, limits: &Limits) -> Result<Answer, QueryError> {
        let keys = self.keys.names().len();
        let mut table = Table::new(&ran.rows, keys, self.sums.clone());
        let kept = match self.conversation && self.keys.is_symmetric() {
            true => table.join(&self.keys)?,
            false => vec![true; ran.rows.num_rows()],
        };
        let ranked = table.rank(&self.keys, &kept, Sum::of(self.by), self.top)?;
        if ranked.shown.len() > limits.max_rows {
            return Err(QueryError::TooManyRows(limits.max_rows));
        }
        let mut stats = ran.stats;
        stats.segments = self.pieces.iter().map(Piece::segments).sum();
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
        let mut notes = parts::notes(&self.view, &self.pieces);
        if ranked.groups > self.top {
            let message = format!("{} of {} groups are shown", self.top, ranked.groups);
            notes.push(Note {
                kind: NoteKind::Truncated,
                message,
            });
        }
        notes
    }

    fn rows(&self, table: &Table, ranked: &Ranked) -> Result<RecordBatch, QueryError> {
        let shown = UInt32Array::from(ranked.shown.clone());
        let keys = table.keys.iter().map(|key| take(key, &shown, None));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let mut columns = self.keys.read(&keys)?;
        let sums = |at: usize| {
            ranked
                .shown
                .iter()
                .map(move |row| table.values[at][*row as usize])
        };
        columns.extend(self.measured(|at| Box::new(sums(at)), self.bucket));
        Ok(present(columns, ranked.shown.len())?)
    }

    fn other(&self, table: &Table, ranked: &Ranked) -> Result<RecordBatch, QueryError> {
        let mut columns = Vec::new();
        if self.bucket.is_some() {
            let rows = ranked.other.iter().map(|(row, _)| row.unwrap_or_default());
            let rows = UInt32Array::from_iter_values(rows);
            columns.push(("time".to_owned(), take(&table.keys[0], &rows, None)?));
        }
        let sums = |at: usize| ranked.other.iter().map(move |(_, sums)| sums[at]);
        columns.extend(self.measured(|at| Box::new(sums(at)), self.bucket));
        Ok(present(columns, ranked.other.len())?)
    }

    fn totals(&self, ranked: &Ranked) -> Result<RecordBatch, QueryError> {
        let columns = self.measured(|at| Box::new(std::iter::once(ranked.totals[at])), None);
        Ok(present(columns.collect(), 1)?)
    }

    /// The measures, from the sums at their places.
    fn measured<'a>(
        &'a self,
        sums: impl Fn(usize) -> Box<dyn Iterator<Item = u64> + 'a> + 'a,
        bucket: Option<i64>,
    ) -> impl Iterator<Item = (String, ArrayRef)> + 'a {
        let micros = bucket.unwrap_or_else(|| self.range.until.saturating_sub(self.range.from));
        self.measures.iter().map(move |measure| {
            let at = self.sums.iter().position(|sum| *sum == Sum::of(*measure));
            let values = measure::values(*measure, sums(at.unwrap_or_default()), micros);
            (measure.as_str().to_owned(), values)
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
