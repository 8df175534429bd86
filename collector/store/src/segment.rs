//! A segment: a Parquet file of rows that is whole, and the identities that
//! they name beside it. Owns how one is opened and judged, and its end.

use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetStatisticsPolicy};

use crate::batch::Batch;
use crate::disk;
use crate::edges::{self, Crowds, EdgeBuilder};
use crate::identities;
use crate::memtable;
use crate::name::{FLOWS, IDENTITIES, SegmentName, Tier};
use crate::range::TimeRange;
use crate::schema;
use crate::sorted::Sorted;

/// The version of the files' layout that this program writes, and the newest
/// that it reads.
pub(crate) const FORMAT: u32 = 1;
/// The key of the version in a Parquet file's metadata.
pub(crate) const FORMAT_KEY: &str = "weir.format";
/// The key of the store that a file belongs to: numbers of identities mean
/// something only within one.
pub(crate) const STORE_KEY: &str = "weir.store";

/// The key of the id of an identity that nobody had yet when the file was written.
pub(crate) const NEXT_ID_KEY: &str = "weir.next_id";

/// A file of rows. The file lives as long as the segment: one that retention
/// has given up is removed when the last query lets go of it.
#[derive(Debug)]
pub struct Segment {
    /// The Parquet file.
    pub path: PathBuf,
    /// How fine its rows are.
    pub tier: Tier,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of it and of its identities.
    pub bytes: u64,
    /// From the earliest to the latest `time` of its rows; of the records
    /// themselves, where the rows are sums.
    pub time: TimeRange,
    /// The numbers of the heads (what was gathered in memory between two
    /// sealings) whose rows it has.
    pub heads: RangeInclusive<u64>,
    /// The columns that it has.
    pub schema: SchemaRef,
    /// The store whose numbers it uses.
    pub(crate) store: String,
    /// All ids of identities before this one may be in use; an earlier version of
    /// the program did not say.
    next_id: Option<u32>,
    /// The namespaces of its identities, once somebody wanted them.
    namespaces: OnceLock<Arc<[Box<str>]>>,
    given_up: AtomicBool,
}

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The file's name is not one of the store's.
    #[error("its name is not one that the store gives")]
    Name,
    /// The file cannot be read at all.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is truncated, damaged, or not Parquet.
    #[error("damaged or not Parquet: {0}")]
    Parquet(#[from] ParquetError),
    /// Another version of the program wrote it.
    #[error("written by a newer version (format {0}, this one reads up to {FORMAT})")]
    Newer(u32),
    /// It is Parquet, but not the store's.
    #[error("not a file of this store")]
    Foreign,
    /// Its numbers of identities are those of another store.
    #[error("belongs to another store, whose numbers mean other identities")]
    OtherStore,
    /// A column has another type than this version of the program expects.
    #[error("column {column} is {found}, expected {expected}")]
    Column {
        /// The column.
        column: String,
        /// The type in the file.
        found: String,
        /// The type in the schema.
        expected: String,
    },
}

impl SegmentError {
    /// Whether it is the system that refuses at the moment (no descriptors left, no
    /// memory, an error of the device), and says nothing of the file.
    pub fn is_passing(&self) -> bool {
        use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
        let of_system = match self {
            Self::Read(error) => Some(error),
            Self::Parquet(ParquetError::External(error)) => error.downcast_ref::<io::Error>(),
            _ => None,
        };
        of_system.is_some_and(|error| !matches!(error.kind(), InvalidData | NotFound | UnexpectedEof))
    }

    /// One word for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Name | Self::Foreign | Self::OtherStore => "foreign",
            Self::Read(_) => "unreadable",
            Self::Parquet(_) => "damaged",
            Self::Newer(_) => "newer",
            Self::Column { .. } => "schema",
        }
    }
}

impl Segment {
    /// Opens the file and looks whether it can be read.
    ///
    /// # Errors
    /// The file or that of its identities is none, damaged, foreign or newer.
    pub(crate) fn open(path: &Path) -> Result<Self, SegmentError> {
        let stem = path
            .file_name()
            .and_then(|n| n.to_str())
            .and_then(|n| n.strip_suffix(FLOWS));
        let name = stem.and_then(SegmentName::parse).ok_or(SegmentError::Name)?;
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        // What the footer says of each column chunk is for those who read it.
        let options = ArrowReaderOptions::new()
            .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
        let loaded = ArrowReaderMetadata::load(&file, options)?;
        let (schema, metadata) = (loaded.schema(), loaded.metadata());
        let format = value(metadata, FORMAT_KEY).and_then(|f| f.parse().ok());
        match format.ok_or(SegmentError::Foreign)? {
            0..=FORMAT => {}
            newer => return Err(SegmentError::Newer(newer)),
        }
        check_types(schema, name.tier)?;
        let identities = identities_path(path).metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            tier: name.tier,
            rows: metadata.file_metadata().num_rows().try_into().unwrap_or(0),
            bytes: bytes + identities,
            time: name.time,
            heads: name.heads,
            schema: schema.clone(),
            store: value(metadata, STORE_KEY).unwrap_or_default().to_owned(),
            next_id: value(metadata, NEXT_ID_KEY).and_then(|id| id.parse().ok()),
            namespaces: OnceLock::new(),
            given_up: AtomicBool::new(false),
        })
    }

    /// One without a file.
    #[cfg(test)]
    pub(crate) fn of_test(time: TimeRange, head: u64) -> Self {
        Self {
            path: PathBuf::new(),
            tier: Tier::Raw,
            rows: 1,
            bytes: 100,
            time,
            heads: head..=head,
            schema: schema::facts(),
            store: String::new(),
            next_id: None,
            namespaces: OnceLock::new(),
            given_up: AtomicBool::new(false),
        }
    }

    /// The table of the identities that its rows name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn identities(&self) -> Result<RecordBatch, SegmentError> {
        read(&identities_path(&self.path))
    }

    /// The namespaces of those whom its rows name. Reads nothing else of them, and once.
    pub(crate) fn namespaces(&self) -> Result<Arc<[Box<str>]>, SegmentError> {
        if let Some(namespaces) = self.namespaces.get() {
            return Ok(Arc::clone(namespaces));
        }
        let column = read_columns(&identities_path(&self.path), Some(&[identities::NAMESPACE]))?;
        let namespaces = identities::namespaces(&column)
            .into_iter()
            .map(Box::from)
            .collect();
        Ok(Arc::clone(self.namespaces.get_or_init(|| namespaces)))
    }

    /// The first id that no row up to its last one names, given its identities.
    pub(crate) fn next_id_beside(&self, identities: &RecordBatch) -> u32 {
        self.next_id.unwrap_or_else(|| identities::next_id(identities))
    }

    /// The same where the identities are not at hand.
    pub(crate) fn next_id(&self) -> u32 {
        self.next_id.unwrap_or_else(|| next_id_of(&self.path))
    }

    /// All its rows, for work on whole segments; a query reads the file by itself.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self) -> Result<RecordBatch, SegmentError> {
        read(&self.path)
    }

    /// Hands on the edges of its rows, of the schema [`schema::edges`], a part at a time: as
    /// they are stored, or made of its records, of which no column is read but those that
    /// this needs, and no more than `records` are held together. `go_on` is asked before
    /// each step.
    ///
    /// # Errors
    /// The file cannot be read, or `go_on` or `each` say so.
    pub fn edges<E: From<SegmentError>>(
        &self,
        records: usize,
        mut go_on: impl FnMut() -> Result<(), E>,
        mut each: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.tier == Tier::Edges {
            for rows in batches(&self.path, None)? {
                go_on()?;
                each(schema::conform(&rows?, &schema::edges()))?;
            }
            return Ok(());
        }
        let names: Vec<_> = edges::needed_columns().collect();
        let crowds = Crowds::of(&self.identities()?);
        let mut builder = EdgeBuilder::default();
        for rows in batches(&self.path, Some(&names))? {
            go_on()?;
            let rows = rows?;
            let records = records.max(1);
            for from in (0..rows.num_rows()).step_by(records) {
                let part = rows.slice(from, records.min(rows.num_rows() - from));
                if builder.len() > 0 && builder.len() + part.num_rows() > records {
                    let full = std::mem::take(&mut builder);
                    each(edges::table_of(&full.finish(&crowds).rows))?;
                }
                builder.add(&Sorted::unsorted(vec![Batch::of_rows(part)], &schema::facts()));
            }
        }
        go_on()?;
        each(edges::table_of(&builder.finish(&crowds).rows))
    }

    /// It has the first rows that the store ever got.
    pub(crate) fn has_first_rows(&self) -> bool {
        self.heads.contains(&memtable::FIRST)
    }

    /// The file goes when nobody uses the segment any more.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.given_up.load(Ordering::Acquire) {
            // The rows first: identities without rows are harmless.
            for path in [&self.path, &identities_path(&self.path)] {
                if let Err(error) = disk::remove(path) {
                    tracing::warn!(path = %path.display(), %error, "an expired segment cannot be removed");
                }
            }
        }
    }
}

/// The file of the identities of a segment's file.
pub(crate) fn identities_path(path: &Path) -> PathBuf {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(FLOWS).unwrap_or(name);
    path.with_file_name(format!("{stem}{IDENTITIES}"))
}

/// The first id that the identities of a segment's file leave free; 0 where nobody
/// can read them.
pub(crate) fn next_id_of(path: &Path) -> u32 {
    let read = read_columns(&identities_path(path), Some(&[schema::ID]));
    read.map_or(0, |table| identities::next_id(&table))
}

fn read(path: &Path) -> Result<RecordBatch, SegmentError> {
    read_columns(path, None)
}

/// The rows of a file; of these columns alone, where they are named.
fn read_columns(path: &Path, names: Option<&[&str]>) -> Result<RecordBatch, SegmentError> {
    let reader = reader(path, names)?;
    let schema = reader.schema();
    let batches: Result<Vec<_>, _> = reader.collect();
    let batches = batches.map_err(ParquetError::from)?;
    Ok(concat_batches(&schema, &batches).map_err(ParquetError::from)?)
}

/// The same, a part at a time.
fn batches(
    path: &Path,
    names: Option<&[&str]>,
) -> Result<impl Iterator<Item = Result<RecordBatch, SegmentError>>, SegmentError> {
    let batches = reader(path, names)?;
    Ok(batches.map(|rows| Ok(rows.map_err(ParquetError::from)?)))
}

fn reader(path: &Path, names: Option<&[&str]>) -> Result<ParquetRecordBatchReader, SegmentError> {
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    if let Some(names) = names {
        let columns = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
        builder = builder.with_projection(columns);
    }
    Ok(builder.with_batch_size(1 << 16).build()?)
}

fn value<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
}

/// Columns that this version does not know are no matter.
fn check_types(schema: &SchemaRef, tier: Tier) -> Result<(), SegmentError> {
    let known = schema::of_tier(tier);
    for field in known.fields() {
        let found = schema.field_with_name(field.name()).ok().map(|f| f.data_type());
        let required = !field.is_nullable();
        if found.is_some_and(|found| found != field.data_type()) || (found.is_none() && required) {
            return Err(SegmentError::Column {
                column: field.name().clone(),
                found: found.map_or("missing".to_owned(), |found| found.to_string()),
                expected: field.data_type().to_string(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refuses_at_the_moment_is_told_from_what_is_wrong_with_a_file() {
        use io::ErrorKind::{NotFound, UnexpectedEof};
        // Too many open files, and an error of the device (errno(3)).
        for number in [24, 5] {
            let refused = || io::Error::from_raw_os_error(number);
            assert!(SegmentError::Read(refused()).is_passing());
            assert!(SegmentError::Parquet(refused().into()).is_passing());
        }
        let damaged = ParquetError::General("no magic number".to_owned());
        assert!(!SegmentError::Parquet(damaged).is_passing());
        for kind in [NotFound, UnexpectedEof] {
            assert!(!SegmentError::Read(kind.into()).is_passing());
        }
        assert!(!SegmentError::Newer(99).is_passing());
    }
}
