//! JSON notation of atoms, sets and maps, both ways (RFC 7047 section 5.1).
//!
//! ovsdb-server writes the real number 1.0 as `1`: without the column's type a
//! reader takes it for an integer. [`Datum::from_json_as`] knows the type.
//!
//! ovsdb-server writes real numbers with 15 significant digits. These are read
//! exactly from about 10^-8 to 10^22; beyond, the last bit may differ (serde_json without
//! its feature `float_roundtrip`).

use super::{Atom, AtomKind, Datum, Uuid};
use crate::schema::ColumnType;
use serde_json::{Value, json};

/// A JSON value that is not in the notation that its place calls for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct NotationError {
    /// What the protocol wants here.
    pub expected: &'static str,
    /// The beginning of what was there.
    pub found: String,
}

impl NotationError {
    /// An error that shows the beginning of `found`.
    pub fn new(expected: &'static str, found: &Value) -> NotationError {
        let mut found = found.to_string();
        if let Some((end, _)) = found.char_indices().nth(80) {
            found.truncate(end);
            found.push('…');
        }
        NotationError { expected, found }
    }
}

impl Atom {
    /// `<atom>` in JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Atom::Integer(value) => json!(value),
            Atom::Real(value) => json!(value),
            Atom::Boolean(value) => json!(value),
            Atom::String(value) => json!(value),
            Atom::Uuid(value) => json!(["uuid", value.to_string()]),
            Atom::NamedUuid(name) => json!(["named-uuid", name]),
        }
    }

    /// Reads `<atom>`; a number without fraction or exponent is an integer.
    ///
    /// # Errors
    /// [`NotationError`] when it is none, or an integer beyond 64 bits.
    pub fn from_json(value: &Value) -> Result<Atom, NotationError> {
        let wrong = || NotationError::new("an atom", value);
        match value {
            Value::Bool(flag) => Ok(Atom::Boolean(*flag)),
            Value::String(text) => Ok(Atom::String(text.clone())),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Ok(Atom::Integer(integer)),
                (None, Some(real)) if number.is_f64() => Ok(Atom::Real(real)),
                _ => Err(NotationError::new("an integer of 64 bits", value)),
            },
            Value::Array(_) => match tagged(value).ok_or_else(wrong)? {
                ("uuid", Value::String(text)) => parse_uuid(text, value).map(Atom::Uuid),
                ("named-uuid", Value::String(name)) => Ok(Atom::NamedUuid(name.clone())),
                _ => Err(wrong()),
            },
            Value::Null | Value::Object(_) => Err(wrong()),
        }
    }

    /// This atom as a column of `kind` holds it, or `None` if it cannot.
    fn coerce(self, kind: AtomKind) -> Option<Atom> {
        match (self, kind) {
            // The nearest double is what the server itself would read.
            (Atom::Integer(value), AtomKind::Real) => Some(Atom::Real(value as f64)),
            (atom, kind) if atom.kind() == kind => Some(atom),
            _ => None,
        }
    }
}

impl Datum {
    /// `<value>` in JSON: an atom for a set of one, else a tagged set or map.
    pub fn to_json(&self) -> Value {
        match self {
            Datum::Set(atoms) => match atoms.as_slice() {
                [atom] => atom.to_json(),
                atoms => json!(["set", atoms.iter().map(Atom::to_json).collect::<Vec<_>>()]),
            },
            Datum::Map(pairs) => {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(key, value)| [key.to_json(), value.to_json()])
                    .collect();
                json!(["map", pairs])
            }
        }
    }

    /// Reads `<value>` where the column's type is not known.
    ///
    /// # Errors
    /// [`NotationError`] when it is not in the notation of section 5.1.
    pub fn from_json(value: &Value) -> Result<Datum, NotationError> {
        match tagged(value) {
            Some(("set", Value::Array(atoms))) => Ok(Datum::set(
                atoms.iter().map(Atom::from_json).collect::<Result<Vec<_>, _>>()?,
            )),
            Some(("map", Value::Array(pairs))) => {
                Ok(Datum::map(pairs.iter().map(pair).collect::<Result<Vec<_>, _>>()?))
            }
            Some(("set" | "map", _)) => Err(NotationError::new("a set or a map", value)),
            _ => Atom::from_json(value).map(Datum::from),
        }
    }

    /// Reads `<value>` of a column of this type. The number of elements is not
    /// checked: a difference may have more of them than the column.
    ///
    /// # Errors
    /// [`NotationError`] when the notation or an atom's type is wrong.
    pub fn from_json_as(value: &Value, column: &ColumnType) -> Result<Datum, NotationError> {
        let wrong = || NotationError::new("a value of the column's type", value);
        match (Datum::from_json(value)?, &column.value) {
            (Datum::Set(atoms), None) => {
                let atoms: Option<Vec<Atom>> = atoms
                    .into_iter()
                    .map(|atom| atom.coerce(column.key.kind))
                    .collect();
                atoms.map(Datum::set).ok_or_else(wrong)
            }
            (Datum::Map(pairs), Some(base)) => {
                let pairs: Option<Vec<(Atom, Atom)>> = pairs
                    .into_iter()
                    .map(|(key, value)| Some((key.coerce(column.key.kind)?, value.coerce(base.kind)?)))
                    .collect();
                pairs.map(Datum::map).ok_or_else(wrong)
            }
            (Datum::Set(atoms), Some(_)) if atoms.is_empty() => Ok(Datum::Map(Vec::new())),
            _ => Err(wrong()),
        }
    }
}

fn tagged(value: &Value) -> Option<(&str, &Value)> {
    match value.as_array()?.as_slice() {
        [Value::String(tag), content] => Some((tag, content)),
        _ => None,
    }
}

fn pair(value: &Value) -> Result<(Atom, Atom), NotationError> {
    match value.as_array().map(Vec::as_slice) {
        Some([key, value]) => Ok((Atom::from_json(key)?, Atom::from_json(value)?)),
        _ => Err(NotationError::new("a pair of atoms", value)),
    }
}

fn parse_uuid(text: &str, value: &Value) -> Result<Uuid, NotationError> {
    text.parse().map_err(|_| NotationError::new("a UUID", value))
}
