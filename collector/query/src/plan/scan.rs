//! The rows of a view as the engine reads them: segments, and rows in memory.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion_common::Result;
use datafusion_common::config::ConfigOptions;
use datafusion_datasource::file_groups::FileGroup;
use datafusion_datasource::file_scan_config::FileScanConfigBuilder;
use datafusion_datasource::memory::MemorySourceConfig;
use datafusion_datasource::source::DataSourceExec;
use datafusion_datasource_parquet::source::ParquetSource;
use datafusion_execution::object_store::ObjectStoreUrl;
use datafusion_physical_expr::{Partitioning, PhysicalExpr};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::repartition::RepartitionExec;
use weir_store::{Batch, Segment, schema};

use super::partitions;
use crate::segment_reader::{SegmentReaders, file_of};

/// How rows are read.
pub(crate) struct ScanContext {
    pub(crate) readers: Arc<SegmentReaders>,
    pub(crate) options: Arc<ConfigOptions>,
    /// At least one.
    pub(crate) threads: usize,
    /// Columns that the filter does not need are read after it, only where it
    /// lets rows through. That pays when these are few; else it costs.
    pub(crate) filter_first: bool,
}

/// Segments of one schema and rows in memory.
#[derive(Debug, Clone)]
pub(crate) struct SegmentScan {
    schema: SchemaRef,
    segments: Vec<Arc<Segment>>,
    memory: Vec<Batch>,
}

impl SegmentScan {
    /// Records as they came.
    pub(crate) fn facts(segments: Vec<Arc<Segment>>, memory: Vec<Batch>) -> Self {
        Self {
            schema: schema::facts(),
            segments,
            memory,
        }
    }

    /// Sums.
    pub(crate) fn sums(segments: Vec<Arc<Segment>>) -> Self {
        Self {
            schema: schema::rollup(),
            segments,
            memory: Vec::new(),
        }
    }

    /// There is nothing to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.memory.is_empty()
    }

    /// All columns that there are to read.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// These columns of what is in segments, if there are any. Row groups and pages in which
    /// the predicate never holds are left out; rows for which it does not hold, too, where it
    /// is asked first.
    pub(super) fn files(
        &self,
        context: &ScanContext,
        predicate: Option<Arc<dyn PhysicalExpr>>,
        columns: &[usize],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if self.segments.is_empty() {
            return Ok(None);
        }
        let readers = Arc::clone(&context.readers);
        let mut source = ParquetSource::new(Arc::clone(&self.schema))
            .with_parquet_file_reader_factory(readers)
            .with_pushdown_filters(context.filter_first)
            .with_reorder_filters(true);
        if let Some(predicate) = predicate {
            source = source.with_predicate(predicate);
        }
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(self.groups(context.threads))
            .with_projection_indices(Some(columns.to_vec()))?
            .build();
        let files: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
        // Large files are divided, so that each thread reads as much as the others.
        let divided = files.repartitioned(context.threads, &context.options)?;
        spread_over(divided.unwrap_or(files), context.threads).map(Some)
    }

    /// The files, dealt out so that each thread has about the same to read.
    fn groups(&self, threads: usize) -> Vec<FileGroup> {
        let mut groups = vec![(0, Vec::new()); threads.clamp(1, self.segments.len().max(1))];
        for segment in &self.segments {
            let least = groups.iter_mut().min_by_key(|(bytes, _)| *bytes);
            if let Some((bytes, files)) = least {
                let file = file_of(segment);
                *bytes += file.object_meta.size;
                files.push(file);
            }
        }
        groups
            .into_iter()
            .map(|(_, files)| FileGroup::new(files))
            .collect()
    }

    /// These columns of what is in memory, if anything is.
    pub(super) fn memory(
        &self,
        context: &ScanContext,
        columns: &[usize],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if self.memory.is_empty() {
            return Ok(None);
        }
        let schema = Arc::new(self.schema.project(columns)?);
        let batches = self.memory.iter().filter_map(|batch| read(batch, &schema));
        let memory = MemorySourceConfig::try_new_exec(&[batches.collect()], schema, None)?;
        spread_over(memory, context.threads).map(Some)
    }
}

/// What one thread reads, worked on by several.
fn spread_over(rows: Arc<dyn ExecutionPlan>, threads: usize) -> Result<Arc<dyn ExecutionPlan>> {
    if partitions(&rows) >= threads {
        return Ok(rows);
    }
    let dealt = RepartitionExec::try_new(rows, Partitioning::RoundRobinBatch(threads))?;
    Ok(Arc::new(dealt))
}

/// The columns of a batch as the schema has them; none if their types differ.
fn read(batch: &Batch, schema: &Arc<Schema>) -> Option<RecordBatch> {
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.conform(schema).columns().to_vec();
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows).ok()
}
