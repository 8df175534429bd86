//! Identities by number: what is true of each, what each is called, and the
//! groups that they fall into. All of it is done once a question, on a table of
//! thousands, in place of once a row on millions.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{concat_batches, take, take_record_batch};
use arrow::datatypes::UInt32Type;
use arrow::row::{RowConverter, SortField};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{col, lit};
use weir_api::fields::Column;
use weir_store::Identities;

use crate::function::call;
use arrow::datatypes::DataType;

/// So few numbers are listed in the plan, where statistics prune by them.
const FEW: usize = 20;

/// The name of a field in the table of identities: that of the source's side.
pub(crate) fn attribute(column: Column) -> &'static str {
    column.field().name
}

/// Identities in the order of their numbers; numbers that nobody has are nobody.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// Row `n` is number `n`.
    table: RecordBatch,
}

impl Who {
    pub(crate) fn new(identities: &Identities) -> Result<Self> {
        let batch = identities.batch();
        let nobody = identities.row(0).unwrap_or_default();
        let row = |id| identities.row(id).unwrap_or(nobody) as u32;
        let rows = UInt32Array::from_iter_values((0..=identities.last()).map(row));
        let table = if batch.num_rows() == 0 {
            concat_batches(&batch.schema(), [batch])?
        } else {
            take_record_batch(batch, &rows)?
        };
        Ok(Self { table })
    }

    /// The table, a row a number.
    pub(crate) fn table(&self) -> &RecordBatch {
        &self.table
    }

    /// What a field holds, a row a number.
    pub(crate) fn values(&self, column: Column) -> ArrayRef {
        let found = self.table.column_by_name(attribute(column));
        Arc::clone(found.expect("the caller looked that it is an identity's field"))
    }

    /// The condition that `id` is one of those that `chosen` names.
    pub(crate) fn chosen(id: &str, chosen: &BooleanArray) -> Expr {
        let bits = chosen.values().clone();
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

    /// A field of the identity that `id` points at.
    pub(crate) fn gather(&self, column: Column, id: &str) -> Expr {
        let values = self.values(column);
        let returns = values.data_type().clone();
        call(column.name(), returns, vec![col(id)], move |args| {
            let ids = within(args[0].as_primitive(), values.len());
            Ok(take(&values, &ids, None)?)
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
            texts.iter().map(next).collect()
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
        for (place, &id) in order.iter().enumerate() {
            if place == 0 || rows.row(order[place - 1]) != rows.row(id) {
                first.push(id as u32);
            }
            of[id] = first.len() as u32 - 1;
        }
        let first = UInt32Array::from(first);
        let names = values.iter().map(|v| take(v, &first, None));
        Ok(Groups {
            of: of.into(),
            names: names.collect::<Result<_, _>>()?,
        })
    }
}

/// Numbers beyond the table are nobody's.
fn within(ids: &UInt32Array, count: usize) -> UInt32Array {
    UInt32Array::from_iter_values(
        ids.values()
            .iter()
            .map(|id| if (*id as usize) < count { *id } else { 0 }),
    )
}

/// Identities by group.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    /// The group of each number.
    pub(crate) of: Arc<[u32]>,
    /// The fields, a row a group.
    pub(crate) names: Vec<ArrayRef>,
}

impl Groups {
    /// The group of a number.
    pub(crate) fn at(of: &[u32], id: u32) -> u32 {
        of.get(id as usize)
            .or_else(|| of.first())
            .copied()
            .unwrap_or_default()
    }
}
