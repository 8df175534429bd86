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
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as Done;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr};
use datafusion::prelude::col;
use weir_api::fields::Column;
use weir_store::schema::{DST_ID, SRC_ID};
use weir_store::{Batch, Reader, Segment, TimeRange, View};

use crate::aggregate::range;
use crate::aggregation::quantity;
use crate::broken_segment::answer_whole;
use crate::budget::{Budget, off_thread};
use crate::cursor::{Cursor, after, narrowed, times};
use crate::groups;
use crate::identity_table::IdentityTable;
use crate::lower::LoweringContext;
use crate::period::within;
use crate::records::{shown, stored};
use crate::run::{self, QueryRun, Task};
use crate::scan::SegmentScan;
use crate::segment_reader::OpenedSegments;
use crate::{Filter, FlowsPage, FlowsRequest, Note, NoteKind, Order, QueryError, Stats, tier_slice};

/// Records on a page unless asked otherwise.
const PAGE: usize = 100;
/// Each step looks at so many times the records of the one before: the first at about as
/// many as fit on the page, and a filter that lets few through makes few steps.
const STEP_GROWS: u64 = 64;

/// The column that the largest are ordered by.
const SIZE: &str = "size";

/// Where records are, and from when to when.
#[derive(Debug, Clone)]
enum RecordSource {
    Segment(Arc<Segment>),
    Memory(Batch),
}

impl RecordSource {
    fn time(&self) -> TimeRange {
        match self {
            Self::Segment(segment) => segment.time,
            Self::Memory(rows) => rows.time(),
        }
    }

    fn rows(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.rows,
            Self::Memory(rows) => rows.num_rows() as u64,
        }
    }
}

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
            names: needed(&columns, &filled(&view)),
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
            let ran = self.run(&taken, bounds, opened).await?;
            stats.add(&ran.stats);
            found = Some(self.merged(found, ran.rows)?);
            step = step.saturating_mul(STEP_GROWS);
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
        match self.order {
            Order::Oldest => TimeRange {
                until: self.range.until.min(edge.saturating_add(1)),
                ..self.range
            },
            Order::Newest | Order::Largest(_) => TimeRange {
                from: self.range.from.max(edge),
                ..self.range
            },
        }
    }

    async fn run(
        &self,
        sources: &[RecordSource],
        bounds: TimeRange,
        opened: &Arc<OpenedSegments>,
    ) -> Result<QueryRun, QueryError> {
        let task = Task {
            plan: self.plan(sources, bounds)?,
            limits: &self.budget.limits,
            filter_first: true,
            most: self.wanted(),
            too_many: QueryError::TooManyRows,
            opened: Arc::clone(opened),
        };
        run::run(task).await
    }

    fn plan(&self, sources: &[RecordSource], bounds: TimeRange) -> Result<LogicalPlan, QueryError> {
        let part = |rows: SegmentScan, test: Expr| -> Done<LogicalPlan> {
            let plan = LogicalPlanBuilder::scan("flows", provider_as_source(Arc::new(rows)), None)?;
            let names = self.names.iter().map(|name| col(*name));
            plan.filter(test)?.project(names.chain(self.size()))?.build()
        };
        let is_inside = |source: &RecordSource| tier_slice::is_inside(source.time(), bounds);
        let (whole, cut): (Vec<_>, Vec<_>) = sources.iter().cloned().partition(is_inside);
        let whole = part(rows(whole), self.test.clone())?;
        let cut = part(rows(cut), within(bounds).and(self.test.clone()))?;
        let sorted: Vec<SortExpr> = self.sorting().map(|(name, options)| by(name, options)).collect();
        let plan = LogicalPlanBuilder::from(whole).union(cut)?;
        Ok(plan.sort_with_limit(sorted, Some(self.wanted()))?.build()?)
    }

    /// What the largest have most of.
    fn size(&self) -> Option<Expr> {
        match self.order {
            Order::Largest(of) => Some(quantity(of).alias(SIZE)),
            Order::Newest | Order::Oldest => None,
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
        let by_size = self.size().map(|_| (SIZE, options(true)));
        let by_size = by_size.into_iter();
        by_size
            .chain([by_time])
            .chain(ties.map(move |name| (name, options(false))))
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
            notes.push(Note {
                kind: NoteKind::Truncated,
                message: format!(
                    "there are more records than the {} largest: ask for more by limit",
                    self.limit
                ),
            });
        }
        Ok(FlowsPage {
            cursor: (has_more && has_pages).then(|| after(&page, self.cursor).to_string()),
            rows: shown(&page, &self.who, &self.columns)?,
            notes,
            stats,
        })
    }
}

/// How many of the last sources are read in a step of so many records.
fn step_of(left: &[RecordSource], records: u64) -> usize {
    let mut before = 0_u64;
    let fits = left.iter().rev().take_while(|source| {
        let fits = before < records;
        before = before.saturating_add(source.rows());
        fits
    });
    fits.count()
}

fn rows(sources: Vec<RecordSource>) -> SegmentScan {
    let (mut segments, mut memory) = (Vec::new(), Vec::new());
    for source in sources {
        match source {
            RecordSource::Segment(segment) => segments.push(segment),
            RecordSource::Memory(rows) => memory.push(rows),
        }
    }
    SegmentScan::facts(segments, memory)
}

fn by(name: &str, options: SortOptions) -> SortExpr {
    col(name).sort(!options.descending, options.nulls_first)
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
fn needed(columns: &[Column], filled: &HashSet<String>) -> Vec<&'static str> {
    let mut names = vec!["time", SRC_ID, DST_ID];
    let asked = columns.iter().filter(|column| !column.field().identity);
    for name in ties().chain(asked.map(|column| stored(*column))) {
        if filled.contains(name) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
