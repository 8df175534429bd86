//! Sketches against the values themselves, however they are cut, joined and written.

use std::collections::BTreeSet;

use arrow::array::{StringViewArray, UInt32Array, UInt64Array};
use proptest::prelude::*;

use super::*;
use crate::measure::Measure;

fn percentile(name: &str) -> crate::Percentile {
    match format!("{name}_bytes").parse() {
        Ok(Measure::Percentile(part, _)) => part,
        other => panic!("{other:?}"),
    }
}

fn again<S: Sketch>(sketch: &S) -> S {
    S::decode(&sketch.encode())
}

/// Parts of the items, each in a sketch, all of them joined.
fn joined<S: Sketch>(items: &[S::Item], parts: usize) -> S {
    let mut all = S::default();
    for part in items.chunks(items.len().div_ceil(parts).max(1)) {
        let mut sketch = S::default();
        part.iter().for_each(|item| sketch.add(*item));
        all.merge(&again(&sketch));
    }
    again(&all)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn few_values_are_counted_and_ranked_as_they_are(values in prop::collection::vec(0_u64..600, 0..900), parts in 1_usize..9) {
        let of = values.iter().map(|value| u128::from(*value)).collect::<Vec<_>>();
        let counted = joined::<Cardinality>(&of, parts);
        let differ: BTreeSet<u64> = values.iter().copied().collect();
        prop_assert!(!counted.is_estimated());
        prop_assert_eq!(counted.count(), differ.len() as u64);
        let items: Vec<_> = values.iter().map(|value| (*value, 1)).collect();
        let tally = joined::<Numbers>(&items, parts);
        prop_assert!(!tally.is_rounded());
        let mut sorted = values.clone();
        sorted.sort_unstable();
        for name in ["p0.1", "p50", "p95", "p99.9"] {
            let part = percentile(name);
            let wanted = (part.rank(sorted.len() as u64) as usize).checked_sub(1).and_then(|at| sorted.get(at));
            prop_assert_eq!(tally.percentile(part), wanted.copied());
        }
    }

    #[test]
    fn many_numbers_are_ranked_within_the_error_that_is_said(seed in 0_u64..1_000, parts in 1_usize..9) {
        let mut state = seed;
        let numbers: Vec<u64> = (0..5_000).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> (state >> 58)
        }).collect();
        let items: Vec<_> = numbers.iter().map(|number| (*number, 1)).collect();
        let tally = joined::<Numbers>(&items, parts);
        prop_assert!(tally.is_rounded());
        let mut sorted = numbers;
        sorted.sort_unstable();
        for name in ["p1", "p50", "p99"] {
            let part = percentile(name);
            let exact = sorted[part.rank(5_000) as usize - 1];
            let found = tally.percentile(part).unwrap();
            prop_assert!(found.abs_diff(exact) as f64 <= exact as f64 * PERCENTILE_ERROR, "{name}: {found} {exact}");
        }
        let intervals = joined::<Intervals>(&items, parts);
        prop_assert!(!intervals.is_rounded());
    }
}

#[test]
fn many_values_are_estimated_within_four_standard_errors() {
    for (many, parts) in [(5_000, 1), (20_000, 3), (70_000, 8), (1_000_000, 2)] {
        for shift in [0, 32, 64, 96] {
            let values: Vec<u128> = (0..many).map(|value: u128| value << shift).collect();
            let counted = joined::<Cardinality>(&values, parts);
            assert!(counted.is_estimated());
            let error = counted.count() as f64 / many as f64 - 1.0;
            assert!(error.abs() < 4.0 * STANDARD_ERROR, "{many} {shift}: {error}");
        }
    }
}

#[test]
fn the_bound_is_counted_and_one_more_is_estimated() {
    let values: Vec<u128> = (0..EXACT_VALUES as u128 + 1).collect();
    assert_eq!(
        joined::<Cardinality>(&values[1..], 4).count(),
        EXACT_VALUES as u64
    );
    assert!(!joined::<Cardinality>(&values[1..], 4).is_estimated());
    assert!(joined::<Cardinality>(&values, 4).is_estimated());
    let numbers: Vec<_> = (0..=EXACT_NUMBERS as u64).map(|number| (number, 1)).collect();
    assert!(!joined::<Numbers>(&numbers[1..], 4).is_rounded());
    assert!(joined::<Numbers>(&numbers, 4).is_rounded());
}

#[test]
fn the_groups_of_the_engine_are_kept_apart_and_their_memory_is_told() {
    let mut grouped = Grouped::<Cardinality>::default();
    let values: ArrayRef = Arc::new(UInt32Array::from(vec![Some(1), Some(1), None, Some(2), Some(3)]));
    grouped
        .update_batch(&[values], &[0, 1, 1, 1, 2], None, 4)
        .unwrap();
    let counts = |states: &ArrayRef| -> Vec<u64> {
        let states = states.as_binary::<i64>().iter().flatten();
        states.map(|state| Cardinality::decode(state).count()).collect()
    };
    let full = grouped.size();
    let first = grouped.state(EmitTo::First(1)).unwrap();
    assert_eq!(counts(&first[0]), [1]);
    assert!(grouped.size() < full, "{} {full}", grouped.size());
    let names: ArrayRef = Arc::new(StringViewArray::from(vec![
        "a text that is longer than a number",
        "b",
    ]));
    grouped.update_batch(&[names], &[1, 1], None, 3).unwrap();
    assert_eq!(counts(&grouped.evaluate(EmitTo::All).unwrap()), [2, 3, 0]);
    assert_eq!(grouped.heap, 0);
    let numbers: ArrayRef = Arc::new(UInt64Array::from(vec![7, 9]));
    let each = Grouped::<Numbers>::default()
        .convert_to_state(&[numbers.clone(), numbers], None)
        .unwrap();
    assert_eq!(each[0].len(), 2);
}

#[test]
fn what_a_sketch_takes_is_counted_with_the_room_that_its_values_do_not_fill() {
    let numbers = |count: u64| {
        let mut numbers = Intervals::default();
        (0..count).for_each(|number| numbers.add((number, 1)));
        numbers.heap()
    };
    // A node of a tree has room for 11 pairs of 16 bytes; what is written out takes as much.
    assert_eq!(numbers(0), 0);
    assert!(numbers(1) >= 11 * 16 + 16);
    assert!(numbers(1_000) >= 1_000 * 16 * 3);
    let mut values = Cardinality::default();
    assert_eq!(values.heap(), 0);
    (0..1_000).for_each(|value| values.add(value));
    // 2,048 places, each with a byte beside it.
    assert!(values.heap() >= 2_048 * 17 + 1_000 * 16, "{}", values.heap());
}
