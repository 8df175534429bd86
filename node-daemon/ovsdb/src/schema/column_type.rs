//! What a column may hold: `<type>` and `<base-type>` of RFC 7047 section 3.2.

use crate::value::{AtomKind, Datum, NotationError};
use serde_json::Value;

/// A column's type: a set of `key`, or a map from `key` to `value`.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnType {
    /// Type of a set's elements or a map's keys.
    pub key: BaseType,
    /// Type of a map's values; `None` for a set.
    pub value: Option<BaseType>,
    /// Fewest elements: 0 or 1.
    pub min: u64,
    /// Most elements; `None` is unlimited.
    pub max: Option<u64>,
}

/// The type of one atom and the limits put on it.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseType {
    /// Which of the five types.
    pub kind: AtomKind,
    /// The only values allowed, when they are listed.
    pub choices: Option<Datum>,
    /// Smallest and largest integer.
    pub integer_range: (Option<i64>, Option<i64>),
    /// Smallest and largest real number.
    pub real_range: (Option<f64>, Option<f64>),
    /// Shortest and longest string, in characters.
    pub length_range: (Option<u64>, Option<u64>),
    /// The table whose rows a UUID names, when it must name one.
    pub references: Option<Reference>,
}

/// A column of UUIDs that name rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The table of these rows.
    pub table: String,
    /// Whether the reference keeps the row alive; a weak one vanishes with the row.
    pub strong: bool,
}

impl ColumnType {
    /// Reads `<type>`.
    ///
    /// # Errors
    /// [`NotationError`] when it is none.
    pub fn from_json(value: &Value) -> Result<ColumnType, NotationError> {
        let Value::Object(members) = value else {
            return Ok(ColumnType {
                key: BaseType::from_json(value)?,
                value: None,
                min: 1,
                max: Some(1),
            });
        };
        let key = members
            .get("key")
            .ok_or_else(|| NotationError::new("a type with a key", value))?;
        let max = match members.get("max") {
            None => Some(1),
            Some(Value::String(text)) if text == "unlimited" => None,
            Some(max) => Some(unsigned(max)?),
        };
        Ok(ColumnType {
            key: BaseType::from_json(key)?,
            value: members.get("value").map(BaseType::from_json).transpose()?,
            min: members.get("min").map_or(Ok(1), unsigned)?,
            max,
        })
    }

    /// Whether an update carries this column's difference instead of its new
    /// content: `ovsdb_type_is_composite` of OVS, any type with room for two.
    pub fn is_composite(&self) -> bool {
        self.max.is_none_or(|max| max > 1)
    }

    /// What the column holds when nothing was written (RFC 7047 section 5.2.1).
    pub fn default_datum(&self) -> Datum {
        match (&self.value, self.min) {
            (None, 0) => Datum::empty(),
            (None, _) => Datum::from(self.key.kind.default_atom()),
            (Some(_), 0) => Datum::Map(Vec::new()),
            (Some(value), _) => Datum::map([(self.key.kind.default_atom(), value.kind.default_atom())]),
        }
    }
}

impl BaseType {
    /// Reads `<base-type>`.
    ///
    /// # Errors
    /// [`NotationError`] when it is none.
    pub fn from_json(value: &Value) -> Result<BaseType, NotationError> {
        let wrong = || NotationError::new("a base type", value);
        let member = |name: &str| value.as_object().and_then(|members| members.get(name));
        let kind = value
            .as_str()
            .or_else(|| member("type")?.as_str())
            .and_then(kind)
            .ok_or_else(wrong)?;
        let integer = |name| member(name).map(|v| v.as_i64().ok_or_else(wrong)).transpose();
        let real = |name| member(name).map(|v| v.as_f64().ok_or_else(wrong)).transpose();
        let length = |name| member(name).map(unsigned).transpose();
        Ok(BaseType {
            kind,
            choices: member("enum").map(Datum::from_json).transpose()?,
            integer_range: (integer("minInteger")?, integer("maxInteger")?),
            real_range: (real("minReal")?, real("maxReal")?),
            length_range: (length("minLength")?, length("maxLength")?),
            references: member("refTable").and_then(Value::as_str).map(|table| Reference {
                table: table.to_owned(),
                strong: member("refType").and_then(Value::as_str) != Some("weak"),
            }),
        })
    }
}

fn kind(name: &str) -> Option<AtomKind> {
    let kinds = [
        AtomKind::Integer,
        AtomKind::Real,
        AtomKind::Boolean,
        AtomKind::String,
        AtomKind::Uuid,
    ];
    kinds.into_iter().find(|kind| kind.name() == name)
}

fn unsigned(value: &Value) -> Result<u64, NotationError> {
    value.as_u64().ok_or_else(|| NotationError::new("a count", value))
}
