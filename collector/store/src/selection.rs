//! Records that were chosen out of some store, written as a store of their own that can
//! be read like any other. Owns how nobody takes a part of it for the whole: it grows in
//! a directory beside its own, which has [`PARTIAL`] in it and gets its name at the end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{max, min};
use arrow::datatypes::{Field, Schema, TimestampMicrosecondType};
use weir_api::fields::Side;

use crate::batch::Batch;
use crate::disk;
use crate::identities::{self, Content, IdentityColumns};
use crate::identity_ids::IdentityIds;
use crate::lock::{Lock, Refused};
use crate::maintenance;
use crate::memtable;
use crate::name::{FLOWS, IDENTITIES, SegmentName, Tier, UNFINISHED};
use crate::range::TimeRange;
use crate::recovery::name_store;
use crate::schema::{self, DST_ID, SRC_ID};
use crate::seal::{self, Origin};
use crate::segment::SegmentError;
use crate::sorted::Sorted;
use crate::writer::{LOCK, OpenError};

/// Rows of a segment: they are gathered in memory, some 300 bytes each.
const SEGMENT_ROWS: usize = 1 << 18;

/// The file that a selection has until it is whole.
const PARTIAL: &str = "partial";

/// Why a selection cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// Something is there already.
    #[error("{0} is there already, and not an empty directory: a selection is written into a new one")]
    NotEmpty(PathBuf),
    /// The path does not end with a name.
    #[error("{0} is no name of a directory")]
    NoName(PathBuf),
    /// Another process writes the same.
    #[error("process {holder} is writing {path}")]
    InUse {
        /// Where it grows.
        path: PathBuf,
        /// The process's number, as it wrote it down.
        holder: String,
    },
    /// The system refuses.
    #[error("{path} cannot be written: {error}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A segment cannot be written.
    #[error("a segment cannot be written: {0}")]
    Segment(#[from] SegmentError),
    /// A record has no time.
    #[error("records without their time are no flows")]
    NoTime,
    /// An earlier part could not be written.
    #[error("a part of it could not be written")]
    Broken,
}

/// A selection that is being written. Dropped before its end it leaves nothing.
#[derive(Debug)]
pub struct Selection {
    target: PathBuf,
    /// Where it grows.
    growing: PathBuf,
    store: String,
    ids: IdentityIds,
    memtable: Gathered,
    rows: u64,
    /// A segment could not be written: its rows are lost.
    is_broken: bool,
    is_whole: bool,
    segment_rows: usize,
    _lock: Lock,
}

/// The rows of the next segment.
#[derive(Debug)]
struct Gathered {
    number: u64,
    batches: Vec<Batch>,
    count: usize,
    time: Option<TimeRange>,
    /// Whom they name.
    named: Vec<(u32, Content)>,
}

impl Gathered {
    const fn new(number: u64) -> Self {
        Self {
            number,
            batches: Vec::new(),
            count: 0,
            time: None,
            named: Vec::new(),
        }
    }
}

impl Selection {
    /// Begins one, which is to be in this directory: there is none of the name, or an
    /// empty one. What an earlier process left of the same is removed.
    ///
    /// # Errors
    /// Something is there, another process writes it, or nothing can be written.
    pub fn begin(target: &Path) -> Result<Self, SelectionError> {
        let target = settled(target)?;
        let mut name = target.file_name().map(OsStr::to_owned).unwrap_or_default();
        name.push(UNFINISHED);
        let growing = target.with_file_name(name);
        fs::create_dir_all(&growing).map_err(|error| unwritable(&growing, error))?;
        let lock = Lock::take(&growing, LOCK).map_err(|refused| match refused {
            Refused::Held(holder) => SelectionError::InUse {
                path: growing.clone(),
                holder,
            },
            Refused::Io(error) => unwritable(&growing, error),
        })?;
        clear(&growing)?;
        let partial = growing.join(PARTIAL);
        let marked = File::create(&partial).and_then(|_| disk::sync_directory(&growing));
        marked.map_err(|error| unwritable(&partial, error))?;
        Ok(Self {
            target,
            growing,
            store: name_store(),
            ids: IdentityIds::default(),
            memtable: Gathered::new(memtable::FIRST),
            rows: 0,
            is_broken: false,
            is_whole: false,
            segment_rows: SEGMENT_ROWS,
            _lock: lock,
        })
    }

    /// Takes records of the schema [`schema::records`]; columns that they lack are
    /// unknown, and those that it does not know are left out.
    ///
    /// # Errors
    /// The disk does not take them, or a column is of another type.
    pub fn append(&mut self, records: &RecordBatch) -> Result<(), SelectionError> {
        if records.num_rows() == 0 {
            return Ok(());
        }
        check_types(records)?;
        let time = time_of(records).ok_or(SelectionError::NoTime)?;
        let [src, dst] = [Side::Src, Side::Dst].map(|side| self.ids_of(records, side));
        let gathered = &mut self.memtable;
        gathered.time = Some(gathered.time.map_or(time, |all| all.union(&time)));
        gathered.batches.push(facts(records, src, dst));
        gathered.count += records.num_rows();
        self.rows += records.num_rows() as u64;
        if gathered.count >= self.segment_rows {
            self.seal()?;
        }
        Ok(())
    }

    /// Gives it its name, when all of it is on disk, and tells how many records it has.
    ///
    /// # Errors
    /// The disk does not take it; nothing is left.
    pub fn finish(mut self) -> Result<u64, SelectionError> {
        self.seal()?;
        let (growing, target) = (&self.growing, &self.target);
        disk::remove(&growing.join(PARTIAL)).map_err(|error| unwritable(growing, error))?;
        disk::sync_directory(growing).map_err(|error| unwritable(growing, error))?;
        // Over an empty directory, too; one that got something meanwhile refuses.
        fs::rename(growing, target).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty => SelectionError::NotEmpty(target.clone()),
            _ => unwritable(target, error),
        })?;
        self.is_whole = true;
        let above = self.target.parent().unwrap_or(Path::new("/"));
        disk::sync_directory(above).map_err(|error| unwritable(above, error))?;
        Ok(self.rows)
    }

    /// The ids of those on one side of these records.
    fn ids_of(&mut self, records: &RecordBatch, side: Side) -> UInt32Array {
        let columns = IdentityColumns::of(records, side);
        let ids = (0..records.num_rows()).map(|row| {
            let content = columns.content(row);
            let id = self.ids.find(&content);
            let first = self.ids.name(id, || content, self.memtable.number);
            self.memtable.named.extend(first.map(|content| (id, content)));
            id
        });
        UInt32Array::from_iter_values(ids)
    }

    /// Makes a segment of what was gathered, and its sums.
    fn seal(&mut self) -> Result<(), SelectionError> {
        if self.is_broken {
            return Err(SelectionError::Broken);
        }
        let next = Gathered::new(self.memtable.number + 1);
        let gathered = std::mem::replace(&mut self.memtable, next);
        let Some(time) = gathered.time else {
            self.memtable.number = gathered.number;
            return Ok(());
        };
        self.is_broken = true;
        let origin = Origin {
            store: &self.store,
            next_id: self.ids.next(),
        };
        let identities = identities::table_of(&gathered.named);
        let raw = Sorted::new_sorted(gathered.batches, &schema::facts());
        let minute = maintenance::sums(&raw, Tier::Minute, &identities).rows;
        let hour = maintenance::sums(&minute, Tier::Hour, &identities).rows;
        let edges = maintenance::sums(&raw, Tier::Edges, &identities).rows;
        for (tier, rows) in Tier::ALL.into_iter().zip([raw, minute, hour, edges]) {
            let name = SegmentName {
                tier,
                time,
                heads: gathered.number..=gathered.number,
            };
            seal::write(&self.growing, &name, &origin, &rows, &identities)?;
        }
        self.is_broken = false;
        self.ids.trim(self.memtable.number);
        Ok(())
    }
}

impl Drop for Selection {
    fn drop(&mut self) {
        if !self.is_whole
            && let Err(error) = fs::remove_dir_all(&self.growing)
        {
            tracing::warn!(path = %self.growing.display(), %error, "a part of a selection cannot be removed");
        }
    }
}

/// Refuses a directory that holds a part of a selection.
///
/// # Errors
/// It does.
pub(crate) fn refuse_partial(path: &Path) -> Result<(), OpenError> {
    match path.join(PARTIAL).exists() {
        true => Err(OpenError::Partial {
            path: path.to_owned(),
        }),
        false => Ok(()),
    }
}

/// The path as the system has it, of a directory that is free.
fn settled(path: &Path) -> Result<PathBuf, SelectionError> {
    let settled = match fs::canonicalize(path) {
        Ok(there) => {
            let mut entries = fs::read_dir(&there).map_err(|_| SelectionError::NotEmpty(path.to_owned()))?;
            if entries.next().is_some() {
                return Err(SelectionError::NotEmpty(path.to_owned()));
            }
            there
        }
        Err(_) => {
            let name = path
                .file_name()
                .ok_or_else(|| SelectionError::NoName(path.to_owned()))?;
            let above = path.parent().filter(|above| *above != Path::new(""));
            let above = above.unwrap_or(Path::new("."));
            fs::create_dir_all(above).map_err(|error| unwritable(above, error))?;
            let above = fs::canonicalize(above).map_err(|error| unwritable(above, error))?;
            above.join(name)
        }
    };
    match settled.file_name() {
        Some(_) => Ok(settled),
        None => Err(SelectionError::NoName(path.to_owned())),
    }
}

/// Removes what an earlier process left of a selection. What has no [`PARTIAL`] was
/// whole, and waits for its name; what has files of others is not touched.
fn clear(growing: &Path) -> Result<(), SelectionError> {
    let entries = fs::read_dir(growing).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| unwritable(growing, error))?;
    let names: Vec<_> = entries.iter().map(fs::DirEntry::file_name).collect();
    let is_left = names.iter().any(|name| name == PARTIAL);
    for name in names.iter().filter(|name| *name != LOCK && *name != PARTIAL) {
        let text = name.to_string_lossy();
        let is_ours = [FLOWS, IDENTITIES, UNFINISHED]
            .iter()
            .any(|end| text.ends_with(end));
        if !is_left || !is_ours {
            return Err(SelectionError::NotEmpty(growing.to_owned()));
        }
    }
    for name in names.iter().filter(|name| *name != LOCK && *name != PARTIAL) {
        let path = growing.join(name);
        disk::remove(&path).map_err(|error| unwritable(&path, error))?;
    }
    Ok(())
}

fn unwritable(path: &Path, error: io::Error) -> SelectionError {
    SelectionError::Write {
        path: path.to_owned(),
        error,
    }
}

/// Columns that this version does not know are no matter.
fn check_types(records: &RecordBatch) -> Result<(), SegmentError> {
    for field in schema::records().fields() {
        let found = records
            .column_by_name(field.name())
            .map(|values| values.data_type());
        if let Some(found) = found.filter(|found| *found != field.data_type()) {
            return Err(SegmentError::Column {
                column: field.name().clone(),
                found: found.to_string(),
                expected: field.data_type().to_string(),
            });
        }
    }
    Ok(())
}

fn time_of(records: &RecordBatch) -> Option<TimeRange> {
    let times = records.column_by_name("time")?;
    let times = times.as_primitive_opt::<TimestampMicrosecondType>()?;
    (times.null_count() == 0).then_some(())?;
    Some(TimeRange::spanning(min(times)?, max(times)?))
}

/// The columns of records that are facts and have a value, and who is on their sides.
fn facts(records: &RecordBatch, src: UInt32Array, dst: UInt32Array) -> Batch {
    let facts = schema::facts();
    let found = facts.fields().iter().filter_map(|field| {
        let values = records.column_by_name(field.name())?;
        let is_there = values.null_count() < values.len();
        is_there.then(|| (field.as_ref().clone(), ArrayRef::clone(values)))
    });
    let sides = [(SRC_ID, src), (DST_ID, dst)].map(|(name, ids)| {
        let ids: ArrayRef = std::sync::Arc::new(ids);
        (Field::new(name, ids.data_type().clone(), false), ids)
    });
    let (fields, columns): (Vec<_>, Vec<_>) = found.chain(sides).unzip();
    let rows = RecordBatch::try_new(Schema::new(fields).into(), columns);
    Batch::of_rows(rows.expect("each column has a value a record, and is of its field's type"))
}

#[cfg(test)]
mod tests;
