//! From the sums of all groups to the answer: both directions joined, the top
//! ones picked, the rest added up.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::UInt64Type;
use arrow::row::{RowConverter, Rows, SortField};

use crate::QueryError;
use crate::groups::{BUCKET, Keys};
use crate::measure::Sum;

/// Groups and their sums.
pub(crate) struct Table {
    pub(crate) keys: Vec<ArrayRef>,
    /// The sums of each row, in the order of `sums`.
    pub(crate) values: Vec<Vec<u64>>,
    pub(crate) sums: Vec<Sum>,
}

/// What the answer shows.
pub(crate) struct Ranked {
    /// Rows of the table, in the order of the answer.
    pub(crate) shown: Vec<u32>,
    /// The bucket's start (if there are buckets) and sums of what is not shown.
    pub(crate) other: Vec<(Option<u32>, Vec<u64>)>,
    pub(crate) totals: Vec<u64>,
    pub(crate) groups: usize,
}

impl Table {
    pub(crate) fn new(rows: &RecordBatch, keys: usize, sums: Vec<Sum>) -> Self {
        let values = rows.columns()[keys..].iter().map(|column| {
            let numbers = column.as_primitive::<UInt64Type>().iter();
            numbers.map(Option::unwrap_or_default).collect()
        });
        Self {
            keys: rows.columns()[..keys].to_vec(),
            values: values.collect(),
            sums,
        }
    }

    fn rows(&self) -> usize {
        self.values.first().map_or(0, Vec::len)
    }

    /// Of a group and its mirror image one is kept; a group that is its own
    /// mirror image was counted twice.
    pub(crate) fn join(&mut self, keys: &Keys) -> Result<Vec<bool>, QueryError> {
        let own = comparable(&self.keys, self.rows())?;
        let mirrored = comparable(&keys.mirrored(&self.keys), self.rows())?;
        let known: HashMap<&[u8], usize> = (0..self.rows()).map(|row| (own.row(row).data(), row)).collect();
        let mut kept = vec![true; self.rows()];
        for (row, kept) in kept.iter_mut().enumerate() {
            let (its, image) = (own.row(row), mirrored.row(row));
            if its == image {
                for (sum, values) in self.sums.iter().zip(&mut self.values) {
                    values[row] /= if sum.has_direction() { 1 } else { 2 };
                }
            } else if image < its && known.contains_key(image.data()) {
                *kept = false;
            }
        }
        Ok(kept)
    }

    /// The first `top` groups by `by`, those with equal sums by their names.
    pub(crate) fn rank(&self, keys: &Keys, kept: &[bool], by: Sum, top: usize) -> Result<Ranked, QueryError> {
        let buckets = keys.names().first().is_some_and(|name| name == BUCKET);
        let names = comparable(&self.keys[usize::from(buckets)..], self.rows())?;
        let (group_of, firsts) = self.group(&names, kept, buckets);
        let by = self.sums.iter().position(|sum| *sum == by).unwrap_or_default();
        let mut totals = vec![0_u64; firsts.len()];
        for (row, group) in group_of.iter().enumerate() {
            if let Some(group) = group {
                totals[*group] = totals[*group].saturating_add(self.values[by][row]);
            }
        }
        let mut order: Vec<usize> = (0..firsts.len()).collect();
        let first = |a: &usize, b: &usize| {
            let by_name = || names.row(firsts[*a]).cmp(&names.row(firsts[*b]));
            totals[*b].cmp(&totals[*a]).then_with(by_name)
        };
        if (1..order.len()).contains(&top) {
            order.select_nth_unstable_by(top, first);
            order.truncate(top);
        }
        order.sort_unstable_by(first);
        let mut place = vec![usize::MAX; firsts.len()];
        for (at, group) in order.iter().take(top).enumerate() {
            place[*group] = at;
        }
        let places = group_of.iter().map(|group| group.map(|group| place[group]));
        self.split(&places.collect::<Vec<_>>(), buckets, firsts.len())
    }

    /// The group of each row that is kept, and the first row of each group.
    fn group(&self, names: &Rows, kept: &[bool], buckets: bool) -> (Vec<Option<usize>>, Vec<usize>) {
        let (mut known, mut firsts) = (HashMap::new(), Vec::new());
        let group_of = (0..self.rows()).map(|row| {
            if !kept[row] {
                return None;
            }
            let fresh = firsts.len();
            let group = match buckets {
                true => *known.entry(names.row(row).data()).or_insert(fresh),
                false => fresh,
            };
            if group == fresh {
                firsts.push(row);
            }
            Some(group)
        });
        (group_of.collect(), firsts)
    }

    fn split(&self, places: &[Option<usize>], buckets: bool, groups: usize) -> Result<Ranked, QueryError> {
        let times = comparable(&self.keys[..usize::from(buckets)], self.rows())?;
        let time = |row: usize| if buckets { times.row(row).data() } else { &[] };
        let mut shown = Vec::new();
        let mut totals = vec![0; self.sums.len()];
        let mut other: HashMap<&[u8], (u32, Vec<u64>)> = HashMap::new();
        for (row, place) in places.iter().enumerate() {
            let Some(place) = place else { continue };
            self.add(&mut totals, row);
            if *place == usize::MAX {
                let fresh = || (row as u32, vec![0; self.sums.len()]);
                self.add(&mut other.entry(time(row)).or_insert_with(fresh).1, row);
            } else {
                shown.push((time(row), *place, row as u32));
            }
        }
        shown.sort_unstable();
        let mut other: Vec<_> = other.into_iter().collect();
        other.sort_unstable();
        let other = other
            .into_iter()
            .map(|(_, (row, sums))| (buckets.then_some(row), sums));
        Ok(Ranked {
            shown: shown.into_iter().map(|(_, _, row)| row).collect(),
            other: other.collect(),
            totals,
            groups,
        })
    }

    fn add(&self, sums: &mut [u64], row: usize) {
        for (sum, values) in sums.iter_mut().zip(&self.values) {
            *sum = sum.saturating_add(values[row]);
        }
    }
}

/// So many rows that compare as their values do. Without columns, all are equal.
fn comparable(columns: &[ArrayRef], rows: usize) -> Result<Rows, QueryError> {
    if columns.is_empty() {
        let same: ArrayRef = Arc::new(BooleanArray::from(vec![false; rows]));
        return comparable(&[same], rows);
    }
    let fields = columns
        .iter()
        .map(|column| SortField::new(column.data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    Ok(converter.convert_columns(columns)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::UInt32Array;

    use super::*;

    #[test]
    fn rows_without_columns_are_as_many_as_were_asked_for_and_equal() {
        let rows = comparable(&[], 3).unwrap();
        assert_eq!(rows.num_rows(), 3);
        assert!((1..3).all(|row| rows.row(row) == rows.row(0)));
        assert_eq!(comparable(&[], 0).unwrap().num_rows(), 0);
        let numbers: ArrayRef = Arc::new(UInt32Array::from(vec![2, 1]));
        let rows = comparable(&[numbers], 2).unwrap();
        assert!(rows.row(1) < rows.row(0));
    }
}
