//! The steps that the engine takes for a question, put together by hand: no optimizer
//! goes over them.
//!
//! There are two kinds of plans: sums over groups, and the first rows in an order. What an
//! optimizer would find out is known here: which columns are read, which conditions a
//! segment's statistics prune by, where a condition is better asked before or after other
//! columns are read, which conditions several columns share, and where the work of one
//! thread is better spread over several.

mod fold;
mod part;
mod scan;

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::Schema;
use datafusion_common::{DFSchema, Result};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{AggregateUDF, Expr};
use datafusion_physical_expr::aggregate::AggregateExprBuilder;
use datafusion_physical_expr::expressions::{DynamicFilterPhysicalExpr, col, lit};
use datafusion_physical_expr::{LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion_physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion_physical_plan::empty::EmptyExec;
use datafusion_physical_plan::repartition::RepartitionExec;
use datafusion_physical_plan::sorts::sort::SortExec;
use datafusion_physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion_physical_plan::union::UnionExec;

pub(crate) use fold::{max, min, sum};
pub(crate) use part::Part;
pub(crate) use scan::{ScanContext, SegmentScan};

/// Rows of a batch that the engine works on at once.
pub(crate) const BATCH: usize = 16 << 10;

/// What the engine is to do.
pub(crate) enum Plan {
    /// What the rows of each group give together: its keys, then one value for each of
    /// `added`.
    Groups {
        /// All of the same columns.
        parts: Vec<Part>,
        /// The columns that rows are grouped by; without any, all are one group.
        keys: Vec<String>,
        added: Vec<Aggregation>,
    },
    /// The first rows in an order.
    First {
        /// All of the same columns, which are those of the scans under their own names, and
        /// what is made of them.
        parts: Vec<Part>,
        order: Vec<(String, SortOptions)>,
        fetch: usize,
    },
}

/// How a function is called on the columns of the rows of a group.
pub(crate) struct Aggregation {
    pub(crate) function: Arc<AggregateUDF>,
    pub(crate) args: Vec<String>,
    /// The name of what it gives.
    pub(crate) name: String,
}

impl Plan {
    /// The steps of the engine.
    pub(crate) fn steps(self, context: &ScanContext) -> Result<Arc<dyn ExecutionPlan>> {
        match self {
            Self::Groups { parts, keys, added } => {
                let parts = parts.iter().map(|part| part.steps(context, None));
                grouped(
                    union(parts.collect::<Result<_>>()?)?,
                    &keys,
                    &added,
                    context.threads,
                )
            }
            Self::First { parts, order, fetch } => first(&parts, &order, fetch, context),
        }
    }
}

/// All rows of all of these; none are none.
fn union(mut parts: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    if parts.len() > 1 {
        return UnionExec::try_new(parts);
    }
    let nothing = || Arc::new(EmptyExec::new(Arc::new(Schema::empty()))) as Arc<dyn ExecutionPlan>;
    Ok(parts.pop().unwrap_or_else(nothing))
}

/// Each thread adds up what it reads, then each all of some of the groups.
fn grouped(
    rows: Arc<dyn ExecutionPlan>,
    keys: &[String],
    added: &[Aggregation],
    threads: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = rows.schema();
    let keys = keys.iter().map(|key| Ok((col(key, &schema)?, key.clone())));
    let keys = PhysicalGroupBy::new_single(keys.collect::<Result<_>>()?);
    let value = |aggregation: &Aggregation| {
        let args = aggregation.args.iter().map(|column| col(column, &schema));
        let args = args.collect::<Result<Vec<_>>>()?;
        let shown = format!("{}({})", aggregation.function.name(), aggregation.args.join(", "));
        let built = AggregateExprBuilder::new(Arc::clone(&aggregation.function), args)
            .schema(Arc::clone(&schema))
            .human_display(shown)
            .alias(&aggregation.name)
            .build()?;
        Ok(Arc::new(built))
    };
    let values = added.iter().map(value).collect::<Result<Vec<_>>>()?;
    let of_all = vec![None; values.len()];
    let aggregate = |mode, keys: PhysicalGroupBy, rows: Arc<dyn ExecutionPlan>| {
        let (values, of_all) = (values.clone(), of_all.clone());
        AggregateExec::try_new(mode, keys, values, of_all, rows, Arc::clone(&schema)).map(Arc::new)
    };
    if partitions(&rows) == 1 {
        return Ok(aggregate(AggregateMode::Single, keys, rows)?);
    }
    let partial = aggregate(AggregateMode::Partial, keys, rows)?;
    let last_keys = partial.group_expr().as_final();
    let by_key = last_keys.input_exprs();
    if by_key.is_empty() || threads == 1 {
        let all = Arc::new(CoalescePartitionsExec::new(partial));
        return Ok(aggregate(AggregateMode::Final, last_keys, all)?);
    }
    let dealt = RepartitionExec::try_new(partial, Partitioning::Hash(by_key, threads))?;
    Ok(aggregate(
        AggregateMode::FinalPartitioned,
        last_keys,
        Arc::new(dealt),
    )?)
}

/// Each thread keeps the first of what it reads, and segments are not read for what is
/// beyond the last of these; then the first of all.
fn first(
    parts: &[Part],
    order: &[(String, SortOptions)],
    fetch: usize,
    context: &ScanContext,
) -> Result<Arc<dyn ExecutionPlan>> {
    let columns = parts.first().map(Part::schema).transpose()?;
    let columns = columns.unwrap_or_else(|| Arc::new(Schema::empty()));
    let by =
        |(name, options): &(String, SortOptions)| Ok(PhysicalSortExpr::new(col(name, &columns)?, *options));
    let names: Vec<&String> = order.iter().map(|(name, _)| name).collect();
    let order = order.iter().map(by).collect::<Result<Vec<_>>>()?;
    let Some(order) = LexOrdering::new(order) else {
        return datafusion_common::internal_err!("rows are in no order");
    };
    let compared = order.iter().map(|by| Arc::clone(&by.expr)).collect();
    let beyond = Arc::new(DynamicFilterPhysicalExpr::new(compared, lit(true)));
    // What is made of columns is not known before they are read.
    let is_read = |part: &Part| names.iter().all(|name| part.reads(name));
    let told = parts.iter().all(is_read).then_some(&beyond);
    let parts = parts.iter().map(|part| part.steps(context, told));
    let rows = union(parts.collect::<Result<_>>()?)?;
    let several = partitions(&rows) > 1;
    let sorted = SortExec::new(order.clone(), rows)
        .with_preserve_partitioning(several)
        .with_fetch(Some(fetch))
        .with_dynamic_filter_expr(beyond)?;
    if !several {
        return Ok(Arc::new(sorted));
    }
    let merged = SortPreservingMergeExec::new(order, Arc::new(sorted));
    Ok(Arc::new(merged.with_fetch(Some(fetch))))
}

fn partitions(rows: &Arc<dyn ExecutionPlan>) -> usize {
    rows.properties().output_partitioning().partition_count()
}

/// An expression, ready to be applied to rows of this schema.
pub(crate) fn physical(expression: &Expr, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let schema = DFSchema::try_from(schema.clone())?;
    let planning = PhysicalPlanningContext::default();
    datafusion_physical_expr::create_physical_expr(expression, &schema, &ExecutionProps::new(), &planning)
}

#[cfg(test)]
mod tests;
