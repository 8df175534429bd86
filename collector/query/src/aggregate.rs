//! Sums over groups: from the question to what is read, from what that gives to the answer.

use std::sync::Arc;

use arrow::array::ArrayRef;
use jiff::Timestamp;
use weir_store::{Reader, TimeRange};

use crate::aggregation::Aggregate;
use crate::amount::Group;
use crate::broken_segment::answer_whole;
use crate::bucket::Buckets;
use crate::budget::{Budget, off_thread};
use crate::compared::Compared;
use crate::group_key::{are_symmetric, group_keys};
use crate::period::{Period, Sums, asked_once};
use crate::rank::{Ranked, Ranking, Table};
use crate::run::{self, QueryRun};
use crate::segment_reader::OpenedSegments;
use crate::shift::Shift;
use crate::shown::Shown;
use crate::states::State;
use crate::tier_slice::TierSlice;
use crate::{Answer, Cover, Explanation, Measure, QueryError, Question, Since, Until, compile};

/// A question that was understood, and the views that it is asked of.
pub(crate) struct PreparedQuestion {
    pub(crate) reader: Reader,
    pub(crate) sums: Sums,
    pub(crate) measures: Vec<Measure>,
    pub(crate) by: Measure,
    pub(crate) top: usize,
    pub(crate) cover: Option<Cover>,
    /// Now, and the range that it is compared with.
    pub(crate) periods: Vec<Period>,
    pub(crate) budget: Budget,
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
    let parts = asked.periods.iter().rev().flat_map(|period| &period.slices);
    let plans: Vec<String> = ran.iter().map(QueryRun::plan).collect();
    Ok(Explanation {
        filter: question.filter.clone(),
        parts: parts.map(TierSlice::explained).collect(),
        stats: answer.stats,
        notes: answer.notes,
        plan: plans.join("\n"),
    })
}

async fn ask(
    reader: &Reader,
    question: &Question,
    budget: &Budget,
) -> Result<(PreparedQuestion, Vec<QueryRun>, Answer), QueryError> {
    answer_whole(reader, |opened| attempt(reader, question, budget, opened)).await
}

async fn attempt(
    reader: &Reader,
    question: &Question,
    budget: &Budget,
    opened: Arc<OpenedSegments>,
) -> Result<(PreparedQuestion, Vec<QueryRun>, Answer), QueryError> {
    let (reader, question, budget) = (reader.clone(), question.clone(), budget.clone());
    let prepared = off_thread(move || {
        let asked = PreparedQuestion::new(&reader, &question, &budget)?;
        let plans = asked.periods.iter().map(|period| period.plan(&asked.sums));
        let plans = plans.collect::<Result<Vec<_>, _>>()?;
        Ok((asked, plans))
    });
    let (asked, plans) = prepared.await?;
    let mut ran = Vec::new();
    for plan in plans {
        let task = asked.sums.task(plan, &asked.budget, Arc::clone(&opened));
        ran.push(run::run(task).await?);
    }
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

/// The measures of a question, each once.
fn measures(question: &Question) -> Vec<Measure> {
    let usual = [Measure::Bytes, Measure::Packets, Measure::Flows];
    let asked = match question.measures.as_slice() {
        [] => &usual,
        asked => asked,
    };
    let mut once = Vec::new();
    for measure in asked.iter().chain([&question.by]) {
        if !once.contains(measure) {
            once.push(*measure);
        }
    }
    once
}

/// So many measures at most: each is worked out and written for each row.
const MOST_MEASURES: usize = 32;

/// An error where what is asked for is nothing, or without bounds.
fn check(question: &Question, measures: &[Measure]) -> Result<(), QueryError> {
    let by = question.by;
    let wrong = |what: &str, remedy: &str| Err(QueryError::Invalid(format!("{what}: {remedy}")));
    // What is ordered by is asked for by itself.
    let many =
        measures.len() - usize::from(!question.measures.is_empty() && !question.measures.contains(&by));
    if many > MOST_MEASURES {
        return wrong(
            "measures",
            &format!("{many} are too many: ask for {MOST_MEASURES} at most"),
        );
    }
    if by == Measure::Share {
        return wrong(
            "by",
            "share is of what is ordered by: order by that, such as bytes",
        );
    }
    let adds_up = "order by what adds up, such as bytes, packets or flows";
    if !by.adds_up() && measures.contains(&Measure::Share) {
        return wrong("measures", &format!("there is no share of {by}: {adds_up}"));
    }
    if !by.adds_up() && question.cover.is_some() {
        return wrong("cover", &format!("groups carry no part of {by}: {adds_up}"));
    }
    Ok(())
}

impl PreparedQuestion {
    fn new(reader: &Reader, question: &Question, budget: &Budget) -> Result<Self, QueryError> {
        let measures = measures(question);
        check(question, &measures)?;
        let range = range(question.since, question.until)?;
        let group_by = asked_once(group_keys(&question.group_by)?, question);
        let conversation = question.conversation || measures.iter().any(|m| m.has_direction());
        let sums = Sums {
            filter: compile(&question.filter)?.within(&budget.limits.scope),
            aggregates: Aggregate::all(&measures, conversation && are_symmetric(&group_by)),
            buckets: Buckets::of(question, range)?,
            all_observations: question.all_observations,
            raw_only: question.raw_only,
            group_by,
            conversation,
        };
        let buckets = sums.buckets.as_ref();
        let then = question.compare.map(|compare| Shift::of(compare, range, buckets));
        let periods = [(range, Shift::NONE)].into_iter().chain(then.transpose()?);
        let periods = periods.map(|period| Period::new(reader, &sums, period, budget));
        Ok(Self {
            periods: periods.collect::<Result<_, _>>()?,
            by: question.by,
            top: question.top.unwrap_or(usize::MAX),
            cover: question.cover,
            budget: budget.clone(),
            reader: reader.clone(),
            measures,
            sums,
        })
    }

    fn finish(&self, ran: &[QueryRun]) -> Result<Answer, QueryError> {
        let mut stats = ran[0].stats;
        ran[1..].iter().for_each(|more| stats.add(&more.stats));
        stats.segments = self.periods.iter().map(Period::segments).sum();
        let tables = self.periods.iter().zip(ran);
        let tables = tables.map(|(period, ran)| period.table(&self.sums, ran));
        let mut tables = tables.collect::<Result<Vec<_>, _>>()?.into_iter();
        let (Some(now), then) = (tables.next(), tables.next()) else {
            return Err(QueryError::Engine("there is no range".to_owned()));
        };
        let compared = then
            .map(|then| Compared::new(&self.periods, [&now, &then]))
            .transpose()?;
        let table = compared.as_ref().map_or(&now, |compared| &compared.table);
        let names = match &compared {
            Some(compared) => compared.names(&self.periods[0].keys),
            None => table.keys[usize::from(self.sums.buckets.is_some())..].to_vec(),
        };
        self.budget.check()?;
        let ranked = self.rank(table, &names)?;
        self.budget.check()?;
        let max_rows = self.budget.limits.max_rows;
        if ranked.shown.len() > max_rows {
            return Err(QueryError::TooManyRows(max_rows));
        }
        let shown = Shown::new(self, table, &ranked);
        shown.answer(compared.as_ref(), stats)
    }

    fn rank(&self, table: &Table, names: &[ArrayRef]) -> Result<Ranked, QueryError> {
        let aggregates = &self.sums.aggregates;
        let place = |state: &dyn Fn(usize) -> State, period: usize| {
            let state = |aggregate| self.state(aggregate, period, state);
            let bounds = self.periods[period].range;
            self.group(&state, period, bounds, 0).rank(self.by)
        };
        let needed = Aggregate::all(&[self.by], false);
        let needs = (0..table.columns.len()).filter(|at| needed.contains(&aggregates[at % aggregates.len()]));
        let ranking = Ranking {
            buckets: self.sums.buckets.is_some(),
            by: &|state| {
                (0..self.periods.len())
                    .map(|period| place(state, period))
                    .max()
                    .unwrap_or(0)
            },
            needs: &needs.collect::<Vec<_>>(),
            top: self.top,
            cover: self.cover,
        };
        table.rank(names, &ranking)
    }

    /// What was worked out in a period, out of the columns of all of them.
    pub(crate) fn state(
        &self,
        aggregate: Aggregate,
        period: usize,
        column: &dyn Fn(usize) -> State,
    ) -> State {
        let aggregates = &self.sums.aggregates;
        let at = aggregates.iter().position(|its| *its == aggregate);
        match at {
            Some(at) => column(period * aggregates.len() + at),
            None => State::none(aggregate),
        }
    }

    /// A group that has these states in a part of a period; all have so much of what is
    /// ordered by.
    pub(crate) fn group<'a>(
        &self,
        state: &'a dyn Fn(Aggregate) -> State,
        period: usize,
        bounds: TimeRange,
        whole: u64,
    ) -> Group<'a> {
        Group {
            state,
            bounds,
            whole,
            interval: self.sums.interval(),
            later: self.periods[period].shift.of_intervals(),
            by: self.by,
        }
    }
}

#[cfg(test)]
mod tests;
