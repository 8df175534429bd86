//! Values made of values: texts joined and written otherwise, numbers out of texts and
//! texts out of numbers, entries of maps. What cannot be made is absent; text is `""`.

use std::cmp::Ordering;
use std::net::Ipv6Addr;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion_expr::Expr;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::filter::expr::{Arithmetic, Case, Compare, Type};
use crate::function::call;
use crate::output;

/// The first double beyond 64 bits with sign.
const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;

fn text_of(
    name: &str,
    args: Vec<Expr>,
    text: impl Fn(&[ArrayRef], usize) -> String + Send + Sync + 'static,
) -> Expr {
    call(name, DataType::Utf8View, args, move |args| {
        let rows = args.first().map_or(0, |column| column.len());
        let texts = (0..rows).map(|row| Some(text(args, row)));
        Ok(Arc::new(texts.collect::<StringViewArray>()) as ArrayRef)
    })
}

fn text_at(column: &ArrayRef, row: usize) -> &str {
    let texts = column.as_string_view();
    if texts.is_null(row) { "" } else { texts.value(row) }
}

/// One text after the other.
pub(super) fn joined(a: Expr, b: Expr) -> Expr {
    text_of("joined", vec![a, b], |args, row| {
        [text_at(&args[0], row), text_at(&args[1], row)].concat()
    })
}

/// Small or capital letters.
pub(super) fn cased(case: Case, text: Expr) -> Expr {
    text_of(&format!("{case:?}"), vec![text], move |args, row| {
        case.of(text_at(&args[0], row))
    })
}

/// What a map has under a key.
pub(super) fn entry(map: Expr, key: &str) -> Expr {
    let key = key.to_owned();
    call("entry", DataType::Utf8View, vec![map], move |args| {
        Ok(entries(&args[0], &key))
    })
}

/// The same of maps at hand.
pub(super) fn entries(maps: &ArrayRef, key: &str) -> ArrayRef {
    let entry = |row| match parsed(maps, row).remove(key) {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let entries = (0..maps.len()).map(|row| Some(entry(row)));
    Arc::new(entries.collect::<StringViewArray>())
}

/// A map has this key.
pub(super) fn has_key(map: Expr, key: &str) -> Expr {
    let key = key.to_owned();
    call("has_key", DataType::Boolean, vec![map], move |args| {
        let found = (0..args[0].len()).map(|row| Some(parsed(&args[0], row).contains_key(&key)));
        Ok(Arc::new(found.collect::<BooleanArray>()) as ArrayRef)
    })
}

/// A map, as it is stored: JSON.
fn parsed(maps: &ArrayRef, row: usize) -> Map<String, Value> {
    serde_json::from_str(text_at(maps, row)).unwrap_or_default()
}

/// A value as text.
pub(super) fn to_text(kind: Type, value: Expr) -> Expr {
    text_of("string", vec![value], move |args, row| {
        if args[0].is_null(row) {
            return String::new();
        }
        written(kind, &args[0], row)
    })
}

fn written(kind: Type, values: &ArrayRef, row: usize) -> String {
    let number = || values.as_primitive::<Int64Type>().value(row);
    match kind {
        Type::Text => text_at(values, row).to_owned(),
        Type::Number => number().to_string(),
        Type::Double => values.as_primitive::<Float64Type>().value(row).to_string(),
        Type::Time => {
            Timestamp::from_microsecond(number()).map_or_else(|_| String::new(), |time| time.to_string())
        }
        Type::Span => format!("{}s", SignedDuration::from_micros(number()).as_secs_f64()),
        Type::Address => {
            let bytes = <[u8; 16]>::try_from(values.as_fixed_size_binary().value(row)).unwrap_or_default();
            Ipv6Addr::from(bytes).to_canonical().to_string()
        }
        Type::Mac => output::mac(values.as_fixed_size_binary().value(row)),
    }
}

/// A value as a number.
pub(super) fn to_number(kind: Type, value: Expr) -> Expr {
    call("int", DataType::Int64, vec![value], move |args| {
        let number = |row| match kind {
            _ if args[0].is_null(row) => None,
            Type::Text => text_at(&args[0], row).parse().ok(),
            Type::Double => whole_part(args[0].as_primitive::<Float64Type>().value(row)),
            Type::Time => Some(
                args[0]
                    .as_primitive::<Int64Type>()
                    .value(row)
                    .div_euclid(1_000_000),
            ),
            _ => Some(args[0].as_primitive::<Int64Type>().value(row)),
        };
        let numbers = (0..args[0].len()).map(number);
        Ok(Arc::new(numbers.collect::<Int64Array>()) as ArrayRef)
    })
}

fn whole_part(double: f64) -> Option<i64> {
    (-TOO_LARGE..TOO_LARGE).contains(&double).then_some(double as i64)
}

/// Text as a double.
pub(super) fn text_to_double(text: Expr) -> Expr {
    call("double", DataType::Float64, vec![text], |args| {
        let double = |row| {
            text_at(&args[0], row)
                .parse()
                .ok()
                .filter(|double: &f64| double.is_finite())
        };
        let doubles = (0..args[0].len()).map(double);
        Ok(Arc::new(doubles.collect::<Float64Array>()) as ArrayRef)
    })
}

/// Two doubles calculated with.
pub(super) fn arithmetic(op: Arithmetic, a: Expr, b: Expr) -> Expr {
    call(&format!("{op:?}"), DataType::Float64, vec![a, b], move |args| {
        let [a, b] = [0, 1].map(|at: usize| args[at].as_primitive::<Float64Type>().iter());
        let results = a.zip(b).map(|(a, b)| op.of_doubles(a?, b?));
        Ok(Arc::new(results.collect::<Float64Array>()) as ArrayRef)
    })
}

/// How two numbers compare of which one is a double, or both are: as on one line of
/// numbers, whatever their types.
pub(super) fn compare(op: Compare, a: Expr, b: Expr) -> Expr {
    call(&format!("{op:?}"), DataType::Boolean, vec![a, b], move |args| {
        let held = (0..args[0].len()).map(|row| Some(op.holds(order(&args[0], &args[1], row)?)));
        Ok(Arc::new(held.collect::<BooleanArray>()) as ArrayRef)
    })
}

fn order(a: &ArrayRef, b: &ArrayRef, row: usize) -> Option<Ordering> {
    if a.is_null(row) || b.is_null(row) {
        return None;
    }
    let double = |column: &ArrayRef| column.as_primitive_opt::<Float64Type>().map(|c| c.value(row));
    let number = |column: &ArrayRef| column.as_primitive_opt::<Int64Type>().map(|c| c.value(row));
    match (double(a), double(b)) {
        (Some(a), Some(b)) => a.partial_cmp(&b),
        (Some(a), None) => Some(beside(number(b)?, a).reverse()),
        (None, Some(b)) => Some(beside(number(a)?, b)),
        (None, None) => Some(number(a)?.cmp(&number(b)?)),
    }
}

/// Where a whole number stands beside a double.
fn beside(number: i64, double: f64) -> Ordering {
    match whole_part(double) {
        Some(whole) => number
            .cmp(&whole)
            .then_with(|| 0.0_f64.total_cmp(&(double.fract() + 0.0))),
        None if double > 0.0 => Ordering::Less,
        None => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_double_compare_exactly() {
        for (number, double, order) in [
            (1, 1.0, Ordering::Equal),
            (1, 1.5, Ordering::Less),
            (-1, -1.5, Ordering::Greater),
            (0, -0.0, Ordering::Equal),
            (-1, -0.5, Ordering::Less),
            // As doubles, both are the same.
            ((1 << 53) + 1, 9_007_199_254_740_992.0, Ordering::Greater),
            (i64::MAX, TOO_LARGE, Ordering::Less),
            (i64::MIN, -TOO_LARGE, Ordering::Equal),
            (i64::MIN, -1e300, Ordering::Greater),
        ] {
            assert_eq!(beside(number, double), order, "{number} {double}");
        }
    }
}
