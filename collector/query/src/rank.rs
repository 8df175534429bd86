//! From the sums of all groups to the answer: both directions joined, the top
//! ones picked, the rest added up.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::UInt64Type;
use arrow::row::{RowConverter, Rows, SortField};

use crate::QueryError;
use crate::groups::Keys;
use crate::measure::Sum;

/// Groups and their sums.
pub(crate) struct Table {
    pub(crate) keys: Vec<ArrayRef>,
    /// The sums of each row, in the order of `sums`.
    pub(crate) values: Vec<Vec<u64>>,
    pub(crate) sums: Vec<Sum>,
    /// What the rows add to the totals, where that is not their sums.
    totals: Vec<Vec<u64>>,
    /// Rows that are a group: not those that were joined to their mirror image.
    kept: Vec<bool>,
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
    /// Of what a plan answers: keys, sums, and sums for the totals or none.
    pub(crate) fn new(rows: &RecordBatch, keys: usize, sums: Vec<Sum>) -> Self {
        let (keys, added) = rows.columns().split_at(keys);
        let mut values = added.iter().map(|column| {
            let numbers = column.as_primitive::<UInt64Type>().iter();
            numbers.map(Option::unwrap_or_default).collect()
        });
        Self {
            keys: keys.to_vec(),
            values: values.by_ref().take(sums.len()).collect(),
            totals: values.collect(),
            kept: vec![true; rows.num_rows()],
            sums,
        }
    }

    fn rows(&self) -> usize {
        self.kept.len()
    }

    /// Joins each group and its mirror image: the smaller end stands first, and what it
    /// sent is what the other's group has. A group that is its own mirror image stays.
    pub(crate) fn join(&mut self, keys: &Keys) -> Result<(), QueryError> {
        let images = keys.mirrored(&self.keys);
        let (own, image) = (
            comparable(&self.keys, self.rows())?,
            comparable(&images, self.rows())?,
        );
        let order: Vec<Ordering> = own
            .iter()
            .zip(&image)
            .map(|(own, image)| own.cmp(&image))
            .collect();
        for (row, order) in order.iter().enumerate() {
            self.direct(row, *order);
        }
        let turned: BooleanArray = order.iter().map(|order| Some(order.is_gt())).collect();
        let smaller = images
            .iter()
            .zip(&self.keys)
            .map(|(image, own)| zip(&turned, image, own));
        self.keys = smaller.collect::<Result<_, _>>()?;
        let joined = comparable(&self.keys, self.rows())?;
        let mut first: HashMap<&[u8], usize> = HashMap::with_capacity(self.rows());
        for row in 0..self.rows() {
            let known = *first.entry(joined.row(row).data()).or_insert(row);
            if known != row {
                self.kept[row] = false;
                for values in &mut self.values {
                    values[known] = values[known].saturating_add(values[row]);
                }
            }
        }
        Ok(())
    }

    /// All of a group was sent, or received, by the end that stands first.
    fn direct(&mut self, row: usize, order: Ordering) {
        let at = |wanted| self.sums.iter().position(|sum| *sum == wanted);
        let (Some(sent), Some(received)) = (at(Sum::Sent), at(Sum::Received)) else {
            return;
        };
        let both = self.values[sent][row].saturating_add(self.values[received][row]);
        (self.values[sent][row], self.values[received][row]) = match order {
            Ordering::Less => (both, 0),
            Ordering::Greater => (0, both),
            Ordering::Equal => return,
        };
    }

    /// The first `top` groups by `by`, those with equal sums by their names.
    pub(crate) fn rank(&self, keys: &Keys, by: Sum, top: usize) -> Result<Ranked, QueryError> {
        let buckets = keys.has_buckets();
        let names = comparable(&self.keys[usize::from(buckets)..], self.rows())?;
        let (group_of, firsts) = self.group(&names, buckets);
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
    fn group(&self, names: &Rows, buckets: bool) -> (Vec<Option<usize>>, Vec<usize>) {
        let (mut known, mut firsts) = (HashMap::new(), Vec::new());
        let group_of = (0..self.rows()).map(|row| {
            if !self.kept[row] {
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
            add(&mut totals, &self.values, row);
            if *place == usize::MAX {
                let fresh = || (row as u32, vec![0; self.sums.len()]);
                add(
                    &mut other.entry(time(row)).or_insert_with(fresh).1,
                    &self.values,
                    row,
                );
            } else {
                shown.push((time(row), *place, row as u32));
            }
        }
        if !self.totals.is_empty() {
            totals = vec![0; self.sums.len()];
            (0..self.rows()).for_each(|row| add(&mut totals, &self.totals, row));
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
}

fn add(sums: &mut [u64], values: &[Vec<u64>], row: usize) {
    for (sum, values) in sums.iter_mut().zip(values) {
        *sum = sum.saturating_add(values[row]);
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
