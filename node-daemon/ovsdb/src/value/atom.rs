//! A single value. Sets and maps of them are in [`super::Datum`].

use super::Uuid;
use std::cmp::Ordering;

/// One value of one of the five OVSDB types, or a row's name within a transaction.
#[derive(Debug, Clone)]
pub enum Atom {
    /// 64-bit signed integer.
    Integer(i64),
    /// A finite number; JSON cannot carry infinity or NaN, the server refuses what is written for them.
    Real(f64),
    /// True or false.
    Boolean(bool),
    /// Unicode text.
    String(String),
    /// A row.
    Uuid(Uuid),
    /// A row inserted by the same transaction under this `uuid_name`.
    NamedUuid(String),
}

/// The five atomic types of a column (RFC 7047 section 3.2, `<atomic-type>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AtomKind {
    /// `integer`
    Integer,
    /// `real`
    Real,
    /// `boolean`
    Boolean,
    /// `string`
    String,
    /// `uuid`
    Uuid,
}

impl AtomKind {
    /// The name in a schema.
    pub fn name(self) -> &'static str {
        match self {
            AtomKind::Integer => "integer",
            AtomKind::Real => "real",
            AtomKind::Boolean => "boolean",
            AtomKind::String => "string",
            AtomKind::Uuid => "uuid",
        }
    }

    /// What a column of this type holds when nothing was written (RFC 7047 section 5.2.1).
    pub fn default_atom(self) -> Atom {
        match self {
            AtomKind::Integer => Atom::Integer(0),
            AtomKind::Real => Atom::Real(0.0),
            AtomKind::Boolean => Atom::Boolean(false),
            AtomKind::String => Atom::String(String::new()),
            AtomKind::Uuid => Atom::Uuid(Uuid::ZERO),
        }
    }
}

impl Atom {
    /// The type of column that may hold this atom.
    pub fn kind(&self) -> AtomKind {
        match self {
            Atom::Integer(_) => AtomKind::Integer,
            Atom::Real(_) => AtomKind::Real,
            Atom::Boolean(_) => AtomKind::Boolean,
            Atom::String(_) => AtomKind::String,
            Atom::Uuid(_) | Atom::NamedUuid(_) => AtomKind::Uuid,
        }
    }

    /// The text, when this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Atom::String(text) => Some(text),
            _ => None,
        }
    }

    /// The row, when this is one.
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self {
            Atom::Uuid(uuid) => Some(*uuid),
            _ => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Atom::Integer(_) => 0,
            Atom::Real(_) => 1,
            Atom::Boolean(_) => 2,
            Atom::String(_) => 3,
            Atom::Uuid(_) => 4,
            Atom::NamedUuid(_) => 5,
        }
    }
}

impl Ord for Atom {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Atom::Integer(a), Atom::Integer(b)) => a.cmp(b),
            // Adding zero turns -0.0 into 0.0: OVSDB takes them for the same number.
            (Atom::Real(a), Atom::Real(b)) => (a + 0.0).total_cmp(&(b + 0.0)),
            (Atom::Boolean(a), Atom::Boolean(b)) => a.cmp(b),
            (Atom::String(a), Atom::String(b)) | (Atom::NamedUuid(a), Atom::NamedUuid(b)) => a.cmp(b),
            (Atom::Uuid(a), Atom::Uuid(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Atom {}

impl From<i64> for Atom {
    fn from(value: i64) -> Atom {
        Atom::Integer(value)
    }
}

impl From<f64> for Atom {
    fn from(value: f64) -> Atom {
        Atom::Real(value)
    }
}

impl From<bool> for Atom {
    fn from(value: bool) -> Atom {
        Atom::Boolean(value)
    }
}

impl From<&str> for Atom {
    fn from(value: &str) -> Atom {
        Atom::String(value.to_owned())
    }
}

impl From<String> for Atom {
    fn from(value: String) -> Atom {
        Atom::String(value)
    }
}

impl From<Uuid> for Atom {
    fn from(value: Uuid) -> Atom {
        Atom::Uuid(value)
    }
}
