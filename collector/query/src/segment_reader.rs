//! How the engine reads a segment's file: by its path as the system has it, whatever
//! its name, and not by way of an object store, whose paths know fewer characters.
//! Which files a question opened is kept, so that a failure can be traced to one.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion_common::HashMap;
use datafusion_common::{DataFusionError, Result};
use datafusion_datasource::PartitionedFile;
use datafusion_datasource_parquet::ParquetFileMetrics;
use datafusion_datasource_parquet::ParquetFileReaderFactory;
use datafusion_execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadata, FileMetadataCache};
use datafusion_physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as Parquet};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use weir_store::Segment;

/// So many segments at most are being read at a time: more than threads times tables.
const SUSPECTS: usize = 128;

/// The segments whose files a question has opened so far.
#[derive(Debug, Default)]
pub(crate) struct OpenedSegments(Mutex<Vec<Arc<Segment>>>);

impl OpenedSegments {
    /// Those opened last, each once, the latest first: when decoding fails, it was one of
    /// them that was being read. A thread reads one of a table after the other.
    pub(crate) fn latest_first(&self) -> Vec<Arc<Segment>> {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut latest: Vec<Arc<Segment>> = Vec::new();
        for segment in opened.iter().rev() {
            if latest.len() < SUSPECTS && !latest.iter().any(|known| known.path == segment.path) {
                latest.push(Arc::clone(segment));
            }
        }
        latest
    }

    fn add(&self, segment: &Arc<Segment>) {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        opened.push(Arc::clone(segment));
    }
}

/// The file of a segment, for the engine. Its location is only a key of caches: the
/// path with what is not ASCII escaped, so that no two paths share one.
pub(crate) fn file_of(segment: &Arc<Segment>) -> PartitionedFile {
    let size = segment.path.metadata().map_or(segment.bytes, |file| file.len());
    let key = segment.path.as_os_str().as_encoded_bytes().escape_ascii();
    PartitionedFile::new(key.to_string(), size).with_extension(SegmentOf(Arc::clone(segment)))
}

/// Which segment a file of the engine is.
struct SegmentOf(Arc<Segment>);

/// Opens segments for the engine.
#[derive(Debug)]
pub(crate) struct SegmentReaders {
    pub(crate) footers: Arc<FileMetadataCache>,
    pub(crate) opened: Arc<OpenedSegments>,
}

impl ParquetFileReaderFactory for SegmentReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        _: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let Some(SegmentOf(segment)) = file.extension() else {
            return Err(DataFusionError::Internal("a file is no segment".to_owned()));
        };
        self.opened.add(segment);
        Ok(Box::new(SegmentReader {
            handle: File::open(&segment.path)?,
            metrics: ParquetFileMetrics::new(partition, file.object_meta.location.as_ref(), metrics),
            footers: Arc::clone(&self.footers),
            page_index: None,
            file,
        }))
    }
}

struct SegmentReader {
    handle: File,
    file: PartitionedFile,
    metrics: ParquetFileMetrics,
    footers: Arc<FileMetadataCache>,
    /// Where the page index begins, if the footer that was read came without it.
    page_index: Option<u64>,
}

/// A footer in the engine's cache; with its page index from when that was wanted.
struct Footer(Arc<ParquetMetaData>);

impl FileMetadata for Footer {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn memory_size(&self) -> usize {
        self.0.memory_size()
    }

    fn extra_info(&self) -> HashMap<String, String> {
        HashMap::new()
    }
}

impl SegmentReader {
    /// The bytes of a range. Local files answer at once or from the disk; the threads of
    /// questions are there to wait for that.
    fn read(&self, range: &Range<u64>) -> Parquet<bytes::Bytes> {
        let length = usize::try_from(range.end.saturating_sub(range.start));
        let mut read = vec![0; length.map_err(|error| ParquetError::External(Box::new(error)))?];
        self.metrics.bytes_scanned.add(read.len());
        self.handle.read_exact_at(&mut read, range.start)?;
        Ok(read.into())
    }

    /// The footer. Its page index is twice as long, and is there only if a question wanted
    /// it before: many leave all of a segment out by the footer alone.
    fn footer(&mut self) -> Parquet<Arc<ParquetMetaData>> {
        let footer = match self.known_footer() {
            Some(footer) => footer,
            None => self.keep(ParquetMetaDataReader::new().parse_and_finish(&self.handle)?),
        };
        if footer.offset_index().is_none() {
            self.page_index = page_index(&footer);
        }
        Ok(footer)
    }

    fn known_footer(&self) -> Option<Arc<ParquetMetaData>> {
        let meta = &self.file.object_meta;
        let known = self.footers.get(&meta.location)?;
        let footer: &Footer = known.file_metadata.as_any().downcast_ref()?;
        known.is_valid_for(meta).then(|| Arc::clone(&footer.0))
    }

    fn keep(&self, footer: ParquetMetaData) -> Arc<ParquetMetaData> {
        let (meta, footer) = (&self.file.object_meta, Arc::new(footer));
        let entry = CachedFileMetadataEntry::new(meta.clone(), Arc::new(Footer(Arc::clone(&footer))));
        self.footers.put(&meta.location, entry);
        footer
    }

    /// The engine reads the page index by itself, and not for others: the next question has
    /// it at once.
    fn keep_page_index(&self) -> Parquet<()> {
        let Some(footer) = self.known_footer().filter(|known| known.offset_index().is_none()) else {
            return Ok(());
        };
        let mut reader = ParquetMetaDataReader::new_with_metadata(footer.as_ref().clone())
            .with_page_index_policy(PageIndexPolicy::Optional);
        reader.read_page_indexes(&self.handle)?;
        self.keep(reader.finish()?);
        Ok(())
    }
}

/// Where the page index of a file begins: after all of its rows.
fn page_index(footer: &ParquetMetaData) -> Option<u64> {
    let chunks = footer.row_groups().iter().flat_map(|group| group.columns());
    let offsets = chunks.flat_map(|chunk| [chunk.column_index_offset(), chunk.offset_index_offset()]);
    offsets.flatten().min()?.try_into().ok()
}

impl AsyncFileReader for SegmentReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Parquet<bytes::Bytes>> {
        let read = self.read(&range).and_then(|read| {
            if self
                .page_index
                .is_some_and(|page_index| range.start >= page_index)
            {
                self.keep_page_index()?;
            }
            Ok(read)
        });
        std::future::ready(read).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Parquet<Arc<ParquetMetaData>>> {
        std::future::ready(self.footer()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use datafusion_execution::runtime_env::RuntimeEnv;
    use weir_store::{TimeRange, open};

    use super::*;
    use crate::broken_segment::first_unreadable;
    use crate::lower::tests::flows::Flows;
    use crate::lower::tests::kept_for_ever;

    #[tokio::test]
    async fn the_segment_that_cannot_be_read_is_found_among_those_opened_last_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
        let mut made = Flows::new(1, 20);
        for _ in 0..4 {
            writer.append(&made.batch(50)).unwrap();
            writer.seal().unwrap();
        }
        let all = TimeRange {
            from: 0,
            until: i64::MAX,
        };
        let segments = reader.view(all).raw;
        let opened = OpenedSegments::default();
        for segment in [&segments[0], &segments[1], &segments[2], &segments[1]] {
            opened.add(segment);
        }
        let paths = |segments: &[Arc<Segment>]| segments.iter().map(|s| s.path.clone()).collect::<Vec<_>>();
        let latest = opened.latest_first();
        let order = [1, 2, 0].map(|at: usize| Arc::clone(&segments[at]));
        assert_eq!(paths(&latest), paths(&order));
        assert!(first_unreadable(latest).await.unwrap().is_none(), "all are whole");
        // It is gone, and one that nobody opened is broken.
        std::fs::remove_file(&segments[2].path).unwrap();
        std::fs::write(&segments[3].path, "no longer Parquet").unwrap();
        let broken = first_unreadable(opened.latest_first()).await.unwrap().unwrap();
        assert_eq!(broken.path, segments[2].path);
        assert!(
            first_unreadable(Vec::new()).await.unwrap().is_none(),
            "nothing was read"
        );
    }

    #[tokio::test]
    async fn a_page_index_is_kept_from_when_a_question_wanted_it_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, reader, _) = open(kept_for_ever(directory.path())).unwrap();
        writer.append(&Flows::new(1, 20).batch(5_000)).unwrap();
        writer.seal().unwrap();
        let all = TimeRange {
            from: 0,
            until: i64::MAX,
        };
        let segment = &reader.view(all).raw[0];
        let readers = SegmentReaders {
            footers: RuntimeEnv::default().cache_manager.get_file_metadata_cache(),
            opened: Arc::default(),
        };
        let metrics = ExecutionPlanMetricsSet::new();
        let open = || {
            readers
                .create_reader(0, file_of(segment), None, &metrics)
                .unwrap()
        };
        let whole = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(&File::open(&segment.path).unwrap())
            .unwrap();
        let index = page_index(&whole).unwrap();
        for _ in 0..2 {
            let footer = open().get_metadata(None).await.unwrap();
            assert_eq!(footer.row_groups(), whole.row_groups());
            assert!(footer.column_index().is_none() && footer.offset_index().is_none());
        }
        let mut asking = open();
        asking.get_metadata(None).await.unwrap();
        asking.get_bytes(4..index).await.unwrap();
        assert!(open().get_metadata(None).await.unwrap().offset_index().is_none());
        asking.get_bytes(index..index + 1).await.unwrap();
        assert_eq!(*open().get_metadata(None).await.unwrap(), whole);
    }
}
