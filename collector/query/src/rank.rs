//! From what was worked out for all groups to the answer: both directions joined, the top
//! ones picked, the rest put together.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::kernels::zip::zip;
use arrow::row::{RowConverter, Rows, SortField};

use crate::QueryError;
use crate::aggregation::{Aggregate, End};
use crate::groups::Keys;
use crate::order::Cover;
use crate::states::{State, States};

/// Groups, and what was worked out for each.
pub(crate) struct Table {
    pub(crate) keys: Vec<ArrayRef>,
    /// What was worked out, an aggregate each.
    pub(crate) columns: Vec<States>,
    /// That of all together, where it is not what the rows have together.
    totals: Option<Vec<State>>,
    /// Rows that are a group: not those that were joined to their mirror image.
    kept: Vec<bool>,
}

/// What the answer shows.
pub(crate) struct Ranked {
    /// Rows of the table, in the order of the answer.
    pub(crate) shown: Vec<u32>,
    /// How many groups these are of.
    pub(crate) shown_groups: usize,
    /// The group of each of them.
    pub(crate) group_of: Vec<usize>,
    /// The bucket's start (if there are buckets) and the states of what is not shown.
    pub(crate) other: Vec<(Option<u32>, Vec<State>)>,
    pub(crate) totals: Vec<State>,
    pub(crate) groups: usize,
    /// Whether those that are shown have as much as was wanted.
    pub(crate) coverage: Coverage,
}

/// Whether the groups that are shown have the part of all that they were to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// They have it.
    Reached,
    /// There are to be no more groups, and they have not.
    CutByTop,
    /// There is nothing to have a part of.
    Nothing,
}

/// Where a group stands that has these states, a column each.
type Place<'a> = dyn Fn(&dyn Fn(usize) -> State) -> u64 + 'a;

/// How groups are ordered, and how many are shown.
pub(crate) struct Ranking<'a> {
    /// The first column of the keys is the bucket.
    pub(crate) buckets: bool,
    /// Where a group stands that has these states.
    pub(crate) by: &'a Place<'a>,
    /// The columns that this depends on.
    pub(crate) needs: &'a [usize],
    pub(crate) top: usize,
    pub(crate) cover: Option<Cover>,
}

impl Table {
    /// Of what a plan answers: keys, aggregates, and these for the totals or none.
    pub(crate) fn new(rows: &RecordBatch, keys: usize, aggregates: &[Aggregate]) -> Self {
        let (keys, columns) = rows.columns().split_at(keys);
        let (of_groups, of_totals) = columns.split_at(aggregates.len());
        let states = |columns: &[ArrayRef]| -> Vec<States> {
            let pairs = aggregates.iter().zip(columns);
            pairs
                .map(|(aggregate, column)| States::new(*aggregate, column))
                .collect()
        };
        let kept = vec![true; rows.num_rows()];
        let totals = (!of_totals.is_empty()).then(|| together(&states(of_totals), &kept));
        Self {
            keys: keys.to_vec(),
            columns: states(of_groups),
            totals,
            kept,
        }
    }

    /// Of groups that are known by these keys; all together have this.
    pub(crate) fn of(keys: Vec<ArrayRef>, columns: Vec<States>, totals: Vec<State>, rows: usize) -> Self {
        Self {
            keys,
            columns,
            totals: Some(totals),
            kept: vec![true; rows],
        }
    }

    /// Those that are no group, too.
    pub(crate) fn rows(&self) -> usize {
        self.kept.len()
    }

    /// The rows that are a group.
    pub(crate) fn kept(&self) -> impl Iterator<Item = usize> {
        self.kept
            .iter()
            .enumerate()
            .filter(|(_, kept)| **kept)
            .map(|(row, _)| row)
    }

    /// What all groups have together.
    pub(crate) fn totals(&self) -> Vec<State> {
        match &self.totals {
            Some(totals) => totals.clone(),
            None => together(&self.columns, &self.kept),
        }
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
                self.columns.iter_mut().for_each(|states| states.join(known, row));
            }
        }
        Ok(())
    }

    /// All of a group was sent, or received, by the end that stands first, which looks at
    /// it from its own end.
    fn direct(&mut self, row: usize, order: Ordering) {
        let at = |wanted| self.columns.iter().position(|states| states.aggregate == wanted);
        if let (Some(sent), Some(received)) = (at(Aggregate::Sent), at(Aggregate::Received)) {
            let both = [sent, received].map(|at| self.columns[at].at(row).sum());
            let both = State::Sum(both[0].saturating_add(both[1]));
            let directed = match order {
                Ordering::Less => Some((both, State::Sum(0))),
                Ordering::Greater => Some((State::Sum(0), both)),
                Ordering::Equal => None,
            };
            if let Some((sends, receives)) = directed {
                self.columns[sent].set(row, sends);
                self.columns[received].set(row, receives);
            }
        }
        if order.is_gt() {
            self.turn(row);
        }
    }

    /// What is distinct is that of the other end.
    fn turn(&mut self, row: usize) {
        for at in 0..self.columns.len() {
            let Aggregate::Distinct(column, End::Far) = self.columns[at].aggregate else {
                continue;
            };
            let near = Aggregate::Distinct(column, End::Near);
            if let Some(near) = self.columns.iter().position(|states| states.aggregate == near) {
                let image = self.columns[at].at(row);
                self.columns[near].set(row, image);
            }
        }
    }

    /// The first groups, those that stand in one place by their names.
    pub(crate) fn rank(&self, names: &[ArrayRef], ranking: &Ranking<'_>) -> Result<Ranked, QueryError> {
        let names = comparable(names, self.rows())?;
        let (group_of, firsts) = self.group(&names, ranking.buckets);
        let places = self.places(&group_of, firsts.len(), ranking);
        let mut order: Vec<usize> = (0..firsts.len()).collect();
        let first = |a: &usize, b: &usize| {
            let by_name = || names.row(firsts[*a]).cmp(&names.row(firsts[*b]));
            places[*b].cmp(&places[*a]).then_with(by_name)
        };
        let top = ranking.top;
        if ranking.cover.is_none() && (1..order.len()).contains(&top) {
            order.select_nth_unstable_by(top, first);
            order.truncate(top);
        }
        order.sort_unstable_by(first);
        order.truncate(top);
        let mut coverage = Coverage::Reached;
        if let Some(cover) = ranking.cover {
            let (needed, reached) = enough(order.iter().map(|group| places[*group]), &places, cover);
            order.truncate(needed);
            coverage = reached;
        }
        let mut place = vec![usize::MAX; firsts.len()];
        for (at, group) in order.iter().enumerate() {
            place[*group] = at;
        }
        let places = group_of.iter().map(|group| group.map(|group| place[group]));
        let ranked = self.split(&places.collect::<Vec<_>>(), ranking.buckets)?;
        Ok(Ranked {
            shown_groups: order.len(),
            groups: firsts.len(),
            coverage,
            ..ranked
        })
    }

    /// Where each group stands.
    fn places(&self, group_of: &[Option<usize>], groups: usize, ranking: &Ranking<'_>) -> Vec<u64> {
        if !ranking.buckets {
            let place = |row| (ranking.by)(&|column: usize| self.columns[column].at(row));
            return self.kept().map(place).collect();
        }
        let nothing = |column: &usize| State::none(self.columns[*column].aggregate);
        let mut states: Vec<Vec<State>> = vec![ranking.needs.iter().map(nothing).collect(); groups];
        for (row, group) in group_of.iter().enumerate() {
            let Some(group) = group else { continue };
            for (state, column) in states[*group].iter_mut().zip(ranking.needs) {
                state.merge(&self.columns[*column].at(row));
            }
        }
        let place = |states: &Vec<State>| {
            let of = |column: usize| {
                let at = ranking.needs.iter().position(|needed| *needed == column);
                at.map_or_else(|| nothing(&column), |at| states[at].clone())
            };
            (ranking.by)(&of)
        };
        states.iter().map(place).collect()
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

    fn split(&self, places: &[Option<usize>], buckets: bool) -> Result<Ranked, QueryError> {
        let times = comparable(&self.keys[..usize::from(buckets)], self.rows())?;
        let time = |row: usize| if buckets { times.row(row).data() } else { &[] };
        let mut shown = Vec::new();
        let mut other: HashMap<&[u8], (u32, Vec<State>)> = HashMap::new();
        for (row, place) in places.iter().enumerate() {
            match *place {
                None => {}
                Some(usize::MAX) => {
                    let (_, states) = other
                        .entry(time(row))
                        .or_insert_with(|| (row as u32, nothing(&self.columns)));
                    add(states, &self.columns, row);
                }
                Some(place) => shown.push((time(row), place, row as u32)),
            }
        }
        shown.sort_unstable();
        let mut other: Vec<_> = other.into_iter().collect();
        other.sort_unstable_by_key(|(time, _)| *time);
        let other = other
            .into_iter()
            .map(|(_, (row, states))| (buckets.then_some(row), states));
        Ok(Ranked {
            group_of: shown.iter().map(|(_, place, _)| *place).collect(),
            shown: shown.into_iter().map(|(_, _, row)| row).collect(),
            other: other.collect(),
            totals: self.totals(),
            shown_groups: 0,
            groups: 0,
            coverage: Coverage::Reached,
        })
    }
}

/// How many of the first groups have so much of all together, and whether they do.
fn enough(first: impl Iterator<Item = u64>, all: &[u64], cover: Cover) -> (usize, Coverage) {
    let wanted = cover.of(all.iter().map(|own| u128::from(*own)).sum());
    let (mut needed, mut carried) = (0, 0_u128);
    for own in first {
        if carried >= wanted {
            break;
        }
        carried += u128::from(own);
        needed += 1;
    }
    let coverage = match (wanted, carried >= wanted) {
        (0, _) => Coverage::Nothing,
        (_, true) => Coverage::Reached,
        (_, false) => Coverage::CutByTop,
    };
    (needed, coverage)
}

fn nothing(columns: &[States]) -> Vec<State> {
    columns
        .iter()
        .map(|states| State::none(states.aggregate))
        .collect()
}

fn add(together: &mut [State], columns: &[States], row: usize) {
    for (state, states) in together.iter_mut().zip(columns) {
        state.merge(&states.at(row));
    }
}

/// What the rows that count have together.
fn together(columns: &[States], counts: &[bool]) -> Vec<State> {
    let mut all = nothing(columns);
    let rows = counts.iter().enumerate().filter(|(_, counts)| **counts);
    rows.for_each(|(row, _)| add(&mut all, columns, row));
    all
}

/// So many rows that compare as their values do. Without columns, all are equal.
pub(crate) fn comparable(columns: &[ArrayRef], rows: usize) -> Result<Rows, QueryError> {
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

    #[test]
    fn as_few_groups_as_carry_a_part_are_enough() {
        let cover = |text: &str| {
            enough(
                [50, 30, 15, 5].into_iter(),
                &[50, 30, 15, 5],
                text.parse().unwrap(),
            )
        };
        assert_eq!(
            ["0.5", "0.51", "0.8", "0.95", "0.96", "1"].map(cover),
            [1, 2, 2, 3, 4, 4].map(|needed| (needed, Coverage::Reached))
        );
        let of = |first: &[u64], all: &[u64], cover: &str| {
            enough(first.iter().copied(), all, cover.parse().unwrap())
        };
        assert_eq!(of(&[0, 0], &[0, 0], "0.9"), (0, Coverage::Nothing));
        let most = [u64::MAX, u64::MAX];
        assert_eq!(of(&most, &most, "1"), (2, Coverage::Reached));
        let all = [50, 30, 15, 5];
        assert_eq!(
            of(&all[..2], &all, "0.8"),
            (2, Coverage::Reached),
            "top allows just as many"
        );
        assert_eq!(of(&all[..2], &all, "0.81"), (2, Coverage::CutByTop));
    }
}
