//! The flow matrix: who called whom, on which port, out of the edges of whole hours.
//!
//! ```text
//! stored edges, and records that are none yet -> added up over the hours -> direction settled
//!   -> the filter, from the end that is asked about -> grouped by what the ends are called -> ordered, cut
//! ```
//!
//! In a filter the source is the client and the destination the server.

mod calls;
mod ends;
mod show;

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_api::fields::Column;
use weir_store::{Reader, Segment, SegmentError, Tier, TimeRange, Unreadable, View, schema};

use crate::aggregate::range;
use crate::budget::{Budget, off_thread};
use crate::chooser::Chooser;
use crate::filter::expr;
use crate::lower::{PROTO, PROTOCOL};
use crate::tier_slice::rfc3339;
use crate::{AnswerRows, Filter, Moment, Note, NoteKind, QueryError, Since, Until, compile};
use calls::Calls;
use ends::Ends;

/// Who called whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MatrixRequest {
    /// Which edges, in the filter language, of which the source is the client; all when empty.
    pub filter: String,
    /// From when on, by arrival at the collector; the hour that it is in counts whole.
    pub since: Since,
    /// Until when, likewise.
    pub until: Until,
    /// Which end the filter's source is.
    pub direction: CallDirection,
    /// What the ends are called.
    pub by: MatrixEnds,
    /// A row for each port of a server.
    pub ports: bool,
    /// Rows at most, those with most bytes; all when left out.
    pub limit: Option<usize>,
}

impl MatrixRequest {
    /// The whole hours that it is of.
    pub fn hours(&self) -> (Since, Until) {
        let now = Timestamp::now();
        let hours = whole_hours(TimeRange {
            from: self.since.0.at(now),
            until: self.until.0.at(now),
        });
        let at = |micros, asked| Timestamp::from_microsecond(micros).map_or(asked, Moment::At);
        (
            Since(at(hours.from, self.since.0)),
            Until(at(hours.until, self.until.0)),
        )
    }
}

/// Which end of a call the filter's source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallDirection {
    /// The client: outgoing calls of what the filter's source selects.
    #[default]
    Out,
    /// The server: incoming calls.
    In,
    /// Either.
    Both,
}

impl CallDirection {
    /// All.
    pub const ALL: [Self; 3] = [Self::Out, Self::In, Self::Both];

    /// The word in questions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Both => "both",
        }
    }
}

/// What the ends of a matrix are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatrixEnds {
    /// Workloads and nodes; of others, subnet labels, `internet` and `private`.
    #[default]
    Workload,
    /// Pods in place of workloads.
    Pod,
    /// Namespaces in place of workloads.
    Ns,
    /// Subnet labels; of what has none, namespaces.
    Subnet,
}

impl MatrixEnds {
    /// All.
    pub const ALL: [Self; 4] = [Self::Workload, Self::Pod, Self::Ns, Self::Subnet];

    /// The word in questions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::Pod => "pod",
            Self::Ns => "ns",
            Self::Subnet => "subnet",
        }
    }
}

/// Who called whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// A row for each pair, and for each port where that was asked for; those with most
    /// bytes first.
    pub rows: AnswerRows,
    /// How many rows there are, those that `limit` leaves out included.
    pub edges: usize,
    /// The hours that it is of: the start of the first, RFC 3339.
    pub since: String,
    /// The end of the last.
    pub until: String,
    /// What one should know about it.
    pub notes: Vec<Note>,
}

/// Answers it.
pub(crate) async fn matrix(
    reader: &Reader,
    request: &MatrixRequest,
    budget: &Budget,
) -> Result<Matrix, QueryError> {
    let (reader, request, budget) = (reader.clone(), request.clone(), budget.clone());
    off_thread(move || PreparedMatrix::new(&reader, &request, &budget)?.answer()).await
}

/// A request that was understood.
struct PreparedMatrix<'a> {
    reader: &'a Reader,
    request: &'a MatrixRequest,
    budget: &'a Budget,
    filter: Filter,
    /// As it was asked for.
    asked: TimeRange,
    /// The whole hours.
    range: TimeRange,
}

/// A segment that cannot be read, or why there is no answer.
enum Failure {
    Broken(Arc<Segment>, SegmentError),
    Query(QueryError),
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl<'a> PreparedMatrix<'a> {
    fn new(reader: &'a Reader, request: &'a MatrixRequest, budget: &'a Budget) -> Result<Self, QueryError> {
        let filter = compile(&request.filter)?;
        check(&filter)?;
        let asked = range(request.since, request.until)?;
        let limit = request.limit.unwrap_or(0);
        if limit > budget.limits.max_rows {
            return Err(QueryError::TooManyRows(budget.limits.max_rows));
        }
        Ok(Self {
            filter: filter.within(&budget.limits.scope),
            range: whole_hours(asked),
            reader,
            request,
            budget,
            asked,
        })
    }

    /// Answers it; a segment that turns out to be broken is put aside, and all of it is
    /// answered once more.
    fn answer(&self) -> Result<Matrix, QueryError> {
        loop {
            self.budget.check()?;
            match self.attempt() {
                Ok(matrix) => return Ok(matrix),
                Err(Failure::Broken(segment, error)) if !error.is_passing() => {
                    let broken = Unreadable::new(segment.path.clone(), &error);
                    self.reader.put_aside(&broken);
                }
                Err(Failure::Broken(_, error)) => return Err(QueryError::Engine(error.to_string())),
                Err(Failure::Query(error)) => return Err(error),
            }
        }
    }

    fn attempt(&self) -> Result<Matrix, Failure> {
        let view = self.reader.view(self.range);
        let mut wanted = Chosen::new(self, &view, CallDirection::Both);
        let mut calls = Calls::new(self.range, &self.budget.limits);
        for segment in view.edge_segments() {
            self.budget.check()?;
            let rows = segment.edges().map_err(|error| Failure::Broken(segment, error))?;
            calls.add(&rows, &wanted.of(&rows)?)?;
        }
        let rows = view.edges_in_memory();
        calls.add(&rows, &wanted.of(&rows)?)?;
        self.budget.check()?;
        calls.settle();
        let rows = calls.table();
        let chosen = Chosen::new(self, &view, self.request.direction).of(&rows)?;
        let ends = Ends::of(&view.identities, self.request.by);
        let mut groups = calls.grouped(&chosen, &ends, self.request.ports);
        self.budget.check()?;
        let edges = groups.len();
        groups.sort(&ends);
        let most = self.budget.limits.max_rows;
        let limit = self.request.limit.unwrap_or(usize::MAX);
        if edges.min(limit) > most {
            return Err(QueryError::TooManyRows(most).into());
        }
        groups.truncate(limit);
        let rows = show::rows(&groups, &ends, self.request)?;
        let notes = self.notes(&view, rows.len(), edges);
        Ok(Matrix {
            rows,
            edges,
            since: rfc3339(self.range.from),
            until: rfc3339(self.range.until),
            notes,
        })
    }

    fn notes(&self, view: &View, shown: usize, edges: usize) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut note = |kind, message| notes.push(Note { kind, message });
        let tiers = [Tier::Raw, Tier::Edges];
        let oldest = tiers
            .into_iter()
            .filter_map(|tier| view.oldest[tier as usize])
            .min();
        if let Some(oldest) = oldest.filter(|oldest| *oldest > self.asked.from)
            && !self.reader.begins_at(oldest, Tier::Edges)
        {
            let until = rfc3339(oldest.min(self.asked.until));
            let message = format!(
                "what was from {} to {until} has expired",
                rfc3339(self.asked.from)
            );
            note(NoteKind::Expired, message);
        }
        if self.range != self.asked {
            let (from, until) = (rfc3339(self.range.from), rfc3339(self.range.until));
            note(
                NoteKind::Rollup,
                format!("whole hours count: from {from} to {until}"),
            );
        }
        for file in &view.unreadable {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy();
            let message = format!("{name} was left out: {}", file.reason);
            note(NoteKind::Unreadable, message);
        }
        if shown < edges {
            note(NoteKind::Truncated, format!("{shown} of {edges} edges are shown"));
        }
        notes
    }
}

/// The filter, as it is asked of edges.
struct Chosen<'a> {
    chooser: Chooser,
    view: &'a View,
    direction: CallDirection,
    is_everything: bool,
}

impl<'a> Chosen<'a> {
    fn new(asked: &PreparedMatrix<'_>, view: &'a View, direction: CallDirection) -> Self {
        Self {
            is_everything: asked.filter.is_everything(),
            chooser: Chooser::new(asked.filter.clone()),
            view,
            direction,
        }
    }

    /// Which of these edges it lets through. One whose direction is unknown is looked at
    /// from both ends.
    fn of(&mut self, rows: &RecordBatch) -> Result<BooleanArray, QueryError> {
        if self.is_everything {
            return Ok(BooleanArray::from(vec![true; rows.num_rows()]));
        }
        let looked_at = self.chooser.looked_at.clone();
        let mut choose = |rows: &RecordBatch| {
            let rows = schema::conform(rows, &looked_at);
            self.chooser.choose(&rows, || Arc::clone(&self.view.identities))
        };
        let out = choose(rows)?;
        let back = choose(&calls::turned(rows))?;
        let known = calls::have_direction(rows);
        let chosen = (0..rows.num_rows()).map(|row| match self.direction {
            CallDirection::Both => out.value(row) || back.value(row),
            _ if !known[row] => out.value(row) || back.value(row),
            CallDirection::Out => out.value(row),
            CallDirection::In => back.value(row),
        });
        Ok(chosen.map(Some).collect())
    }
}

/// Edges know who their ends are, the server's port and the protocol.
fn check(filter: &Filter) -> Result<(), QueryError> {
    let mut unknown = None;
    expr::columns(&filter.test, &mut |column| {
        let is_known = column.field().identity
            || [PROTOCOL, Column::of(PROTO), Column::of("dst_port")].contains(&column);
        if !is_known {
            unknown.get_or_insert(column.name());
        }
    });
    match unknown {
        None => Ok(()),
        Some(name) => Err(QueryError::Invalid(format!(
            "filter: {name} is not known of edges, which are kept by who their ends are, dst_port and protocol: leave \
             it out, or ask for flows"
        ))),
    }
}

/// The hours that a range touches.
fn whole_hours(range: TimeRange) -> TimeRange {
    let hour = Tier::Edges.bucket().unwrap_or(1);
    let start = |time: i64| time.div_euclid(hour).saturating_mul(hour);
    TimeRange {
        from: start(range.from),
        until: start(range.until.saturating_add(hour - 1)),
    }
}

#[cfg(test)]
mod tests;
