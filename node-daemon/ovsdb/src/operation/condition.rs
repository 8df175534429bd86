//! Which rows an operation concerns, and how it changes them relatively
//! (RFC 7047 section 5.1: `<condition>`, `<mutation>`).

use crate::value::{Datum, Uuid};
use serde_json::{Value, json};

/// A test of one column (`<condition>`).
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Column, or `_uuid`.
    pub column: String,
    /// How to compare.
    pub function: Function,
    /// What with.
    pub value: Datum,
}

/// How a condition compares (`<function>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `<`
    LessThan,
    /// `<=`
    LessOrEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    GreaterThan,
    /// The column has all these elements.
    Includes,
    /// The column has none of these elements.
    Excludes,
}

/// A relative change of one column (`<mutation>`).
#[derive(Debug, Clone, PartialEq)]
pub struct Mutation {
    /// The column.
    pub column: String,
    /// What to do.
    pub mutator: Mutator,
    /// What with. To delete from a map: a set of keys, or a map of pairs.
    pub value: Datum,
}

/// How a mutation changes (`<mutator>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutator {
    /// `+=`
    Add,
    /// `-=`
    Subtract,
    /// `*=`
    Multiply,
    /// `/=`
    Divide,
    /// `%=`
    Modulo,
    /// Adds elements; existing keys of a map keep their values.
    Insert,
    /// Removes elements.
    Delete,
}

impl Condition {
    /// The row with this UUID.
    pub fn uuid(uuid: Uuid) -> Condition {
        Condition::equal("_uuid", uuid)
    }

    /// Rows whose column equals `value`.
    pub fn equal(column: impl Into<String>, value: impl Into<Datum>) -> Condition {
        Condition {
            column: column.into(),
            function: Function::Equal,
            value: value.into(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!([self.column, self.function.symbol(), self.value.to_json()])
    }
}

impl Function {
    fn symbol(self) -> &'static str {
        match self {
            Function::LessThan => "<",
            Function::LessOrEqual => "<=",
            Function::Equal => "==",
            Function::NotEqual => "!=",
            Function::GreaterOrEqual => ">=",
            Function::GreaterThan => ">",
            Function::Includes => "includes",
            Function::Excludes => "excludes",
        }
    }
}

impl Mutation {
    /// Adds these elements to a set or map.
    pub fn insert(column: impl Into<String>, value: impl Into<Datum>) -> Mutation {
        Mutation {
            column: column.into(),
            mutator: Mutator::Insert,
            value: value.into(),
        }
    }

    /// Removes these elements from a set or map.
    pub fn delete(column: impl Into<String>, value: impl Into<Datum>) -> Mutation {
        Mutation {
            column: column.into(),
            mutator: Mutator::Delete,
            value: value.into(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!([self.column, self.mutator.symbol(), self.value.to_json()])
    }
}

impl Mutator {
    fn symbol(self) -> &'static str {
        match self {
            Mutator::Add => "+=",
            Mutator::Subtract => "-=",
            Mutator::Multiply => "*=",
            Mutator::Divide => "/=",
            Mutator::Modulo => "%=",
            Mutator::Insert => "insert",
            Mutator::Delete => "delete",
        }
    }
}
