//! Values, and how they compare.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringViewArray};
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, UInt8Type};
use datafusion_common::Result;
use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, Operator, binary_expr, cast, col, lit, try_cast, when};
use weir_api::fields::{Column, FieldKind};
use weir_flow::protocol_name;

use super::{LoweringContext, convert, id_of};
use crate::filter::expr::{self, Arithmetic, Compare, Term, Type};
use crate::function::call;
use crate::identity_table::attribute;

/// The column that follows from [`PROTO`].
pub(crate) const PROTOCOL: Column = Column::of("protocol");
/// The column that is stored in its place.
pub(crate) const PROTO: &str = "proto";

impl LoweringContext<'_> {
    /// The value of a column as it is stored.
    pub(super) fn place(self, column: Column) -> Expr {
        match self {
            LoweringContext::Facts(who) if column.field().identity => {
                who.gather(column, who.values(column), id_of(column.side()))
            }
            LoweringContext::Facts(_) | LoweringContext::Arriving(_) => col(column.name()),
            LoweringContext::Identities => col(attribute(column)),
        }
    }

    /// The value; null where it is absent, text never.
    pub(super) fn term(self, term: &Term) -> Result<Expr> {
        match type_of(term) {
            Type::Text => return self.text(term),
            Type::Double => return self.float(term),
            _ => {}
        }
        Ok(match term {
            Term::Column(column) => self.place(*column),
            Term::Number(number) => lit(*number),
            Term::Address(octets) => lit(ScalarValue::FixedSizeBinary(16, Some(octets.to_vec()))),
            Term::Mac(octets) => lit(ScalarValue::FixedSizeBinary(6, Some(octets.to_vec()))),
            Term::Time(time) | Term::Span(time) => lit(*time),
            Term::If(test, a, b) if is_octets(term) => {
                let width = if type_of(term) == Type::Mac { 6 } else { 16 };
                choice(
                    self.certain(test)?,
                    self.term(a)?,
                    self.term(b)?,
                    DataType::FixedSizeBinary(width),
                )
            }
            _ => self.wide(term)?,
        })
    }

    /// The text; never null.
    pub(super) fn text(self, term: &Term) -> Result<Expr> {
        Ok(match term {
            Term::Text(text) => lit(ScalarValue::Utf8View(Some(text.clone()))),
            Term::If(test, a, b) => choice(
                self.certain(test)?,
                self.text(a)?,
                self.text(b)?,
                DataType::Utf8View,
            ),
            Term::OtherSide(column) => other_side(*column, self.text(&Term::Column(*column))?),
            Term::Column(column) if *column == PROTOCOL => protocol(),
            Term::Column(column) if column.field().identity => self.place(*column),
            Term::Column(column) => {
                let stored = self.place(*column);
                let unknown = lit(ScalarValue::Utf8View(Some(String::new())));
                when(stored.clone().is_null(), unknown).otherwise(stored)?
            }
            Term::Joined(a, b) => convert::joined(self.text(a)?, self.text(b)?),
            Term::Cased(case, of) => convert::cased(*case, self.text(of)?),
            Term::ToText(kind, of) => convert::to_text(*kind, self.value(of)?),
            Term::Entry(column, key) => self.entry(*column, key),
            _ => lit(ScalarValue::Utf8View(Some(String::new()))),
        })
    }

    /// The value, numbers as wide as can be.
    fn value(self, of: &Term) -> Result<Expr> {
        match type_of(of) {
            Type::Number | Type::Time | Type::Span => self.wide(of),
            _ => self.term(of),
        }
    }

    /// What a map has under a key; found out for each identity, not for each row.
    fn entry(self, column: Column, key: &str) -> Expr {
        match self {
            LoweringContext::Facts(who) if column.field().identity => {
                let entries = convert::entries(&who.values(column), key);
                who.gather(column, entries, id_of(column.side()))
            }
            _ => convert::entry(self.place(column), key),
        }
    }

    /// The double.
    fn float(self, term: &Term) -> Result<Expr> {
        Ok(match term {
            Term::Double(double) => lit(*double),
            Term::DoubleArithmetic(op, a, b) => convert::arithmetic(*op, self.float(a)?, self.float(b)?),
            Term::ToDouble(Type::Text, of) => convert::text_to_double(self.text(of)?),
            Term::ToDouble(_, of) => cast(self.wide(of)?, DataType::Float64),
            Term::If(test, a, b) => choice(
                self.certain(test)?,
                self.float(a)?,
                self.float(b)?,
                DataType::Float64,
            ),
            _ => lit(ScalarValue::Float64(None)),
        })
    }

    /// Numbers, times and lengths of time as 64 bits with sign.
    fn wide(self, term: &Term) -> Result<Expr> {
        Ok(match term {
            Term::Column(column) if column.kind() == FieldKind::Timestamp => {
                cast(self.place(*column), DataType::Int64)
            }
            Term::Column(column) => try_cast(self.place(*column), DataType::Int64),
            Term::Arithmetic(op, a, b) => arithmetic(*op, self.wide(a)?, self.wide(b)?),
            Term::If(test, a, b) => {
                choice(self.certain(test)?, self.wide(a)?, self.wide(b)?, DataType::Int64)
            }
            Term::Number(number) | Term::Time(number) | Term::Span(number) => lit(*number),
            Term::ToNumber(kind, of) => convert::to_number(*kind, self.value(of)?),
            _ => lit(ScalarValue::Int64(None)),
        })
    }

    pub(super) fn compare(self, op: Compare, a: &Term, b: &Term) -> Result<Expr> {
        match (a, b) {
            _ if [a, b].into_iter().any(|term| type_of(term) == Type::Double) => {
                Ok(convert::compare(op, self.value(a)?, self.value(b)?))
            }
            (Term::Column(column), literal) if literal.is_literal() => {
                self.compare_column(op, *column, literal)
            }
            (literal, Term::Column(column)) if literal.is_literal() => {
                self.compare_column(op.turned(), *column, literal)
            }
            (Term::Column(a), Term::Column(b)) => self.compare_columns(op, *a, *b),
            _ if type_of(a) == Type::Text => Ok(binary_expr(self.text(a)?, operator(op), self.text(b)?)),
            _ if is_octets(a) => Ok(binary_expr(self.term(a)?, operator(op), self.term(b)?)),
            _ => Ok(binary_expr(self.wide(a)?, operator(op), self.wide(b)?)),
        }
    }

    /// As simple as can be, so that statistics prune by it.
    fn compare_column(self, op: Compare, column: Column, literal: &Term) -> Result<Expr> {
        let term = Term::Column(column);
        let stored = self.place(column);
        match (literal, native(column, literal)) {
            (Term::Text(name), _) if column == PROTOCOL && matches!(op, Compare::Eq | Compare::Ne) => {
                let same = is_protocol(std::slice::from_ref(name));
                Ok(if op == Compare::Eq {
                    same
                } else {
                    same.is_not_true()
                })
            }
            (Term::Text(_), Some(_)) if column == PROTOCOL || column.field().identity => {
                Ok(binary_expr(self.text(&term)?, operator(op), self.text(literal)?))
            }
            (Term::Text(text), Some(value)) => Ok(match (op, text.is_empty()) {
                (Compare::Eq, true) => stored.is_null(),
                (Compare::Ne, true) => stored.is_not_null(),
                (Compare::Eq, false) => stored.eq(value),
                _ => binary_expr(self.text(&term)?, operator(op), value),
            }),
            (_, Some(value)) => Ok(binary_expr(stored, operator(op), value)),
            (_, None) => Ok(binary_expr(self.wide(&term)?, operator(op), self.wide(literal)?)),
        }
    }

    fn compare_columns(self, op: Compare, a: Column, b: Column) -> Result<Expr> {
        let (left, right) = (Term::Column(a), Term::Column(b));
        let text = type_of(&left) == Type::Text;
        let of_identities =
            text && a.field().identity && b.field().identity && matches!(op, Compare::Eq | Compare::Ne);
        let same = match self {
            _ if !of_identities => None,
            LoweringContext::Facts(who) => Some(who.same((a, id_of(a.side())), (b, id_of(b.side())))),
            LoweringContext::Arriving(arriving) => Some(arriving.same(a, b)),
            LoweringContext::Identities => None,
        };
        if let Some(same) = same {
            return Ok(if op == Compare::Eq { same } else { same.is_false() });
        }
        if text {
            return Ok(binary_expr(self.text(&left)?, operator(op), self.text(&right)?));
        }
        if a.kind() == b.kind() {
            return Ok(binary_expr(self.place(a), operator(op), self.place(b)));
        }
        Ok(binary_expr(self.wide(&left)?, operator(op), self.wide(&right)?))
    }

    pub(super) fn one_of(self, term: &Term, list: &[Term]) -> Result<Expr> {
        let Term::Column(column) = term else {
            let list = list.iter().map(|item| self.term(item)).collect::<Result<_>>()?;
            return Ok(self.term(term)?.in_list(list, false));
        };
        if *column == PROTOCOL {
            let names: Vec<_> = list.iter().filter_map(text_of).collect();
            return Ok(is_protocol(&names));
        }
        let known = list
            .iter()
            .filter(|item| text_of(item).is_none_or(|text| !text.is_empty()));
        let values: Vec<_> = known.filter_map(|item| native(*column, item)).collect();
        let found = match values.is_empty() {
            true => lit(false),
            false => self.place(*column).in_list(values, false),
        };
        let or_unknown = list.iter().filter_map(text_of).any(|text| text.is_empty());
        Ok(match (or_unknown, column.field().identity) {
            (false, _) => found,
            (true, false) => found.or(self.place(*column).is_null()),
            (true, true) => found.or(self.text(term)?.eq(self.text(&Term::Text(String::new()))?)),
        })
    }
}

/// The literal in the type of the column; none if it does not fit.
fn native(column: Column, literal: &Term) -> Option<Expr> {
    let value = match (literal, column.kind()) {
        (Term::Number(number), FieldKind::Unsigned(bits)) => match bits {
            8 => ScalarValue::UInt8(Some((*number).try_into().ok()?)),
            16 => ScalarValue::UInt16(Some((*number).try_into().ok()?)),
            32 => ScalarValue::UInt32(Some((*number).try_into().ok()?)),
            _ => ScalarValue::UInt64(Some((*number).try_into().ok()?)),
        },
        (Term::Text(text), _) => ScalarValue::Utf8View(Some(text.clone())),
        (Term::Address(octets), _) => ScalarValue::FixedSizeBinary(16, Some(octets.to_vec())),
        (Term::Mac(octets), _) => ScalarValue::FixedSizeBinary(6, Some(octets.to_vec())),
        (Term::Time(time), FieldKind::Timestamp) => time_value(*time),
        _ => return None,
    };
    Some(lit(value))
}

/// A time as it is stored.
pub(crate) fn time_value(micros: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()))
}

/// The type of stored times.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn text_of(term: &Term) -> Option<String> {
    match term {
        Term::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn is_octets(term: &Term) -> bool {
    matches!(type_of(term), Type::Address | Type::Mac)
}

pub(crate) fn type_of(term: &Term) -> Type {
    match term {
        Term::Column(column) => Type::of(column.kind()).unwrap_or(Type::Number),
        Term::Text(_) | Term::OtherSide(_) | Term::Joined(..) => Type::Text,
        Term::Entry(..) | Term::Cased(..) | Term::ToText(..) => Type::Text,
        Term::Double(_) | Term::DoubleArithmetic(..) | Term::ToDouble(..) => Type::Double,
        Term::Address(_) => Type::Address,
        Term::Mac(_) => Type::Mac,
        Term::If(_, a, b) => match type_of(a) {
            // Text beside an address was read as one.
            Type::Text => type_of(b),
            kind => kind,
        },
        // Times and lengths of time are numbers of microseconds.
        _ => Type::Number,
    }
}

/// One value or the other. The engine's own conditional is rewritten in a way that
/// doubles its condition, and with each one that stands in it again.
pub(super) fn choice(test: Expr, yes: Expr, no: Expr, kind: DataType) -> Expr {
    call("if", kind, vec![test, yes, no], |args| {
        Ok(zip(args[0].as_boolean(), &args[1], &args[2])?)
    })
}

/// Of words that name a side, those for the other one.
pub(crate) fn other_side(column: Column, words: Expr) -> Expr {
    let name = format!("other_{}", column.name());
    call(&name, DataType::Utf8View, vec![words], |args| {
        Ok(other_sides(&args[0]))
    })
}

/// The same of values.
pub(crate) fn other_sides(words: &ArrayRef) -> ArrayRef {
    let words = words.as_string_view().iter();
    Arc::new(
        words
            .map(|word| word.map(expr::other_side))
            .collect::<StringViewArray>(),
    )
}

/// The protocol has one of these names, or none where the name is empty.
fn is_protocol(names: &[String]) -> Expr {
    let numbers = (0..=u8::MAX).filter(|number| names.iter().any(|name| *name == protocol_name(*number)));
    let numbers: Vec<_> = numbers.map(lit).collect();
    let found = match numbers.as_slice() {
        [] => lit(false),
        [one] => col(PROTO).eq(one.clone()),
        _ => col(PROTO).in_list(numbers, false),
    };
    match names.iter().any(String::is_empty) {
        true => found.or(col(PROTO).is_null()),
        false => found,
    }
}

fn protocol() -> Expr {
    let names: Vec<String> = (0..=u8::MAX)
        .map(|number| protocol_name(number).into_owned())
        .collect();
    call("protocol", DataType::Utf8View, vec![col(PROTO)], move |args| {
        let numbers = args[0].as_primitive::<UInt8Type>().iter();
        let names =
            numbers.map(|number| Some(number.map_or("", |number| names[usize::from(number)].as_str())));
        Ok(Arc::new(names.collect::<StringViewArray>()) as ArrayRef)
    })
}

fn arithmetic(op: Arithmetic, a: Expr, b: Expr) -> Expr {
    call(&format!("{op:?}"), DataType::Int64, vec![a, b], move |args| {
        let (a, b) = (
            args[0].as_primitive::<Int64Type>(),
            args[1].as_primitive::<Int64Type>(),
        );
        let results = a.iter().zip(b).map(|(a, b)| op.of(a?, b?));
        Ok(Arc::new(results.collect::<Int64Array>()) as ArrayRef)
    })
}

const fn operator(op: Compare) -> Operator {
    match op {
        Compare::Eq => Operator::Eq,
        Compare::Ne => Operator::NotEq,
        Compare::Lt => Operator::Lt,
        Compare::Le => Operator::LtEq,
        Compare::Gt => Operator::Gt,
        Compare::Ge => Operator::GtEq,
    }
}
