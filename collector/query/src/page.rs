//! Records a page at a time, and as they arrive.
//!
//! Records are ordered by time and, at one time, by what they are; a cursor says
//! the time where a page ended and how many records of that time were shown.
//! Columns that no record has are not read: a page has nothing in them.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::{filter_record_batch, take};
use arrow::datatypes::{Schema, TimestampMicrosecondType};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as Done;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, SortExpr};
use datafusion::prelude::col;
use weir_api::fields::{Column, Side};
use weir_store::schema::{self, DST_ID, SRC_ID};
use weir_store::{Batch, Identities, Reader, Tier, TimeRange, View};

use crate::aggregate::{range, within};
use crate::engine::{self, Task};
use crate::filter::expr;
use crate::groups::{self, known_text};
use crate::lower::{self, Over, PROTO, PROTOCOL};
use crate::output::present;
use crate::parts::{self, Piece};
use crate::scan::Rows;
use crate::who::Who;
use crate::{Filter, FlowsPage, FlowsRequest, Limits, Order, QueryError, compile};

/// Records on a page unless asked otherwise.
const PAGE: usize = 100;

/// What orders records of one time: together with the sparse fields that there are,
/// all that tells two records apart.
const TIES: [&str; 16] = [
    SRC_ID,
    DST_ID,
    "addr",
    "dst_addr",
    "port",
    "dst_port",
    "proto",
    "bytes",
    "packets",
    "start",
    "end",
    "exporter",
    "if_index",
    "dst_if_index",
    "direction",
    "obs_point_id",
];

/// Text fields that a record always has, be it `""`.
const ALWAYS: [&str; 7] = [
    "format",
    "exporter_node",
    "verdict",
    "identified_by",
    "dst_identified_by",
    "server",
    "server_confidence",
];

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    time: i64,
    shown: usize,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time, self.shown)
    }
}

impl FromStr for Cursor {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let parsed = text
            .split_once('.')
            .and_then(|(time, shown)| Some((time.parse().ok()?, shown.parse().ok()?)));
        let (time, shown) =
            parsed.ok_or_else(|| QueryError::Invalid(format!("{text:?} is no cursor of a page")))?;
        Ok(Self { time, shown })
    }
}

/// A page of records.
pub(crate) async fn flows(
    reader: &Reader,
    request: &FlowsRequest,
    limits: &Limits,
) -> Result<FlowsPage, QueryError> {
    let columns = match request.columns.as_slice() {
        [] => Column::all().collect(),
        names => groups::columns(names)?,
    };
    let limit = request.limit.unwrap_or(PAGE).max(1);
    if limit > limits.max_rows {
        return Err(QueryError::TooManyRows(limits.max_rows));
    }
    let cursor: Option<Cursor> = request.cursor.as_deref().map(str::parse).transpose()?;
    let skip = cursor.map_or(0, |cursor| cursor.shown);
    let fetch = skip.saturating_add(limit).saturating_add(1);
    if fetch > limits.max_rows.saturating_mul(2).saturating_add(1) {
        return Err(QueryError::TooManyRows(limits.max_rows));
    }
    let range = narrowed(range(request.since, request.until)?, cursor, request.order);
    let mut filter = compile(&request.filter)?.within(&limits.scope);
    if !request.all_observations {
        filter = filter.primary();
    }
    let mut view = reader.view(range);
    let who = Who::new(&view.identities);
    let mut pieces = parts::pieces(&view, range, Tier::Raw);
    let names = needed(&columns, &filled(&view));
    let task = |pieces: &[Piece], memory: &[Batch]| -> Result<Task<'_>, QueryError> {
        Ok(Task {
            plan: plan(pieces, memory, &filter, &who, &names, request.order, fetch)?,
            limits,
            filter_first: true,
            most: fetch,
            too_many: QueryError::TooManyRows,
        })
    };
    let ran = match engine::run(task(&pieces, &view.memory)?).await {
        Err(QueryError::Engine(_)) if parts::leave_out_unreadable(&mut pieces, &mut view).await => {
            engine::run(task(&pieces, &view.memory)?).await?
        }
        ran => ran?,
    };
    let found = ran.rows.slice(
        skip.min(ran.rows.num_rows()),
        ran.rows.num_rows().saturating_sub(skip),
    );
    let page = found.slice(0, found.num_rows().min(limit));
    let more = found.num_rows() > limit;
    let mut stats = ran.stats;
    stats.segments = pieces.iter().map(Piece::segments).sum();
    Ok(FlowsPage {
        cursor: more.then(|| after(&page, cursor).to_string()),
        rows: shown(&page, &who, &columns)?,
        notes: parts::notes(&view, &pieces),
        stats,
    })
}

/// What is left of the range after the page that ended at the cursor.
fn narrowed(range: TimeRange, cursor: Option<Cursor>, order: Order) -> TimeRange {
    match (cursor, order) {
        (None, _) => range,
        (Some(cursor), Order::Newest) => TimeRange {
            until: range.until.min(cursor.time.saturating_add(1)),
            ..range
        },
        (Some(cursor), Order::Oldest) => TimeRange {
            from: range.from.max(cursor.time),
            ..range
        },
    }
}

/// Where a page ends that is not empty.
fn after(page: &RecordBatch, before: Option<Cursor>) -> Cursor {
    let times = page
        .column_by_name("time")
        .map(|column| column.as_primitive::<TimestampMicrosecondType>());
    let times = times.map_or(&[][..], |times| times.values());
    let time = times.last().copied().unwrap_or_default();
    let its = times.iter().rev().take_while(|its| **its == time).count();
    let earlier = before.filter(|before| before.time == time && its == times.len());
    Cursor {
        time,
        shown: its + earlier.map_or(0, |before| before.shown),
    }
}

fn plan(
    pieces: &[Piece],
    memory: &[Batch],
    filter: &Filter,
    who: &Who,
    names: &[&str],
    order: Order,
    fetch: usize,
) -> Result<LogicalPlan, QueryError> {
    let test = Over::Facts(who).test(&filter.test)?;
    let part = |rows: Rows, bounds: Option<TimeRange>| -> Done<LogicalPlan> {
        let plan = LogicalPlanBuilder::scan("flows", provider_as_source(Arc::new(rows)), None)?;
        let test = bounds.map_or(test.clone(), |bounds| within(bounds).and(test.clone()));
        plan.filter(test)?
            .project(names.iter().map(|name| col(*name)))?
            .build()
    };
    let mut plan: Option<LogicalPlanBuilder> = None;
    for batch in pieces.iter().flat_map(|piece| piece.batches(memory)) {
        let next = part(batch.rows, batch.bounds)?;
        plan = Some(match plan {
            Some(plan) => plan.union(next)?,
            None => LogicalPlanBuilder::from(next),
        });
    }
    let plan = match plan {
        Some(plan) => plan,
        None => LogicalPlanBuilder::from(part(Rows::facts(Vec::new(), &[]), None)?),
    };
    let by_time = col("time").sort(order == Order::Oldest, false);
    let ties = ties().filter(|name| names.contains(name));
    let ties = ties.map(|name| col(name).sort(true, false));
    let sorted: Vec<SortExpr> = std::iter::once(by_time).chain(ties).collect();
    Ok(plan.sort_with_limit(sorted, Some(fetch))?.build()?)
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
    let sparse = Column::all().filter(|column| column.field().sparse);
    TIES.into_iter().chain(sparse.map(Column::name))
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

/// The name of the column that is stored in place of one of a record itself.
fn stored(column: Column) -> &'static str {
    if column == PROTOCOL { PROTO } else { column.name() }
}

/// Stored rows as people read them.
fn shown(rows: &RecordBatch, who: &Who, columns: &[Column]) -> Result<RecordBatch, QueryError> {
    let mut read: Vec<(String, ArrayRef)> = Vec::with_capacity(columns.len());
    for &column in columns {
        let values = if column.field().identity {
            let id = if column.side() == Side::Dst {
                DST_ID
            } else {
                SRC_ID
            };
            let ids = rows.column_by_name(id).map(|ids| who.rows(ids.as_primitive()));
            ids.map(|ids| take(&who.values(column), &ids, None)).transpose()?
        } else {
            facts(rows, column).map(|values| told(column, &values))
        };
        read.extend(values.map(|values| (column.name().to_owned(), values)));
    }
    Ok(present(read, rows.num_rows())?)
}

/// The values of a column of the records themselves; nothing where no row has one.
fn facts(rows: &RecordBatch, column: Column) -> Option<ArrayRef> {
    let name = stored(column);
    if let Some(values) = rows.column_by_name(name) {
        return Some(Arc::clone(values));
    }
    let kind = schema::fact(Column::find(name)?)?;
    Some(new_null_array(&kind, rows.num_rows()))
}

/// A protocol that is absent has no name; some texts are there even when unknown.
fn told(column: Column, values: &ArrayRef) -> ArrayRef {
    if column == PROTOCOL {
        let named = known_text(column, Arc::clone(values));
        let absent = values.nulls().cloned();
        let data = named.to_data().into_builder().nulls(absent).build();
        return data.map_or(named, arrow::array::make_array);
    }
    match ALWAYS.contains(&column.name()) {
        true => known_text(column, Arc::clone(values)),
        false => Arc::clone(values),
    }
}

impl Filter {
    /// Which rows of a batch of stored facts, such as [`weir_store::Tail`] gives,
    /// the filter lets through. Nothing but the filter is looked at: not whether
    /// the observation is primary.
    ///
    /// # Errors
    /// A column has not the type that the store gives it.
    pub fn select(&self, rows: &RecordBatch, identities: &Identities) -> Result<BooleanArray, QueryError> {
        let who = Who::new(identities);
        let test = Over::Facts(&who).test(&self.test)?;
        Ok(lower::evaluate(&test, &self.looked_at(rows))?)
    }

    /// The columns of the rows that the filter looks at.
    fn looked_at(&self, rows: &RecordBatch) -> RecordBatch {
        let mut names = HashSet::from([SRC_ID, DST_ID]);
        expr::columns(&self.test, &mut |column| {
            names.insert(stored(column));
        });
        let facts = schema::facts();
        let fields = facts.fields().iter();
        let fields = fields
            .filter(|field| names.contains(field.name().as_str()))
            .cloned();
        schema::conform(rows, &Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// The records of a batch of stored facts that the filter lets through, as a
/// page has them: for a live tail. Only primary observations unless `all`.
///
/// # Errors
/// A name is none of a field, or a column has not the type that the store gives it.
pub fn tail(
    rows: &RecordBatch,
    identities: &Identities,
    filter: &Filter,
    columns: &[String],
    all: bool,
) -> Result<RecordBatch, QueryError> {
    let columns = match columns {
        [] => Column::all().collect(),
        names => groups::columns(names)?,
    };
    let filter = if all {
        filter.clone()
    } else {
        filter.clone().primary()
    };
    let chosen = filter.select(rows, identities)?;
    let rows = filter_record_batch(rows, &chosen)?;
    shown(&rows, &Who::new(identities), &columns)
}
