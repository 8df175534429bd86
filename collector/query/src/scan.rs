//! The rows of a view as a table of the engine: segments, and rows in memory.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use weir_store::{Batch, Segment, schema};

use crate::segment_reader::{SegmentReaders, file_of};

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

    fn files(&self, state: &dyn Session, projection: Option<&Vec<usize>>) -> Result<Arc<dyn ExecutionPlan>> {
        let readers = SegmentReaders {
            footers: state.runtime_env().cache_manager.get_file_metadata_cache(),
            opened: state.config().get_extension().unwrap_or_default(),
        };
        let options = state.table_options().parquet.clone();
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers));
        let groups = self.groups(state.config().target_partitions());
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(config))
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
}

/// The columns of a batch as the schema has them; none if their types differ.
fn read(batch: &Batch, schema: &SchemaRef) -> Option<RecordBatch> {
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.conform(schema).columns().to_vec();
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows).ok()
}

#[async_trait]
impl TableProvider for SegmentScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut parts: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if !self.segments.is_empty() {
            parts.push(self.files(state, projection)?);
        }
        let schema = datafusion::common::project_schema(&self.schema, projection)?;
        if !self.memory.is_empty() {
            let batches = self.memory.iter().filter_map(|batch| read(batch, &schema));
            let batches = [batches.collect()];
            parts.push(MemorySourceConfig::try_new_exec(
                &batches,
                Arc::clone(&schema),
                None,
            )?);
        }
        if parts.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        UnionExec::try_new(parts)
    }
}
