//! Records a page at a time.
//!
//! Records are ordered by time and, at one time, by what they are; a cursor says
//! the time where a page ended and how many records of that time were shown.
//! Columns that no record has are not read: a page has nothing in them.
//!
//! Segments and rows in memory are read in the order of their times, some at a time, until
//! the page is full and what is left is beyond its end. The largest may be anywhere, so that
//! all is read for them, and there is no next page.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch};
use datafusion_expr::{Expr, col};
use weir_api::fields::Column;
use weir_store::schema::{DST_ID, SRC_ID};
use weir_store::{Reader, TimeRange, View};

use crate::aggregate::range;
use crate::aggregation::quantity;
use crate::broken_segment::answer_whole;
use crate::budget::{Budget, off_thread};
use crate::cursor::{Cursor, after, narrowed, times};
use crate::groups;
use crate::identity_table::IdentityTable;
use crate::lower::LoweringContext;
use crate::period::within;
use crate::plan::{Part, Plan};
use crate::record_source::{RecordSource, scan, step_of};
use crate::records::{shown, stored};
use crate::run::{self, QueryRun, Task};
use crate::segment_reader::OpenedSegments;
use crate::{
    Filter, FlowsPage, FlowsRequest, Note, NoteKind, Order, Quantity, QueryError, Stats, tier_slice,
};

/// Records on a page unless asked otherwise.
const PAGE: usize = 100;
/// Each step looks at so many times the records of the one before: the first at about as
/// many as fit on the page, and a filter that lets few through makes few steps.
const STEP_GROWS: u64 = 64;
/// In so many rows, the times of a page's records are looked for before these.
const MANY_ROWS: u64 = 1 << 16;

/// A request that was understood, and the view that it is asked of.
struct PreparedRequest {
    reader: Reader,
    view: View,
    who: IdentityTable,
    range: TimeRange,
    columns: Vec<Column>,
    /// The stored columns that are read.
    names: Vec<&'static str>,
    test: Expr,
    order: Order,
    limit: usize,
    cursor: Option<Cursor>,
    budget: Budget,
}

/// A page of records.
pub(crate) async fn flows(
    reader: &Reader,
    request: &FlowsRequest,
    budget: &Budget,
) -> Result<FlowsPage, QueryError> {
    answer_whole(reader, |opened| attempt(reader, request, budget, opened)).await
}

async fn attempt(
    reader: &Reader,
    request: &FlowsRequest,
    budget: &Budget,
    opened: Arc<OpenedSegments>,
) -> Result<FlowsPage, QueryError> {
    let (reader, request, budget) = (reader.clone(), request.clone(), budget.clone());
    let asked = off_thread(move || PreparedRequest::new(&reader, &request, &budget)).await?;
    let (found, stats) = asked.read(&opened).await?;
    off_thread(move || asked.page(&found, stats)).await
}

impl PreparedRequest {
    fn new(reader: &Reader, request: &FlowsRequest, budget: &Budget) -> Result<Self, QueryError> {
        let columns = match request.columns.as_slice() {
            [] => Column::all().collect(),
            names => groups::columns(names)?,
        };
        let most = budget.limits.max_rows;
        let limit = request.limit.unwrap_or(PAGE).max(1);
        let cursor: Option<Cursor> = request.cursor.as_deref().map(str::parse).transpose()?;
        let skip = cursor.map_or(0, |cursor| cursor.shown);
        if limit > most || skip > most {
            return Err(QueryError::TooManyRows(most));
        }
        if let (Order::Largest(of), Some(_)) = (request.order, cursor) {
            let message = format!(
                "cursor: records by {} have one page: ask for more by limit",
                of.as_str()
            );
            return Err(QueryError::Invalid(message));
        }
        let range = narrowed(range(request.since, request.until)?, cursor, request.order);
        let (both, all) = (request.both_directions, request.all_observations);
        let filter = Filter::of_records(&request.filter, both, all, &budget.limits.scope)?;
        let view = reader.view(range);
        let who = IdentityTable::within(&view.identities, budget);
        Ok(Self {
            test: LoweringContext::Facts(&who).test(&filter.test)?,
            names: needed(&columns, request.order, &filled(&view)),
            order: request.order,
            reader: reader.clone(),
            budget: budget.clone(),
            view,
            who,
            range,
            columns,
            limit,
            cursor,
        })
    }

    /// So many records are to be found: those of the page, those of earlier pages that
    /// have the time where it begins, and one that tells whether there are more.
    fn wanted(&self) -> usize {
        let skip = self.cursor.map_or(0, |cursor| cursor.shown);
        skip.saturating_add(self.limit).saturating_add(1)
    }

    /// The first records of the range, in order.
    async fn read(&self, opened: &Arc<OpenedSegments>) -> Result<(Option<RecordBatch>, Stats), QueryError> {
        let (mut found, mut stats) = (None, Stats::default());
        let mut left = self.sources();
        let mut step = self.wanted() as u64;
        while let Some(next) = left.last() {
            let bounds = self.bounds(found.as_ref());
            if !next.time().overlaps(&bounds) {
                break;
            }
            let next = match self.order {
                Order::Largest(_) => left.len(),
                Order::Newest | Order::Oldest => step_of(&left, step),
            };
            let taken = left.split_off(left.len() - next);
            step = step.saturating_mul(STEP_GROWS);
            let (taken, bounds) = self.edge(taken, bounds, opened, &mut stats).await?;
            if taken.is_empty() {
                continue;
            }
            let ran = self.run(self.plan(&taken, bounds), opened).await?;
            stats.add(&ran.stats);
            found = Some(self.merged(found, ran.rows)?);
        }
        stats.segments = self.view.raw.len();
        Ok((found, stats))
    }

    /// Where records may be, the first in the order of the page last.
    fn sources(&self) -> Vec<RecordSource> {
        let segments = self.view.raw.iter().cloned().map(RecordSource::Segment);
        let memory = self.view.memory.iter().cloned().map(RecordSource::Memory);
        let sources = segments
            .chain(memory)
            .filter(|source| source.time().overlaps(&self.range));
        let mut sources: Vec<RecordSource> = sources.collect();
        match self.order {
            Order::Newest | Order::Largest(_) => sources.sort_by_key(|source| source.time().until),
            Order::Oldest => sources.sort_by_key(|source| std::cmp::Reverse(source.time().from)),
        }
        sources
    }

    /// What is left of the range: once enough was found, nothing beyond the last of it.
    fn bounds(&self, found: Option<&RecordBatch>) -> TimeRange {
        if matches!(self.order, Order::Largest(_)) {
            return self.range;
        }
        let full = found.filter(|found| found.num_rows() >= self.wanted());
        let Some(edge) = full.and_then(|found| times(found).last().copied()) else {
            return self.range;
        };
        self.until_time(self.range, edge)
    }

    /// What of the range a page has whose last record has this time.
    fn until_time(&self, range: TimeRange, last: i64) -> TimeRange {
        match self.order {
            Order::Oldest => TimeRange {
                until: range.until.min(last.saturating_add(1)),
                ..range
            },
            Order::Newest | Order::Largest(_) => TimeRange {
                from: range.from.max(last),
                ..range
            },
        }
    }

    /// Which of these sources have records of the page, and of which times these are. In many
    /// rows times alone are looked for first: they tell whether a row is on the page, and all
    /// that orders records of one time is dear to read. Where a filter lets few through, what
    /// holds none of them is not read again.
    async fn edge(
        &self,
        mut sources: Vec<RecordSource>,
        bounds: TimeRange,
        opened: &Arc<OpenedSegments>,
        stats: &mut Stats,
    ) -> Result<(Vec<RecordSource>, TimeRange), QueryError> {
        let rows: u64 = sources.iter().map(RecordSource::rows).sum();
        if rows < MANY_ROWS || matches!(self.order, Order::Largest(_)) {
            return Ok((sources, bounds));
        }
        let by_time = self.sorting().take(1).collect();
        let ran = self
            .run(self.first(&sources, bounds, &["time"], by_time), opened)
            .await?;
        stats.add(&ran.stats);
        let mut times = times(&ran.rows).to_vec();
        let last = times.last().copied();
        times.sort_unstable();
        sources.retain(|source| source.has_any(&times));
        Ok((sources, last.map_or(bounds, |last| self.until_time(bounds, last))))
    }

    async fn run(&self, plan: Plan, opened: &Arc<OpenedSegments>) -> Result<QueryRun, QueryError> {
        let task = Task {
            plan,
            limits: &self.budget.limits,
            filter_first: true,
            most: self.wanted(),
            too_many: QueryError::TooManyRows,
            opened: Arc::clone(opened),
        };
        run::run(task).await
    }

    fn plan(&self, sources: &[RecordSource], bounds: TimeRange) -> Plan {
        self.first(sources, bounds, &self.names, self.sorting().collect())
    }

    /// The first rows of these sources in an order.
    fn first(
        &self,
        sources: &[RecordSource],
        bounds: TimeRange,
        names: &[&str],
        order: Vec<(&str, SortOptions)>,
    ) -> Plan {
        let part = |sources, test: Expr| {
            let columns = names.iter().map(|name| col(*name));
            Part::new(scan(sources), &test, columns.chain(self.size()).collect())
        };
        let is_inside = |source: &RecordSource| tier_slice::is_inside(source.time(), bounds);
        let (whole, cut) = sources.iter().cloned().partition(is_inside);
        let order = order
            .into_iter()
            .map(|(name, options)| (name.to_owned(), options));
        Plan::First {
            parts: vec![
                part(whole, self.test.clone()),
                part(cut, within(bounds).and(self.test.clone())),
            ],
            order: order.collect(),
            fetch: self.wanted(),
        }
    }

    /// What the largest have most of, where it is no column of the store.
    fn size(&self) -> Option<Expr> {
        match self.order {
            Order::Largest(of @ Quantity::Duration) => Some(quantity(of).alias(of.as_str())),
            _ => None,
        }
    }

    /// What records are ordered by, first to last.
    fn sorting(&self) -> impl Iterator<Item = (&'static str, SortOptions)> {
        let options = |descending| SortOptions {
            descending,
            nulls_first: false,
        };
        let ties = ties().filter(|name| self.names.contains(name));
        let by_time = ("time", options(self.order != Order::Oldest));
        let size = match self.order {
            Order::Largest(of) => Some((of.as_str(), options(true))),
            Order::Newest | Order::Oldest => None,
        };
        let ties = ties.filter(move |name| size.is_none_or(|(size, _)| size != *name));
        let ties = ties.map(move |name| (name, options(false)));
        size.into_iter().chain([by_time]).chain(ties)
    }

    /// The first of both, in order.
    fn merged(&self, found: Option<RecordBatch>, more: RecordBatch) -> Result<RecordBatch, QueryError> {
        let Some(found) = found else { return Ok(more) };
        let both = concat_batches(&more.schema(), [&found, &more])?;
        let columns = self.sorting().filter_map(|(name, options)| {
            Some(SortColumn {
                values: both.column_by_name(name)?.clone(),
                options: Some(options),
            })
        });
        let order = lexsort_to_indices(&columns.collect::<Vec<_>>(), Some(self.wanted()))?;
        Ok(take_record_batch(&both, &order)?)
    }

    /// The page out of the records that were found.
    fn page(&self, found: &Option<RecordBatch>, stats: Stats) -> Result<FlowsPage, QueryError> {
        let nothing = RecordBatch::new_empty(weir_store::schema::facts());
        let found = found.as_ref().unwrap_or(&nothing);
        let skip = self.cursor.map_or(0, |cursor| cursor.shown).min(found.num_rows());
        let left = found.num_rows() - skip;
        let page = found.slice(skip, left.min(self.limit));
        let mut notes = tier_slice::notes(&self.reader, &self.view, &tier_slice::raw(self.range));
        let has_more = left > self.limit;
        let has_pages = !matches!(self.order, Order::Largest(_));
        if has_more && !has_pages {
            let message = format!(
                "there are more records than the {} largest: ask for more by limit",
                self.limit
            );
            notes.push(Note::new(NoteKind::Truncated, message));
        }
        Ok(FlowsPage {
            cursor: (has_more && has_pages).then(|| after(&page, self.cursor).to_string()),
            rows: shown(&page, &self.who, &self.columns)?,
            notes,
            stats,
        })
    }
}

/// The columns in which any row of the view may have a value.
fn filled(view: &View) -> HashSet<String> {
    let segments = view.raw.iter().flat_map(|segment| segment.schema.fields());
    let mut names: HashSet<String> = HashSet::new();
    for field in segments {
        if !names.contains(field.name()) {
            names.insert(field.name().clone());
        }
    }
    let in_memory = |column: &Column| view.memory.iter().any(|batch| batch.has(column.name()));
    names.extend(
        Column::all()
            .filter(in_memory)
            .map(|column| column.name().to_owned()),
    );
    names
}

/// The names of the columns that order records of one time.
fn ties() -> impl Iterator<Item = &'static str> {
    let columns = Column::all().filter(|column| column.field().orders || column.field().sparse);
    [SRC_ID, DST_ID].into_iter().chain(columns.map(Column::name))
}

/// The stored columns that these come from, and those that order, as far as they are
/// filled.
fn needed(columns: &[Column], order: Order, filled: &HashSet<String>) -> Vec<&'static str> {
    let mut names = vec!["time", SRC_ID, DST_ID];
    if let Order::Largest(of) = order
        && of != Quantity::Duration
    {
        names.push(of.as_str());
    }
    let asked = columns.iter().filter(|column| !column.field().identity);
    for name in ties().chain(asked.map(|column| stored(*column))) {
        if filled.contains(name) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
