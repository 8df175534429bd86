//! A filter that has been checked: conditions over typed values.
//!
//! Conditions know two values. A comparison in which a value is absent is
//! false, and its negation true; text is never absent, it is `""`.

use std::cmp::Ordering;

use ipnet::IpNet;
use regex::Regex;
use weir_api::fields::{Column, FieldKind, Mirror};

/// Something that is true or false of a flow.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Const(bool),
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    /// Both are true or both are false.
    Same(Box<Test>, Box<Test>),
    If(Box<Test>, Box<Test>, Box<Test>),
    /// A column of kind Bool.
    Flag(Column),
    /// The column has a value.
    Known(Column),
    Compare(Compare, Term, Term),
    /// The first is one of the others, which are literals of its type.
    OneOf(Term, Vec<Term>),
    Within(Term, Vec<IpNet>),
    /// Words of a column of kind EnumList hold this one.
    HasWord(Column, String),
    /// A map has this key.
    HasKey(Column, String),
    Text(TextTest, Term, Term),
    Matches(Term, Regex),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Compare {
    /// The comparison with its sides swapped.
    pub(crate) const fn turned(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            same => same,
        }
    }

    /// Whether it holds of values that stand so.
    pub(crate) const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }
}

/// What a text has in common with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

/// A value; absent where its column is, where it does not fit into 64 bits
/// with sign, after a division by zero, and where text is no number. Text is never
/// absent: it is `""`.
#[derive(Debug, Clone)]
pub(crate) enum Term {
    Column(Column),
    /// Of a column whose words name a side: the word for the other one.
    OtherSide(Column),
    Text(String),
    Number(i64),
    Double(f64),
    /// 16 octets, IPv4 mapped.
    Address([u8; 16]),
    Mac([u8; 6]),
    /// Microseconds since the epoch.
    Time(i64),
    /// Microseconds.
    Span(i64),
    Arithmetic(Arithmetic, Box<Term>, Box<Term>),
    /// The same of doubles; absent where the result is not finite.
    DoubleArithmetic(Arithmetic, Box<Term>, Box<Term>),
    /// One text after the other.
    Joined(Box<Term>, Box<Term>),
    /// What a map has under a key.
    Entry(Column, String),
    /// Text in small or in capital letters, as far as they are ASCII.
    Cased(Case, Box<Term>),
    /// A value as text.
    ToText(Type, Box<Term>),
    /// A value as a number: of a time its seconds, of a double its whole part.
    ToNumber(Type, Box<Term>),
    /// A number or text as a double.
    ToDouble(Type, Box<Term>),
    If(Box<Test>, Box<Term>, Box<Term>),
}

/// Small or capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Case {
    Lower,
    Upper,
}

impl Case {
    /// The text so.
    pub(crate) fn of(self, text: &str) -> String {
        match self {
            Self::Lower => text.to_ascii_lowercase(),
            Self::Upper => text.to_ascii_uppercase(),
        }
    }
}

/// What is done with two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Arithmetic {
    /// The result; none where there is none.
    pub(crate) const fn of(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            Self::Divide => a.checked_div(b),
            Self::Remainder => a.checked_rem(b),
        }
    }

    /// The same of doubles; what is not finite is none.
    pub(crate) fn of_doubles(self, a: f64, b: f64) -> Option<f64> {
        let result = match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Remainder => a % b,
        };
        result.is_finite().then_some(result)
    }
}

/// What kind of value a term has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    Text,
    Number,
    Double,
    Address,
    Mac,
    Time,
    Span,
}

impl Type {
    /// Of a column; none where it is no value (a flag, words, a map).
    pub(crate) const fn of(kind: FieldKind) -> Option<Self> {
        Some(match kind {
            FieldKind::String | FieldKind::Enum => Self::Text,
            FieldKind::Unsigned(_) => Self::Number,
            FieldKind::Address => Self::Address,
            FieldKind::Mac => Self::Mac,
            FieldKind::Timestamp => Self::Time,
            FieldKind::Bool | FieldKind::EnumList | FieldKind::Map => return None,
        })
    }

    /// What to call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Double => "a double",
            Self::Address => "an address",
            Self::Mac => "an Ethernet address",
            Self::Time => "a point in time",
            Self::Span => "a length of time",
        }
    }
}

impl Term {
    /// It is written down in the filter.
    pub(crate) const fn is_literal(&self) -> bool {
        matches!(
            self,
            Self::Text(_)
                | Self::Number(_)
                | Self::Double(_)
                | Self::Address(_)
                | Self::Mac(_)
                | Self::Time(_)
                | Self::Span(_)
        )
    }
}

/// It likely lets few rows through: it asks for certain values of something.
pub(crate) fn is_selective(test: &Test) -> bool {
    match test {
        Test::All(tests) => tests.iter().any(is_selective),
        Test::Any(tests) => !tests.is_empty() && tests.iter().all(is_selective),
        Test::Compare(Compare::Eq, Term::Column(_), b) => !matches!(b, Term::Column(_)),
        Test::OneOf(..) | Test::Within(..) | Test::Text(..) | Test::Matches(..) => true,
        _ => false,
    }
}

/// Hands each column of a condition to `seen`.
pub(crate) fn columns(test: &Test, seen: &mut impl FnMut(Column)) {
    match test {
        Test::Const(_) => {}
        Test::All(tests) | Test::Any(tests) => tests.iter().for_each(|test| columns(test, seen)),
        Test::Not(test) => columns(test, seen),
        Test::Same(a, b) => [a, b].into_iter().for_each(|test| columns(test, seen)),
        Test::If(a, b, c) => [a, b, c].into_iter().for_each(|test| columns(test, seen)),
        Test::Flag(column) | Test::Known(column) => seen(*column),
        Test::HasWord(column, _) | Test::HasKey(column, _) => seen(*column),
        Test::Compare(_, a, b) | Test::Text(_, a, b) => {
            term_columns(a, seen);
            term_columns(b, seen);
        }
        Test::OneOf(term, _) | Test::Within(term, _) | Test::Matches(term, _) => term_columns(term, seen),
    }
}

/// Hands each column of a value to `seen`.
pub(crate) fn term_columns(term: &Term, seen: &mut impl FnMut(Column)) {
    match term {
        Term::Column(column) | Term::OtherSide(column) | Term::Entry(column, _) => seen(*column),
        Term::Cased(_, of) | Term::ToText(_, of) | Term::ToNumber(_, of) | Term::ToDouble(_, of) => {
            term_columns(of, seen);
        }
        Term::Arithmetic(_, a, b) | Term::DoubleArithmetic(_, a, b) | Term::Joined(a, b) => {
            term_columns(a, seen);
            term_columns(b, seen);
        }
        Term::If(test, a, b) => {
            columns(test, seen);
            term_columns(a, seen);
            term_columns(b, seen);
        }
        _ => {}
    }
}

/// The condition as it is of the flow looked at from its other end.
pub(crate) fn mirrored(test: &Test) -> Test {
    let boxed = |test: &Test| Box::new(mirrored(test));
    let each = |tests: &[Test]| tests.iter().map(mirrored).collect();
    let term = mirrored_term;
    match test {
        Test::Const(yes) => Test::Const(*yes),
        Test::All(tests) => Test::All(each(tests)),
        Test::Any(tests) => Test::Any(each(tests)),
        Test::Not(test) => Test::Not(boxed(test)),
        Test::Same(a, b) => Test::Same(boxed(a), boxed(b)),
        Test::If(a, b, c) => Test::If(boxed(a), boxed(b), boxed(c)),
        Test::Flag(column) => Test::Flag(column.mirrored()),
        Test::Known(column) => Test::Known(column.mirrored()),
        Test::HasWord(column, word) => Test::HasWord(column.mirrored(), word.clone()),
        Test::HasKey(column, key) => Test::HasKey(column.mirrored(), key.clone()),
        Test::Compare(op, a, b) => Test::Compare(*op, term(a), term(b)),
        Test::Text(op, a, b) => Test::Text(*op, term(a), term(b)),
        Test::OneOf(of, list) => Test::OneOf(term(of), list.clone()),
        Test::Within(of, networks) => Test::Within(term(of), networks.clone()),
        Test::Matches(of, pattern) => Test::Matches(term(of), pattern.clone()),
    }
}

fn mirrored_term(term: &Term) -> Term {
    let boxed = |term: &Term| Box::new(mirrored_term(term));
    match term {
        Term::Column(column) if column.field().mirror == Mirror::Value => Term::OtherSide(*column),
        Term::OtherSide(column) => Term::Column(*column),
        Term::Column(column) => Term::Column(column.mirrored()),
        Term::Arithmetic(op, a, b) => Term::Arithmetic(*op, boxed(a), boxed(b)),
        Term::DoubleArithmetic(op, a, b) => Term::DoubleArithmetic(*op, boxed(a), boxed(b)),
        Term::Joined(a, b) => Term::Joined(boxed(a), boxed(b)),
        Term::Entry(column, key) => Term::Entry(column.mirrored(), key.clone()),
        Term::Cased(case, of) => Term::Cased(*case, boxed(of)),
        Term::ToText(kind, of) => Term::ToText(*kind, boxed(of)),
        Term::ToNumber(kind, of) => Term::ToNumber(*kind, boxed(of)),
        Term::ToDouble(kind, of) => Term::ToDouble(*kind, boxed(of)),
        Term::If(test, a, b) => Term::If(Box::new(mirrored(test)), boxed(a), boxed(b)),
        literal => literal.clone(),
    }
}

/// The word for the other side, of a column whose words name one.
pub(crate) fn other_side(word: &str) -> &str {
    match word {
        "src" => "dst",
        "dst" => "src",
        other => other,
    }
}
