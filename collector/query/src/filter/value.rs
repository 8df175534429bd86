//! Values that are made of values: sums and products, conversions from one type to
//! another, and how numbers of different types compare.

use cel::common::ast::{IdedExpr, operators};

use super::check::{Checked, Checker, Outcome, named};
use super::expr::{Arithmetic, Case, Compare, Term, Test, Type};

impl Checker<'_> {
    pub(super) fn arithmetic(
        &self,
        node: &IdedExpr,
        op: Arithmetic,
        a: Option<&IdedExpr>,
        b: &IdedExpr,
    ) -> Outcome<Checked> {
        let left = a.map(|a| self.term(a)).transpose()?;
        let right = self.term(b)?;
        let left = match left {
            Some(left) => left,
            None if right.1 == Type::Span => (Term::Span(0), Type::Span),
            None => (Term::Number(0), Type::Number),
        };
        use {Arithmetic::*, Type::*};
        if let (Add, Text, Text) = (op, left.1, right.1) {
            let joined = Term::Joined(Box::new(left.0), Box::new(right.0));
            return Ok(Checked::Term(joined, Text));
        }
        let left = match (left.1, right.1) {
            // `-double`, which is nothing less it.
            (Number, Double) if a.is_none() => (Term::Double(0.0), Double),
            _ => left,
        };
        let kind = match (op, left.1, right.1) {
            (_, Number, Number) => Number,
            (Add | Subtract | Multiply | Divide, Double, Double) => {
                let term = Term::DoubleArithmetic(op, Box::new(left.0), Box::new(right.0));
                return Ok(Checked::Term(term, Double));
            }
            (Remainder, Double, Double) => {
                return Err(self.wrong(node, "only whole numbers have a remainder"));
            }
            (_, Number, Double) | (_, Double, Number) => {
                let number = if left.1 == Number { &left.0 } else { &right.0 };
                let message = format!("a number and a double: write double({})", named(number));
                return Err(self.wrong(node, message));
            }
            (Add, Text, one) | (Add, one, Text) => {
                let other = if left.1 == Text { &right.0 } else { &left.0 };
                let message = format!("text and {}: write string({})", one.name(), named(other));
                return Err(self.wrong(node, message));
            }
            (Add | Subtract, Span, Span) | (Subtract, Time, Time) => Span,
            (Add | Subtract, Time, Span) | (Add, Span, Time) => Time,
            (_, one, other) => {
                let message = format!("{} and {} cannot be calculated with so", one.name(), other.name());
                return Err(self.wrong(node, message));
            }
        };
        let term = Term::Arithmetic(op, Box::new(left.0), Box::new(right.0));
        Ok(Checked::Term(term, kind))
    }

    /// A double that is a whole number, as one.
    pub(super) fn whole(&self, node: &IdedExpr, double: f64) -> Outcome<Term> {
        let fits = double.fract() == 0.0 && (-TOO_LARGE..TOO_LARGE).contains(&double);
        if fits {
            return Ok(Term::Number(double as i64));
        }
        Err(self.wrong(
            node,
            format!("{double} is no whole number, and it stands beside one"),
        ))
    }

    /// `string(…)`: what is absent is `""`.
    pub(super) fn to_text(&self, node: &IdedExpr) -> Outcome<Checked> {
        let checked = self.check(node)?;
        let term = match checked {
            Checked::Test(_) | Checked::Flag(_) => {
                let word = |yes: bool| Box::new(Term::Text(yes.to_string()));
                let test = Box::new(self.as_test(node, checked)?);
                Term::If(test, word(true), word(false))
            }
            checked => match self.as_term(node, checked)? {
                (term, Type::Text) => term,
                (term, kind) => Term::ToText(kind, Box::new(term)),
            },
        };
        Ok(Checked::Term(term, Type::Text))
    }

    /// `int(…)`: text that is none is absent.
    pub(super) fn to_number(&self, node: &IdedExpr) -> Outcome<Checked> {
        let (term, kind) = self.term(node)?;
        let term = match kind {
            Type::Number => term,
            Type::Text | Type::Double | Type::Time => Term::ToNumber(kind, Box::new(term)),
            Type::Address | Type::Mac | Type::Span => {
                return Err(self.wrong(node, format!("{} is no number", kind.name())));
            }
        };
        Ok(Checked::Term(term, Type::Number))
    }

    /// `double(…)`.
    pub(super) fn to_double(&self, node: &IdedExpr) -> Outcome<Checked> {
        let (term, kind) = self.term(node)?;
        let term = match kind {
            Type::Double => term,
            Type::Text | Type::Number => Term::ToDouble(kind, Box::new(term)),
            Type::Address | Type::Mac | Type::Time | Type::Span => {
                return Err(self.wrong(node, format!("{} is no double", kind.name())));
            }
        };
        Ok(Checked::Term(term, Type::Double))
    }

    /// `lowerAscii`, `upperAscii`.
    pub(super) fn cased(&self, case: Case, node: &IdedExpr) -> Outcome<Checked> {
        let text = self.text_term(node)?;
        Ok(Checked::Term(Term::Cased(case, Box::new(text)), Type::Text))
    }
}

/// The first double that has too many bits.
const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;

/// A number and a double compare as on one line of numbers. With a double that is written
/// down, whole numbers do what they do with the next whole one.
pub(super) fn mixed(op: Compare, (a, kind): &(Term, Type), (b, other): &(Term, Type)) -> Option<Test> {
    match (kind, other) {
        (Type::Number, Type::Double) => Some(match b {
            Term::Double(double) => beside(op, a, *double),
            _ => Test::Compare(op, a.clone(), b.clone()),
        }),
        (Type::Double, Type::Number) => Some(match a {
            Term::Double(double) => beside(op.turned(), b, *double),
            _ => Test::Compare(op, a.clone(), b.clone()),
        }),
        _ => None,
    }
}

fn beside(op: Compare, number: &Term, double: f64) -> Test {
    let compare = |op, with: f64| Test::Compare(op, number.clone(), Term::Number(with as i64));
    let is_known = || compare(Compare::Ge, -TOO_LARGE);
    match op {
        _ if double.is_nan() => Test::Const(false),
        Compare::Lt | Compare::Le if double >= TOO_LARGE => is_known(),
        Compare::Gt | Compare::Ge if double < -TOO_LARGE => is_known(),
        _ if !(-TOO_LARGE..TOO_LARGE).contains(&double) => match op {
            Compare::Ne => is_known(),
            _ => Test::Const(false),
        },
        Compare::Eq if double.fract() != 0.0 => Test::Const(false),
        Compare::Ne if double.fract() != 0.0 => is_known(),
        Compare::Eq | Compare::Ne => compare(op, double),
        Compare::Gt | Compare::Le => compare(op, double.floor()),
        Compare::Ge | Compare::Lt => compare(op, double.ceil()),
    }
}

pub(super) fn arithmetic(name: &str) -> Option<Arithmetic> {
    Some(match name {
        operators::ADD => Arithmetic::Add,
        operators::SUBSTRACT => Arithmetic::Subtract,
        operators::MULTIPLY => Arithmetic::Multiply,
        operators::DIVIDE => Arithmetic::Divide,
        operators::MODULO => Arithmetic::Remainder,
        _ => return None,
    })
}
