//! The flow matrix: who called whom, on which port, out of the edges of whole hours.
//!
//! ```text
//! stored edges, and those made of the latest records -> the filter, from both ends
//!   -> grouped by what the ends are called -> direction settled -> ordered, cut
//! ```
//!
//! A part of a file at a time: no more is held than what is shown, and the records of one
//! segment that has no edges yet.
//!
//! In a filter the source is the client and the destination the server.

mod calls;
mod ends;
mod request;
mod show;

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use weir_api::fields::Column;
use weir_store::{Reader, Segment, SegmentError, Tier, TimeRange, Unreadable, View, schema};

use crate::aggregate::range;
use crate::budget::{Budget, off_thread};
use crate::chooser::Chooser;
use crate::filter::expr;
use crate::lower::{PROTO, PROTOCOL};
use crate::tier_slice::rfc3339;
use crate::{AnswerRows, Filter, Note, NoteKind, QueryError, compile};
use calls::{Calls, Fit, Groups};
use ends::Ends;
use request::whole_hours;
pub use request::{CallDirection, MatrixEnds, MatrixRequest};

/// Segments of records that a question makes edges of. While a store runs, a segment has its
/// edges seconds after its records; more lack them only while those of an older version are
/// being made.
const SEGMENTS_OF_RECORDS: usize = 8;

/// Bytes that a record takes at most on its way to an edge: what is known of it, its place
/// among those of its pair, what is counted of its ends, and an edge of its own.
const RECORD: usize = 512;

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

/// Why a part of a file is not added.
enum PartError {
    Segment(SegmentError),
    Query(QueryError),
}

impl From<SegmentError> for PartError {
    fn from(error: SegmentError) -> Self {
        Self::Segment(error)
    }
}

impl From<QueryError> for PartError {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
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
        let ends = Ends::of(&view.identities, self.request.by);
        let (records, left_out) = self.segments_of_records(&view);
        let mut groups = self.groups(&view, &records, &ends)?;
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
        let notes = self.notes(&view, &left_out, (rows.len(), edges));
        Ok(Matrix {
            rows,
            edges,
            since: rfc3339(self.range.from),
            until: rfc3339(self.range.until),
            notes,
        })
    }

    /// The rows of the matrix, out of the edges of a view and of these records.
    fn groups(&self, view: &View, records: &[Arc<Segment>], ends: &Ends) -> Result<Groups, Failure> {
        let mut wanted = Chosen::new(self, view);
        let mut calls = Calls::new(self.range, self.request, &self.budget.limits);
        let mut add = |rows: &RecordBatch| -> Result<(), QueryError> {
            let fit = wanted.of(rows)?;
            calls.add(rows, &fit, ends)
        };
        let at_once = self.records_at_once();
        for segment in view.edges.iter().chain(records) {
            let added = segment.edges(
                at_once,
                || Ok(self.budget.check()?),
                |rows| add(&rows).map_err(PartError::Query),
            );
            added.map_err(|error| match error {
                PartError::Segment(error) => Failure::Broken(Arc::clone(segment), error),
                PartError::Query(error) => Failure::Query(error),
            })?;
        }
        view.edges_in_memory(at_once, || self.budget.check(), |rows| add(&rows))?;
        Ok(calls.finish())
    }

    /// The segments of records that edges are made of for this question, and the times of
    /// those that are left out. A directory that nobody keeps house of will have no more
    /// edges than it has: there it may take its time.
    fn segments_of_records(&self, view: &View) -> (Vec<Arc<Segment>>, LeftOut) {
        let most = match self.reader.is_of_another_process() {
            true => usize::MAX,
            false => SEGMENTS_OF_RECORDS,
        };
        let (left_out, made) = last(view.raw_without_edges(), most);
        if left_out.is_empty() {
            return (made, LeftOut::default());
        }
        let to_come = self.reader.edges_to_come();
        let will_be_made = |segment: &Segment| to_come.iter().any(|other| other.heads == segment.heads);
        (
            made,
            LeftOut::of(left_out.iter().map(|s| (s.time, will_be_made(s)))),
        )
    }

    /// Records that edges are made of together, as the question's memory has room for them.
    fn records_at_once(&self) -> usize {
        (self.budget.limits.memory / 2 / RECORD).max(1)
    }

    fn notes(&self, view: &View, left_out: &LeftOut, (shown, edges): (usize, usize)) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut note = |kind, message| notes.push(Note::new(kind, message));
        for gap in self.gaps(view) {
            let (from, until) = (rfc3339(gap.from), rfc3339(gap.until));
            note(
                NoteKind::NoEdges,
                format!("there are no edges from {from} to {until}"),
            );
        }
        for message in left_out.messages() {
            note(NoteKind::NoEdges, message);
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

    /// The parts of the range of which there was something, and are no edges.
    fn gaps(&self, view: &View) -> Vec<TimeRange> {
        let tiers = [Tier::Raw, Tier::Edges].into_iter();
        let oldest = tiers.filter_map(|tier| view.oldest[tier as usize]).min();
        let before = oldest
            .filter(|oldest| *oldest > self.asked.from && !self.reader.edges_begin_at(*oldest))
            .map(|oldest| TimeRange {
                from: self.asked.from,
                until: oldest.min(self.asked.until),
            });
        let known = before.map_or(self.asked.from, |before| before.until);
        let later = self.reader.without_edges(self.asked).into_iter();
        let later = later.map(|gap| TimeRange {
            from: gap.from.max(known),
            ..gap
        });
        before
            .into_iter()
            .chain(later.filter(|gap| gap.from < gap.until))
            .collect()
    }
}

/// All but the last `most` of these, the oldest given first, and those.
fn last<T>(mut all: Vec<T>, most: usize) -> (Vec<T>, Vec<T>) {
    let made = all.split_off(all.len().saturating_sub(most));
    (all, made)
}

/// The times of files of records whose edges a question is without.
#[derive(Debug, Default)]
struct LeftOut {
    /// They will be made.
    to_come: Vec<TimeRange>,
    /// They will not: edges are kept for less time than records.
    expired: Vec<TimeRange>,
}

impl LeftOut {
    /// Of times, and whether their edges will be made.
    fn of(files: impl Iterator<Item = (TimeRange, bool)>) -> Self {
        let mut left_out = Self::default();
        for (time, will_be_made) in files {
            match will_be_made {
                true => left_out.to_come.push(time),
                false => left_out.expired.push(time),
            }
        }
        left_out
    }

    fn messages(&self) -> impl Iterator<Item = String> {
        let each = [
            (&self.to_come, "are not made yet and left out: ask again later"),
            (
                &self.expired,
                "have expired before their records and are left out: ask for flows",
            ),
        ];
        each.into_iter().filter_map(|(files, why)| {
            let all = files.iter().copied().reduce(|all, one| all.union(&one))?;
            let (from, until) = (rfc3339(all.from), rfc3339(all.until));
            let count = files.len();
            Some(format!(
                "edges of {count} files of records from {from} to {until} {why}"
            ))
        })
    }
}

/// The filter, as it is asked of edges.
struct Chosen<'a> {
    chooser: Chooser,
    view: &'a View,
    is_everything: bool,
}

impl<'a> Chosen<'a> {
    fn new(asked: &PreparedMatrix<'_>, view: &'a View) -> Self {
        Self {
            is_everything: asked.filter.is_everything(),
            chooser: Chooser::new(asked.filter.clone()),
            view,
        }
    }

    /// From which of their ends it lets these edges through.
    fn of(&mut self, rows: &RecordBatch) -> Result<Fit, QueryError> {
        if self.is_everything {
            let all = BooleanArray::from(vec![true; rows.num_rows()]);
            return Ok(Fit {
                back: all.clone(),
                out: all,
            });
        }
        let looked_at = self.chooser.looked_at.clone();
        let mut choose = |rows: &RecordBatch| {
            let rows = schema::conform(rows, &looked_at);
            self.chooser.choose(&rows, || Arc::clone(&self.view.identities))
        };
        Ok(Fit {
            out: choose(rows)?,
            back: choose(&calls::turned(rows))?,
        })
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

#[cfg(test)]
mod tests;
