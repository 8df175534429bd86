//! All records that fit, however many: one segment after the other in the order of their
//! times, each read once and a piece at a time, then those in memory. What is held at a
//! time is one piece.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use weir_api::fields::Column;
use weir_store::schema::{self, DST_ID, SRC_ID};
use weir_store::{Batch, Broken, Identities, Reader, Segment, TimeRange, Unreadable, View};

use crate::aggregate::range;
use crate::answer::{Note, NoteKind};
use crate::budget::{Budget, off_thread};
use crate::chooser::Chooser;
use crate::engine::{ExportRequest, RecordExport};
use crate::identity_table::IdentityTable;
use crate::records::{shown, stored};

use crate::{AnswerRows, Limits, QueryError, compile, groups, tier_slice};

/// Rows that are read at a time.
const PIECE: usize = 4 << 10;

/// The records of an export, a piece at a time.
pub(crate) struct Export {
    sources: VecDeque<Source>,
    /// The segment that is being read.
    open: Option<(Arc<Segment>, ParquetRecordBatchReader)>,
    identities: Arc<Identities>,
    who: IdentityTable,
    chooser: Chooser,
    columns: Vec<Column>,
    /// The stored columns that are read.
    names: HashSet<&'static str>,
    range: TimeRange,
    notes: Vec<Note>,
    /// Something was given already.
    has_begun: bool,
}

enum Source {
    /// With its file, where that may be gone when its turn comes: a file that is open is read
    /// to its end.
    Segment(Arc<Segment>, Option<File>),
    Memory(Batch),
    /// A piece of those in memory.
    Rows(RecordBatch),
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Export")
    }
}

/// Begins an export.
pub(crate) async fn export(
    reader: &Reader,
    request: &ExportRequest,
    limits: &Limits,
) -> Result<Export, QueryError> {
    let budget = Budget::new(limits);
    let (reader, request, own) = (reader.clone(), request.clone(), budget.clone());
    let prepared = off_thread(move || Export::new(&reader, &request, &own));
    budget.spend(prepared).await
}

impl Export {
    fn new(reader: &Reader, request: &ExportRequest, budget: &Budget) -> Result<Self, QueryError> {
        let columns: Vec<Column> = match request.columns.as_slice() {
            [] => Column::all().collect(),
            names => groups::columns(names)?,
        };
        let mut filter = compile(&request.filter)?.within(&budget.limits.scope);
        if !request.all_observations {
            filter = filter.primary();
        }
        let range = range(request.since, request.until)?;
        let (view, segments) = opened(reader, range);
        let mut chooser = Chooser::new(filter);
        // What is wrong with the filter is told now, and not in the middle.
        let nothing = RecordBatch::new_empty(Arc::new(chooser.looked_at.clone()));
        chooser.choose(&nothing, Identities::nobody)?;
        let memory = view.memory.iter().filter(|rows| rows.time().overlaps(&range));
        let asked = columns.iter().filter(|column| !column.field().identity);
        let looked_at = schema::facts();
        let looked_at = looked_at.fields().iter().map(|field| field.name().as_str());
        let looked_at: HashSet<_> = looked_at
            .filter(|name| chooser.looked_at.index_of(name).is_ok())
            .collect();
        let of_filter = Column::all().map(stored).filter(|name| looked_at.contains(name));
        let names = ["time", SRC_ID, DST_ID].into_iter();
        Ok(Self {
            names: names
                .chain(asked.map(|column| stored(*column)))
                .chain(of_filter)
                .collect(),
            sources: segments
                .into_iter()
                .chain(memory.cloned().map(Source::Memory))
                .collect(),
            open: None,
            who: IdentityTable::new(&view.identities),
            identities: Arc::clone(&view.identities),
            notes: tier_slice::notes(reader, &view, &tier_slice::raw(range)),
            chooser,
            columns,
            range,
            has_begun: false,
        })
    }

    /// The next rows as they are stored, those outside of the range among them.
    fn read(&mut self) -> Option<RecordBatch> {
        loop {
            if let Some((segment, reader)) = &mut self.open {
                let (name, read) = (name_of(segment), reader.next());
                match read {
                    Some(Ok(rows)) => return Some(rows),
                    Some(Err(error)) => self.left_out(&name, &error),
                    None => {}
                }
                self.open = None;
            }
            match self.sources.pop_front()? {
                Source::Memory(batch) => {
                    let rows = batch.conform(&schema::facts());
                    let starts = (0..rows.num_rows()).step_by(PIECE).rev();
                    for start in starts {
                        let length = PIECE.min(rows.num_rows() - start);
                        self.sources.push_front(Source::Rows(rows.slice(start, length)));
                    }
                }
                Source::Rows(rows) => return Some(rows),
                Source::Segment(segment, file) => match open(&segment, file, &self.names) {
                    Ok(reader) => self.open = Some((segment, reader)),
                    Err(error) => self.left_out(&name_of(&segment), error.as_ref()),
                },
            }
        }
    }

    /// The rest of a file cannot be read.
    fn left_out(&mut self, name: &str, error: &dyn std::error::Error) {
        self.notes.push(Note::new(
            NoteKind::Unreadable,
            format!("{name} was left out, or a part of it: {error}"),
        ));
    }

    fn chosen(&mut self, rows: &RecordBatch) -> Result<RecordBatch, QueryError> {
        let looked_at = schema::conform(rows, &self.chooser.looked_at);
        let chosen = self.chooser.choose(&looked_at, || Arc::clone(&self.identities))?;
        let inside = inside(rows, self.range);
        let chosen = arrow::compute::and(&chosen, &inside)?;
        Ok(filter_record_batch(rows, &chosen)?)
    }
}

/// How often a view is taken anew because a file of it is gone.
const RETRIES: usize = 8;

/// A view of a range and its segments in the order of their times, their files open where
/// another process may remove them. Where there are more than may be open, the rest is
/// opened when its turn comes.
fn opened(reader: &Reader, range: TimeRange) -> (View, Vec<Source>) {
    for _ in 0..RETRIES {
        let view = reader.view(range);
        match sources(reader, &view, range) {
            Ok(sources) => return (view, sources),
            Err(gone) => match reader.put_aside(&gone) {
                Broken::Gone => {}
                Broken::PutAside => break,
            },
        }
    }
    let view = reader.view(range);
    let sources = in_order(&view, range).map(|segment| Source::Segment(segment, None));
    let sources = sources.collect();
    (view, sources)
}

/// The segments of a view, or one of which the file is gone.
fn sources(reader: &Reader, view: &View, range: TimeRange) -> Result<Vec<Source>, Unreadable> {
    let mut sources = Vec::new();
    for segment in in_order(view, range) {
        let file = match reader.is_of_another_process() {
            true => File::open(&segment.path),
            false => Err(io::ErrorKind::Unsupported.into()),
        };
        match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Unreadable::new(segment.path.clone(), &error.into()));
            }
            file => sources.push(Source::Segment(segment, file.ok())),
        }
    }
    Ok(sources)
}

fn in_order(view: &View, range: TimeRange) -> impl Iterator<Item = Arc<Segment>> + use<> {
    let within = view.raw.iter().filter(|segment| segment.time.overlaps(&range));
    let mut segments: Vec<_> = within.cloned().collect();
    segments.sort_by_key(|segment| segment.time.from);
    segments.into_iter()
}

fn name_of(segment: &Segment) -> String {
    let name = segment.path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Opens a segment to read these columns of it.
fn open(
    segment: &Segment,
    file: Option<File>,
    names: &HashSet<&'static str>,
) -> Result<ParquetRecordBatchReader, Box<dyn std::error::Error>> {
    let file = file.map_or_else(|| File::open(&segment.path), Ok)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let fields = builder.schema().fields().iter().enumerate();
    let roots = fields.filter(|(_, field)| names.contains(field.name().as_str()));
    let roots: Vec<usize> = roots.map(|(at, _)| at).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    Ok(builder.with_projection(mask).with_batch_size(PIECE).build()?)
}

/// Which rows are of the range.
fn inside(rows: &RecordBatch, range: TimeRange) -> BooleanArray {
    let times = rows
        .column_by_name("time")
        .and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
    match times {
        Some(times) => times
            .iter()
            .map(|time| Some(time.is_some_and(|time| range.from <= time && time < range.until)))
            .collect(),
        None => BooleanArray::from(vec![false; rows.num_rows()]),
    }
}

impl RecordExport for Export {
    fn next(&mut self) -> Result<Option<AnswerRows>, QueryError> {
        let facts = schema::facts();
        let chosen = match self.read() {
            Some(rows) => self.chosen(&rows)?,
            // Their columns are told, even when there are none.
            None if !self.has_begun => RecordBatch::new_empty(Arc::clone(&facts)),
            None => return Ok(None),
        };
        self.has_begun = true;
        Ok(Some(shown(
            &schema::conform(&chosen, &facts),
            &self.who,
            &self.columns,
        )?))
    }

    fn notes(&self) -> Vec<Note> {
        self.notes.clone()
    }
}
