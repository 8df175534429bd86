//! Runs a plan within limits and says what it cost.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use datafusion_execution::TaskContext;
use datafusion_execution::cache::cache_manager::CacheManagerConfig;
use datafusion_execution::config::SessionConfig;
use datafusion_execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion_execution::memory_pool::GreedyMemoryPool;
use datafusion_execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion_physical_plan::display::DisplayableExecutionPlan;
use datafusion_physical_plan::metrics::MetricValue;
use datafusion_physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use crate::budget;
use crate::plan::{BATCH, Plan, ScanContext};
use crate::segment_reader::{OpenedSegments, SegmentReaders};
use crate::{Limits, QueryError, Stats};

/// What is known of the files outlives the question: their footers.
static SHARED: LazyLock<RuntimeEnv> = LazyLock::new(RuntimeEnv::default);

/// A plan and how it is run.
pub(crate) struct Task<'a> {
    pub(crate) plan: Plan,
    pub(crate) limits: &'a Limits,
    /// Columns that the filter does not need are read after it, only where it
    /// lets rows through. That pays when these are few; else it costs.
    pub(crate) filter_first: bool,
    /// The answer has at most so many rows.
    pub(crate) most: usize,
    pub(crate) too_many: fn(usize) -> QueryError,
    /// Which files it opens is told here.
    pub(crate) opened: Arc<OpenedSegments>,
}

/// What came out of a plan.
pub(crate) struct QueryRun {
    pub(crate) rows: RecordBatch,
    pub(crate) stats: Stats,
    plan: Arc<dyn ExecutionPlan>,
}

impl QueryRun {
    /// The plan, with the figures of each step.
    pub(crate) fn plan(&self) -> String {
        let shown = DisplayableExecutionPlan::with_metrics(self.plan.as_ref());
        shown.indent(false).to_string()
    }
}

/// Runs a plan, as long as somebody waits for it.
pub(crate) async fn run(task: Task<'_>) -> Result<QueryRun, QueryError> {
    let began = Instant::now();
    let session = session(task.limits)?;
    let scans = ScanContext {
        readers: Arc::new(SegmentReaders::new(
            SHARED.cache_manager.get_file_metadata_cache(),
            task.opened,
        )),
        options: Arc::clone(session.session_config().options()),
        threads: task.limits.threads.max(1),
        filter_first: task.filter_first,
    };
    let plan = task.plan;
    // A large filter takes its time.
    let plan = budget::off_thread(move || Ok(plan.steps(&scans)?)).await?;
    let mut stream = execute_stream(Arc::clone(&plan), session)?;
    let (mut batches, mut rows, mut bytes) = (Vec::new(), 0, 0);
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        if rows > task.most {
            return Err((task.too_many)(task.most));
        }
        bytes += held(&batch);
        if bytes > task.limits.memory {
            let message = format!(
                "what came out of it takes more than {} MiB",
                task.limits.memory >> 20
            );
            return Err(QueryError::Memory(message));
        }
        batches.push(batch);
    }
    let rows = concat_batches(&stream.schema(), &batches)?;
    let mut stats = Stats {
        elapsed_us: began.elapsed().as_micros().try_into().unwrap_or(u64::MAX),
        ..Stats::default()
    };
    add_up(plan.as_ref(), &mut stats);
    Ok(QueryRun { rows, stats, plan })
}

/// Bytes of memory that rows take by themselves, whatever they share with others.
fn held(rows: &RecordBatch) -> usize {
    let of_column = |column: &ArrayRef| column.to_data().get_slice_memory_size();
    rows.columns()
        .iter()
        .filter_map(|column| of_column(column).ok())
        .sum()
}

/// What the steps of one question share: the memory that they may take.
fn session(limits: &Limits) -> Result<Arc<TaskContext>, QueryError> {
    let footers = SHARED.cache_manager.get_file_metadata_cache();
    let caches = CacheManagerConfig {
        file_metadata_cache: Some(footers),
        ..CacheManagerConfig::default()
    };
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .with_cache_manager(caches)
        .build_arc()?;
    let config = SessionConfig::new().with_batch_size(BATCH);
    let session = TaskContext::new(
        None,
        String::new(),
        config,
        // Plans hold the functions that they call; none is looked up by name.
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        runtime,
    );
    Ok(Arc::new(session))
}

/// Adds up what the steps that read say of themselves.
fn add_up(plan: &dyn ExecutionPlan, stats: &mut Stats) {
    for child in plan.children() {
        add_up(child.as_ref(), stats);
    }
    if plan.name() != "DataSourceExec" {
        return;
    }
    for metric in plan.metrics().unwrap_or_default().iter() {
        match metric.value() {
            MetricValue::OutputRows(count) => stats.rows_read += count.value(),
            MetricValue::Count { name, count } if name == "bytes_scanned" => {
                stats.bytes_read += count.value()
            }
            MetricValue::Count { name, count } if name == "pushdown_rows_pruned" => {
                stats.rows_read += count.value();
            }
            MetricValue::PruningMetrics {
                name,
                pruning_metrics,
            } if name == "row_groups_pruned_statistics" => {
                stats.row_groups_pruned += pruning_metrics.pruned();
                stats.row_groups += pruning_metrics.pruned() + pruning_metrics.matched();
            }
            MetricValue::PruningMetrics {
                name,
                pruning_metrics,
            } if name == "files_ranges_pruned_statistics" => {
                stats.segments_pruned += pruning_metrics.pruned();
            }
            _ => {}
        }
    }
}
