//! A part of what is read: rows of a scan that a condition lets through, and the columns
//! that are made of them.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion_common::tree_node::TreeNode;
use datafusion_common::{Result, ScalarValue};
use datafusion_datasource_parquet::can_expr_be_pushed_down_with_schemas;
use datafusion_expr::expr::Alias;
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{Case, Expr, col};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::conjunction;
use datafusion_physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion_physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion_physical_expr::utils::{conjunction_opt, reassign_expr_columns};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::empty::EmptyExec;
use datafusion_physical_plan::filter::FilterExecBuilder;
use datafusion_physical_plan::projection::ProjectionExec;

use super::{ScanContext, SegmentScan, physical, union};

/// An expression, and the name of the column that it makes.
type Named = (String, Expr);

/// Rows of a scan that a condition lets through, and the columns made of them.
pub(crate) struct Part {
    rows: SegmentScan,
    /// All of these hold, those first that cost little; `None`: no row is let through.
    conditions: Option<Vec<Expr>>,
    columns: Vec<Named>,
}

/// The conditions of a part as segments are read.
#[derive(Default)]
struct Divided<'a> {
    /// Those that the reader prunes by, and asks itself if it is to.
    told: Vec<Arc<dyn PhysicalExpr>>,
    /// Those that are to be asked of what it gives.
    left: Vec<&'a Expr>,
}

impl Part {
    /// `test` is of the columns of the scan, and so are `columns`, each of which is one of
    /// them or has an alias.
    pub(crate) fn new(rows: SegmentScan, test: &Expr, columns: Vec<Expr>) -> Self {
        Self {
            rows,
            conditions: conditions(test),
            columns: columns.into_iter().map(named).collect(),
        }
    }

    /// The scan has such a column.
    pub(super) fn reads(&self, name: &str) -> bool {
        self.rows.schema().column_with_name(name).is_some()
    }

    /// Of its columns.
    pub(super) fn schema(&self) -> Result<SchemaRef> {
        let schema = self.rows.schema();
        let projection = projection(&self.columns, &schema)?;
        Ok(Arc::new(
            ProjectionExprs::new(projection).project_schema(&schema)?,
        ))
    }

    /// The steps that read it; work is spread over threads where one of them would read alone.
    /// Rows that `beyond` excludes need not be read; it is of the columns of the scan.
    pub(super) fn steps(
        &self,
        context: &ScanContext,
        beyond: Option<&Arc<DynamicFilterPhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut steps = Vec::new();
        if let Some(conditions) = &self.conditions {
            let Divided { told, left } = self.divided(conditions, context)?;
            let schema = self.rows.schema();
            let beyond = beyond.map(|beyond| reassign_expr_columns(Arc::clone(beyond) as _, &schema));
            let predicate = conjunction_opt(told.into_iter().chain(beyond.transpose()?));
            let read = self.read(&left);
            if let Some(files) = self.rows.files(context, predicate, &read)? {
                steps.push(self.shown(files, &left)?);
            }
            let all: Vec<&Expr> = conditions.iter().collect();
            if let Some(memory) = self.rows.memory(context, &self.read(&all))? {
                steps.push(self.shown(memory, &all)?);
            }
        }
        if steps.is_empty() {
            return Ok(Arc::new(EmptyExec::new(self.schema()?)));
        }
        union(steps)
    }

    /// What the reader of segments is told of the conditions, and what is left to ask.
    fn divided<'a>(&self, conditions: &'a [Expr], context: &ScanContext) -> Result<Divided<'a>> {
        let mut divided = Divided::default();
        let schema = self.rows.schema();
        for condition in conditions {
            let ready = physical(condition, &schema)?;
            let is_told = can_expr_be_pushed_down_with_schemas(&ready, &schema);
            if !is_told || !context.filter_first {
                divided.left.push(condition);
            }
            if is_told {
                divided.told.push(ready);
            }
        }
        Ok(divided)
    }

    /// The places of the columns of the scan that the columns and these conditions need.
    fn read(&self, conditions: &[&Expr]) -> Vec<usize> {
        let schema = self.rows.schema();
        let columns = self.columns.iter().map(|(_, column)| column);
        places(columns.chain(conditions.iter().copied()), &schema)
    }

    /// The columns of the rows that these conditions let through.
    fn shown(
        &self,
        mut rows: Arc<dyn ExecutionPlan>,
        conditions: &[&Expr],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !conditions.is_empty() {
            let schema = rows.schema();
            let ready = conditions.iter().map(|condition| physical(condition, &schema));
            let test = conjunction(ready.collect::<Result<Vec<_>>>()?);
            let kept = places(self.columns.iter().map(|(_, column)| column), &schema);
            let filter = FilterExecBuilder::new(test, rows).with_batch_size(super::BATCH);
            rows = Arc::new(filter.apply_projection(Some(kept))?.build()?);
        }
        let (shared, columns) = shared(&self.columns);
        if !shared.is_empty() {
            rows = projected(rows, &shared)?;
        }
        projected(rows, &columns)
    }
}

/// The rows with these columns.
fn projected(rows: Arc<dyn ExecutionPlan>, columns: &[Named]) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = rows.schema();
    let names = columns.iter().map(|(name, column)| match column {
        Expr::Column(its) if its.name == *name => Some(name),
        _ => None,
    });
    if names.eq(schema.fields().iter().map(|field| Some(field.name()))) {
        return Ok(rows);
    }
    Ok(Arc::new(ProjectionExec::try_new(
        projection(columns, &schema)?,
        rows,
    )?))
}

fn projection(columns: &[Named], schema: &Schema) -> Result<Vec<ProjectionExpr>> {
    let column = |(name, column): &Named| Ok(ProjectionExpr::new(physical(column, schema)?, name));
    columns.iter().map(column).collect()
}

/// The places of the columns that these need, in the order in which they need them.
fn places<'a>(expressions: impl Iterator<Item = &'a Expr>, schema: &Schema) -> Vec<usize> {
    let mut places = Vec::new();
    for expression in expressions {
        let mut its: Vec<usize> = expression
            .column_refs()
            .into_iter()
            .filter_map(|column| schema.index_of(&column.name).ok())
            .collect();
        its.sort_unstable();
        for place in its {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

fn named(column: Expr) -> Named {
    match column {
        Expr::Alias(Alias { expr, name, .. }) => (name, *expr),
        Expr::Column(column) => (column.name.clone(), Expr::Column(column)),
        other => {
            let name = other.schema_name().to_string();
            (name, other)
        }
    }
}

/// The conditions of which each must hold: those that compare a column with a value first.
/// `None` if one of them never does.
fn conditions(test: &Expr) -> Option<Vec<Expr>> {
    let mut conditions = Vec::new();
    for condition in split_conjunction(test) {
        match condition {
            Expr::Literal(ScalarValue::Boolean(Some(true)), _) => {}
            Expr::Literal(..) => return None,
            other => conditions.push(other.clone()),
        }
    }
    let calls = |part: &Expr| matches!(part, Expr::ScalarFunction(_));
    conditions.sort_by_cached_key(|condition| condition.exists(|part| Ok(calls(part))).unwrap_or(true));
    Some(conditions)
}

/// Conditions on which several columns depend, each to be found out once and beside the
/// columns that these need; and the columns in which its name stands for it.
fn shared(columns: &[Named]) -> (Vec<Named>, Vec<Named>) {
    let mut shared: Vec<Named> = Vec::new();
    for (_, column) in columns {
        let Some(condition) = condition(column) else {
            continue;
        };
        let asks = |(_, column): &&Named| self::condition(column) == Some(condition);
        let is_new = !shared.iter().any(|(_, known)| known == condition);
        if is_new && columns.iter().filter(asks).count() > 1 {
            shared.push((format!("condition{}", shared.len()), condition.clone()));
        }
    }
    let mut columns = columns.to_vec();
    if shared.is_empty() {
        return (shared, columns);
    }
    for (_, column) in &mut columns {
        if let Expr::Case(Case { when_then_expr, .. }) = column {
            for (condition, _) in when_then_expr {
                if let Some((name, _)) = shared.iter().find(|(_, known)| known == condition.as_ref()) {
                    **condition = col(name);
                }
            }
        }
    }
    for (_, column) in &columns {
        let mut its: Vec<&str> = column.column_refs().iter().map(|its| its.name.as_str()).collect();
        its.sort_unstable();
        for name in its {
            if !shared.iter().any(|(known, _)| known == name) {
                shared.push((name.to_owned(), col(name)));
            }
        }
    }
    (shared, columns)
}

/// The condition on which a column depends.
fn condition(column: &Expr) -> Option<&Expr> {
    match column {
        Expr::Case(Case { when_then_expr, .. }) => {
            let (condition, _) = when_then_expr.first()?;
            (!matches!(**condition, Expr::Literal(..) | Expr::Column(_))).then_some(&**condition)
        }
        _ => None,
    }
}
