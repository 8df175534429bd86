//! Checked conditions to what the engine evaluates.
//!
//! A lowered condition may be null where it is false; a negation is not, so that
//! conditions know two values. Simple comparisons stay simple, so that statistics
//! of segments prune by them. What depends on one side's identity alone is found
//! out once for each identity.

mod convert;
mod term;

pub(crate) use term::{PROTO, PROTOCOL, other_side, other_sides, time_type, time_value, type_of};

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::comparison;
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{DataType, UInt16Type};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{Expr, col, lit, when};
use datafusion_physical_expr::PhysicalExpr;
use regex::Regex;
use weir_api::fields::{Column, Side};
use weir_flow::TcpFlags;
use weir_store::schema::{DST_ID, OF_ONE_PACKET, SRC_ID};

use crate::arriving::ArrivingIdentities;
use crate::filter::expr::{self, Test, TextTest};
use crate::filter::literal;
use crate::function::call;
use crate::identity_table::IdentityTable;
use crate::plan::physical;

/// What conditions are lowered against.
#[derive(Clone, Copy)]
pub(crate) enum LoweringContext<'a> {
    /// Stored facts or sums, whose identities these are.
    Facts(&'a IdentityTable),
    /// Rows as they arrive, whose identities come one by one; for conditions that
    /// [`is_of_each`](crate::arriving::is_of_each).
    Arriving(&'a ArrivingIdentities),
    /// The table of identities itself.
    Identities,
}

impl LoweringContext<'_> {
    /// The condition as an expression; null is false.
    pub(crate) fn test(self, test: &Test) -> Result<Expr> {
        self.polar(test, true)
    }

    /// The condition, or its negation when `wanted` is false.
    pub(crate) fn polar(self, test: &Test, wanted: bool) -> Result<Expr> {
        if let LoweringContext::Facts(who) = self {
            who.check_time()?;
        }
        if self.knows_sides()
            && let Some(side) = side_of(test)
        {
            return self.of_side(side, test, wanted);
        }
        match test {
            Test::Const(yes) => Ok(lit(*yes == wanted)),
            Test::Not(test) => self.polar(test, !wanted),
            Test::All(tests) => self.several(tests, true, wanted),
            Test::Any(tests) => self.several(tests, false, wanted),
            leaf if wanted => self.leaf(leaf),
            leaf => Ok(not(self.leaf(leaf)?)),
        }
    }

    /// Rows have sides, whose identities are elsewhere.
    const fn knows_sides(self) -> bool {
        !matches!(self, LoweringContext::Identities)
    }

    /// A condition about one side's identity, found out for each identity.
    fn of_side(self, side: Side, test: &Test, wanted: bool) -> Result<Expr> {
        match self {
            LoweringContext::Arriving(arriving) => arriving.chosen(side, test, wanted),
            LoweringContext::Facts(who) => chosen(who, side, test, wanted),
            LoweringContext::Identities => self.polar(test, wanted),
        }
    }

    /// All of the conditions or any of them. What is about one side's identity is
    /// put together first, to be looked up once.
    fn several(self, tests: &[Test], all: bool, wanted: bool) -> Result<Expr> {
        let mut flat = Vec::new();
        flatten(tests, all, &mut flat);
        let mut parts = Vec::new();
        if self.knows_sides() {
            for side in [Side::Src, Side::Dst] {
                let (its, rest) = flat.into_iter().partition(|test| side_of(test) == Some(side));
                flat = rest;
                let its: Vec<&Test> = its;
                if !its.is_empty() {
                    let its = its.into_iter().cloned().collect();
                    let test = if all { Test::All(its) } else { Test::Any(its) };
                    parts.push(self.of_side(side, &test, wanted)?);
                }
            }
        }
        for test in flat {
            parts.push(self.polar(test, wanted)?);
        }
        Ok(match all == wanted {
            true => every(parts),
            false => any(parts),
        })
    }

    /// True or false, never null.
    pub(crate) fn certain(self, test: &Test) -> Result<Expr> {
        let test = self.test(test)?;
        Ok(match constant(&test) {
            Some(yes) => lit(yes),
            None => test.is_true(),
        })
    }

    fn leaf(self, test: &Test) -> Result<Expr> {
        match test {
            Test::Same(a, b) => Ok(self.certain(a)?.eq(self.certain(b)?)),
            Test::If(test, yes, no) => {
                let (yes, no) = (self.certain(yes)?, self.certain(no)?);
                Ok(term::choice(self.certain(test)?, yes, no, DataType::Boolean))
            }
            Test::Flag(column) => Ok(col(column.name())),
            Test::Known(column) => Ok(self.place(*column).is_not_null()),
            Test::HasWord(column, word) => Ok(has_word(*column, word)),
            Test::HasKey(column, key) => Ok(convert::has_key(self.place(*column), key)),
            Test::Compare(op, a, b) => self.compare(*op, a, b),
            Test::OneOf(term, list) => self.one_of(term, list),
            Test::Within(term, networks) => {
                let address = self.term(term)?;
                let ranges = networks.iter().flat_map(|network| literal::ranges(*network));
                let octets = |octets: [u8; 16]| lit(ScalarValue::FixedSizeBinary(16, Some(octets.to_vec())));
                let range = |(first, last)| address.clone().between(octets(first), octets(last));
                Ok(any(ranges.map(range).collect()))
            }
            Test::Text(op, of, what) => Ok(text_test(*op, self.text(of)?, self.text(what)?)),
            Test::Matches(of, pattern) => Ok(matches(self.text(of)?, pattern)),
            Test::Const(_) | Test::Not(_) | Test::All(_) | Test::Any(_) => self.test(test),
        }
    }
}

/// The side whose identity alone the condition is about.
pub(crate) fn side_of(test: &Test) -> Option<Side> {
    let (mut sides, mut own) = (Vec::new(), false);
    expr::columns(test, &mut |column| match column.field().identity {
        true => sides.push(column.side()),
        false => own = true,
    });
    let first = *sides.first()?;
    (!own && sides.iter().all(|side| *side == first)).then_some(first)
}

/// The number of the identity of a side.
pub(crate) fn id_of(side: Side) -> &'static str {
    if side == Side::Dst { DST_ID } else { SRC_ID }
}

/// A condition about one side's identity, found out for each identity.
fn chosen(who: &IdentityTable, side: Side, test: &Test, wanted: bool) -> Result<Expr> {
    let expression = LoweringContext::Identities.polar(test, wanted)?;
    let found = evaluate(&expression, who.table())?;
    Ok(who.chosen(id_of(side), &found))
}

/// What the condition is for each row; false where it is null.
fn evaluate(expression: &Expr, rows: &RecordBatch) -> Result<BooleanArray> {
    apply(physical(expression, &rows.schema())?.as_ref(), rows)
}

/// What the condition is for each row; false where it is null.
pub(crate) fn apply(condition: &dyn PhysicalExpr, rows: &RecordBatch) -> Result<BooleanArray> {
    let found = condition.evaluate(rows)?.into_array(rows.num_rows())?;
    let found = found.as_boolean();
    Ok(match found.nulls() {
        Some(_) => prep_null_mask_filter(found),
        None => found.clone(),
    })
}

fn flatten<'a>(tests: &'a [Test], all: bool, flat: &mut Vec<&'a Test>) {
    for test in tests {
        match test {
            Test::All(tests) if all => flatten(tests, all, flat),
            Test::Any(tests) if !all => flatten(tests, all, flat),
            test => flat.push(test),
        }
    }
}

/// So many conditions of which each must hold stand beside each other for the engine.
const SEEN: usize = 8;

/// What the condition is whatever the row, if it is always the same; null is false.
fn constant(condition: &Expr) -> Option<bool> {
    match condition {
        Expr::Literal(value, _) => Some(matches!(value, ScalarValue::Boolean(Some(true)))),
        _ => None,
    }
}

/// The condition is false or null.
pub(crate) fn not(condition: Expr) -> Expr {
    match constant(&condition) {
        Some(yes) => lit(!yes),
        None => condition.is_not_true(),
    }
}

/// One value where a condition holds, and the other where it is false or null.
pub(crate) fn chosen_by(condition: &Expr, yes: Expr, no: Expr) -> Result<Expr> {
    match constant(condition) {
        Some(true) => Ok(yes),
        Some(false) => Ok(no),
        None => when(condition.clone(), yes).otherwise(no),
    }
}

/// Any of the conditions.
fn any(mut parts: Vec<Expr>) -> Expr {
    if parts.iter().any(|part| constant(part) == Some(true)) {
        return lit(true);
    }
    parts.retain(|part| constant(part).is_none());
    balanced(parts, Expr::or).unwrap_or_else(|| lit(false))
}

/// All of the conditions. The engine makes a chain of those that it sees and recurses
/// along it, so that it sees few; the others it takes as one. Each level of a filter may
/// have a chain.
pub(crate) fn every(mut parts: Vec<Expr>) -> Expr {
    if parts.iter().any(|part| constant(part) == Some(false)) {
        return lit(false);
    }
    parts.retain(|part| constant(part).is_none());
    if parts.len() > SEEN {
        let rest = parts.split_off(SEEN - 1);
        parts.push(call("all", DataType::Boolean, rest, |args| {
            let rows = args.first().map_or(0, |column| column.len());
            let mut held = BooleanBuffer::new_set(rows);
            for found in args {
                let found = found.as_boolean();
                held = &held & &truths(found);
            }
            Ok(Arc::new(BooleanArray::new(held, None)) as ArrayRef)
        }));
    }
    balanced(parts, Expr::and).unwrap_or_else(|| lit(true))
}

/// Where a condition is true, neither false nor null.
fn truths(found: &BooleanArray) -> BooleanBuffer {
    match found.nulls() {
        Some(nulls) => found.values() & nulls.inner(),
        None => found.values().clone(),
    }
}

/// Joined as a tree that is as low as can be: the engine recurses over it.
fn balanced(mut parts: Vec<Expr>, join: fn(Expr, Expr) -> Expr) -> Option<Expr> {
    if parts.len() < 2 {
        return parts.pop();
    }
    let rest = parts.split_off(parts.len() / 2);
    let (left, right) = (balanced(parts, join)?, balanced(rest, join)?);
    Some(join(left, right))
}

/// Of all flags that can be stored, which of the words of `tcp_flags` they hold, a bit each.
static WORDS_OF_FLAGS: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let words = words();
    let bits = |flags: u16| {
        let flags = TcpFlags {
            bits: flags & !OF_ONE_PACKET,
            of_one_packet: flags & OF_ONE_PACKET != 0,
        };
        let places = flags
            .words()
            .filter_map(|its| words.iter().position(|word| *word == its));
        places.fold(0, |bits, place| bits | 1 << place)
    };
    (0..=u16::MAX).map(bits).collect()
});

/// The words that `tcp_flags` can hold.
fn words() -> Vec<&'static str> {
    literal::words(Column::of("tcp_flags")).unwrap_or_default()
}

fn has_word(column: Column, word: &str) -> Expr {
    let place = words().into_iter().position(|its| its == word);
    let bit = place.map_or(0, |place| 1 << place);
    let name = format!("has_{word}");
    call(&name, DataType::Boolean, vec![col(column.name())], move |args| {
        let flags = args[0].as_primitive::<UInt16Type>().iter();
        let found = flags.map(|flags| Some(WORDS_OF_FLAGS[usize::from(flags?)] & bit != 0));
        Ok(Arc::new(found.collect::<BooleanArray>()) as ArrayRef)
    })
}

fn text_test(op: TextTest, of: Expr, what: Expr) -> Expr {
    let name = format!("{op:?}");
    call(&name, DataType::Boolean, vec![of, what], move |args| {
        let found = match op {
            TextTest::StartsWith => comparison::starts_with(&args[0], &args[1]),
            TextTest::EndsWith => comparison::ends_with(&args[0], &args[1]),
            TextTest::Contains => comparison::contains(&args[0], &args[1]),
        };
        Ok(Arc::new(found?) as ArrayRef)
    })
}

fn matches(of: Expr, pattern: &Regex) -> Expr {
    let pattern = pattern.clone();
    call("matches", DataType::Boolean, vec![of], move |args| {
        let texts = args[0].as_string_view();
        let found = texts
            .iter()
            .map(|text| Some(pattern.is_match(text.unwrap_or_default())));
        Ok(Arc::new(found.collect::<BooleanArray>()) as ArrayRef)
    })
}

#[cfg(test)]
pub(crate) mod tests;
