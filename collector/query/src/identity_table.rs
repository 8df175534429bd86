//! Identities by number: what is true of each, what each is called, and the
//! groups that they fall into. All of it is done once a question, on a table of
//! thousands, in place of once a row on millions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, UInt32Type};
use arrow::row::{RowConverter, SortField};
use datafusion_common::{DataFusionError, Result};
use datafusion_expr::{Expr, col, lit};
use weir_api::fields::Column;
use weir_store::Identities;

use crate::budget::Budget;
use crate::function::call;

/// So few numbers are listed in the plan, where statistics prune by them.
const FEW: usize = 20;

/// The name of a field in the table of identities: that of the source's side.
pub(crate) fn attribute(column: Column) -> &'static str {
    column.field().name
}

/// Identities, and the row of each number; numbers that nobody has are nobody's.
#[derive(Debug, Clone)]
pub(crate) struct IdentityTable {
    table: RecordBatch,
    row_of: Arc<[u32]>,
    /// Until when there is time to work with them.
    budget: Option<Budget>,
    /// Fields whose values were numbered, by name.
    numbered: Arc<Mutex<HashMap<&'static str, Numbers>>>,
}

/// The values of a field by number.
#[derive(Debug, Clone)]
struct Numbers {
    /// The number of each identity's.
    of: Arc<[u32]>,
    /// Which of them are known.
    known: Arc<[bool]>,
}

impl IdentityTable {
    /// For a question.
    pub(crate) fn within(identities: &Identities, budget: &Budget) -> Self {
        Self {
            budget: Some(budget.clone()),
            ..Self::new(identities)
        }
    }

    /// An error when there is no time left: what is found out for each identity, a
    /// filter may ask for a thousand times.
    pub(crate) fn check_time(&self) -> Result<()> {
        let checked = self.budget.as_ref().map_or(Ok(()), Budget::check);
        checked.map_err(|error| DataFusionError::External(Box::new(error)))
    }

    pub(crate) fn new(identities: &Identities) -> Self {
        Self {
            table: identities.batch().clone(),
            row_of: Arc::clone(identities.rows()),
            budget: None,
            numbered: Arc::default(),
        }
    }

    /// The table, in no order.
    pub(crate) fn table(&self) -> &RecordBatch {
        &self.table
    }

    /// The rows of these numbers.
    pub(crate) fn rows(&self, ids: &UInt32Array) -> UInt32Array {
        rows(&self.row_of, ids)
    }

    /// What a field holds, by row.
    pub(crate) fn values(&self, column: Column) -> ArrayRef {
        let found = self.table.column_by_name(attribute(column));
        Arc::clone(found.expect("the caller looked that it is an identity's field"))
    }

    /// The condition that the row that `id` points at is one of the `chosen`.
    pub(crate) fn chosen(&self, id: &str, chosen: &BooleanArray) -> Expr {
        let its = |id: usize| chosen.value(self.row_of[id] as usize);
        let bits = BooleanBuffer::collect_bool(self.row_of.len(), its);
        let count = bits.count_set_bits();
        if count == 0 || count == bits.len() {
            return lit(count > 0);
        }
        if count <= FEW {
            let list = bits.set_indices().map(|id| lit(id as u32)).collect();
            return col(id).in_list(list, false);
        }
        let first = bits.set_indices().next().unwrap_or_default() as u32;
        let last = bits.set_indices().last().unwrap_or_default() as u32;
        let test = call("chosen", DataType::Boolean, vec![col(id)], move |args| {
            let ids = args[0].as_primitive::<UInt32Type>().values();
            let test = |row: usize| {
                let id = ids[row] as usize;
                id < bits.len() && bits.value(id)
            };
            let found = BooleanBuffer::collect_bool(ids.len(), test);
            Ok(Arc::new(BooleanArray::new(found, None)) as ArrayRef)
        });
        col(id).between(lit(first), lit(last)).and(test)
    }

    /// What the identity that `id` points at has of `values`, one a row of the table:
    /// those of a column, or what was made of it.
    pub(crate) fn gather(&self, column: Column, values: ArrayRef, id: &str) -> Expr {
        let row_of = Arc::clone(&self.row_of);
        let returns = values.data_type().clone();
        call(column.name(), returns, vec![col(id)], move |args| {
            let rows = rows(&row_of, args[0].as_primitive());
            Ok(take(&values, &rows, None)?)
        })
    }

    /// Both fields hold the same text; numbers are compared in its place.
    pub(crate) fn same(&self, a: (Column, &str), b: (Column, &str)) -> Expr {
        let mut numbers = HashMap::new();
        let mut number = |column| -> Vec<u32> {
            let values = self.values(column);
            let texts = values.as_string_view();
            let next = |text: Option<&str>| {
                let fresh = numbers.len() as u32;
                *numbers
                    .entry(text.unwrap_or_default().to_owned())
                    .or_insert(fresh)
            };
            let by_row: Vec<u32> = texts.iter().map(next).collect();
            self.row_of.iter().map(|row| by_row[*row as usize]).collect()
        };
        let (left, right) = (number(a.0), number(b.0));
        let name = format!("{}_is_{}", a.0.name(), b.0.name());
        call(&name, DataType::Boolean, vec![col(a.1), col(b.1)], move |args| {
            let a = args[0].as_primitive::<UInt32Type>().values();
            let b = args[1].as_primitive::<UInt32Type>().values();
            let test = |row: usize| left.get(a[row] as usize) == right.get(b[row] as usize);
            let same = BooleanBuffer::collect_bool(a.len(), test);
            Ok(Arc::new(BooleanArray::new(same, None)) as ArrayRef)
        })
    }

    /// What tells the identities that `id` points at apart by this field: a number for each
    /// value, the same on either side of a flow; null where it is unknown.
    pub(crate) fn number(&self, column: Column, id: &str) -> Result<Expr> {
        let Numbers { of, known } = self.numbers(column)?;
        Ok(call(
            column.name(),
            DataType::UInt32,
            vec![col(id)],
            move |args| {
                let ids = args[0].as_primitive::<UInt32Type>().values().iter();
                let numbers = ids.map(|id| Some(Groups::at(&of, *id)).filter(|group| known[*group as usize]));
                Ok(Arc::new(numbers.collect::<UInt32Array>()) as ArrayRef)
            },
        ))
    }

    /// The same for each identity: found out once, whoever asks.
    fn numbers(&self, column: Column) -> Result<Numbers> {
        self.check_time()?;
        let mut found = self.numbered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(numbers) = found.get(attribute(column)) {
            return Ok(numbers.clone());
        }
        let groups = self.groups(&[column])?;
        let known = groups
            .names(column)
            .map(|names| match names.as_string_view_opt() {
                Some(texts) => texts
                    .iter()
                    .map(|text| text.is_some_and(|text| !text.is_empty()))
                    .collect(),
                None => (0..names.len()).map(|at| names.is_valid(at)).collect(),
            });
        let numbers = Numbers {
            of: groups.of,
            known: known.unwrap_or_default(),
        };
        found.insert(attribute(column), numbers.clone());
        Ok(numbers)
    }

    /// The groups that identities fall into by these fields, numbered in the
    /// order of their values.
    pub(crate) fn groups(&self, columns: &[Column]) -> Result<Groups> {
        let values: Vec<_> = columns.iter().map(|column| self.values(*column)).collect();
        let sorts = values.iter().map(|v| SortField::new(v.data_type().clone()));
        let converter = RowConverter::new(sorts.collect())?;
        let rows = converter.convert_columns(&values)?;
        let mut order: Vec<usize> = (0..rows.num_rows()).collect();
        order.sort_unstable_by(|a, b| rows.row(*a).cmp(&rows.row(*b)));
        let (mut of, mut first) = (vec![0; order.len()], Vec::<u32>::new());
        for (place, &row) in order.iter().enumerate() {
            if place == 0 || rows.row(order[place - 1]) != rows.row(row) {
                first.push(row as u32);
            }
            of[row] = first.len() as u32 - 1;
        }
        let first = UInt32Array::from(first);
        let name = |(column, values): (&Column, &ArrayRef)| Ok((*column, take(values, &first, None)?));
        Ok(Groups {
            of: self.row_of.iter().map(|row| of[*row as usize]).collect(),
            names: columns.iter().zip(&values).map(name).collect::<Result<_>>()?,
        })
    }
}

/// The rows of these numbers; numbers beyond the last are nobody's.
fn rows(row_of: &[u32], ids: &UInt32Array) -> UInt32Array {
    let nobody = row_of.first().copied().unwrap_or_default();
    let row = |id: &u32| row_of.get(*id as usize).copied().unwrap_or(nobody);
    UInt32Array::from_iter_values(ids.values().iter().map(row))
}

/// Identities by group.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    /// The group of each number.
    pub(crate) of: Arc<[u32]>,
    /// The fields, a row a group.
    names: Vec<(Column, ArrayRef)>,
}

impl Groups {
    /// What a field says, a row a group.
    pub(crate) fn names(&self, column: Column) -> Option<&ArrayRef> {
        let (_, names) = self.names.iter().find(|(its, _)| *its == column)?;
        Some(names)
    }

    /// The group of a number.
    pub(crate) fn at(of: &[u32], id: u32) -> u32 {
        of.get(id as usize)
            .or_else(|| of.first())
            .copied()
            .unwrap_or_default()
    }
}
