//! The numbers of a resource: bounds of buckets, the divider, the bound on series.

use std::collections::BTreeMap;

use crate::problem::{ProblemKind, Problems};
use crate::resource::MAX_SERIES;

/// Prometheus's bounds where a resource names none.
const DEFAULT_BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Each bound is a sample of each series.
const MOST_BOUNDS: usize = 200;

/// Bounds in order, without the last, +Inf, which every histogram has.
pub(crate) fn bounds(texts: &[String], problems: &mut Problems) -> Vec<f64> {
    if texts.is_empty() {
        return DEFAULT_BOUNDS.to_vec();
    }
    if texts.len() > MOST_BOUNDS {
        let message = format!("{} buckets make as many samples of each series", texts.len());
        let remedy = format!("name {MOST_BOUNDS} at most");
        problems.add("spec.buckets", ProblemKind::BadBuckets, message, remedy);
        return Vec::new();
    }
    let mut bounds: Vec<f64> = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        let mut refuse = |message: String, remedy: &str| {
            problems.add(
                format!("spec.buckets[{at}]"),
                ProblemKind::BadBuckets,
                message,
                remedy,
            );
        };
        let Some(bound) = text.parse::<f64>().ok().filter(|bound| !bound.is_nan()) else {
            refuse(format!("{text:?} is no number"), "write a number such as \".25\"");
            continue;
        };
        if bounds.last().is_some_and(|before| *before >= bound) {
            refuse(
                format!("{text} is not above the bound before it"),
                "put the bounds in ascending order, each once",
            );
        } else if bound == f64::NEG_INFINITY {
            refuse(format!("no value is at most {text}"), "leave it out");
        }
        bounds.push(bound);
    }
    bounds.retain(|bound| *bound != f64::INFINITY);
    bounds
}

/// What values are divided by.
pub(crate) fn divider(text: &str, may_be_negative: bool, problems: &mut Problems) -> Option<f64> {
    if text.is_empty() {
        return None;
    }
    let mut refuse = |message: String, remedy: &str| {
        problems.add("spec.divider", ProblemKind::BadNumber, message, remedy);
        None
    };
    match text.parse::<f64>() {
        Ok(0.0) => refuse("0 divides nothing".to_owned(), "leave it out, or say 1"),
        Ok(divider) if !divider.is_finite() => refuse(
            format!("{text:?} is no finite number"),
            "write a number such as \"1000\"",
        ),
        Ok(divider) if divider < 0.0 && !may_be_negative => refuse(
            format!("divided by {text}, what only grows would fall"),
            "write a number above 0, or make it a Gauge",
        ),
        Ok(divider) => Some(divider),
        Err(_) => refuse(
            format!("{text:?} is no number"),
            "write a number such as \"1000\"",
        ),
    }
}

/// The bound that an object's annotation sets.
pub(crate) fn max_series(annotations: &BTreeMap<String, String>, problems: &mut Problems) -> Option<usize> {
    let text = annotations.get(MAX_SERIES)?;
    match text.parse::<u32>() {
        Ok(most) if most > 0 => usize::try_from(most).ok(),
        _ => {
            problems.add(
                format!("metadata.annotations[{MAX_SERIES}]"),
                ProblemKind::BadNumber,
                format!("{text:?} is no number of series"),
                "write a number from 1, in quotes",
            );
            None
        }
    }
}
