//! What one column of one row holds: a set or a map of atoms.

use super::{Atom, Uuid};

/// A column's content. A scalar is a set of one, an absent optional an empty set.
///
/// Build it with the constructors, which sort and deduplicate: then equality is
/// equality of content. An empty map equals an empty set (only the notation
/// differs).
#[derive(Debug, Clone)]
pub enum Datum {
    /// Atoms in ascending order, each once.
    Set(Vec<Atom>),
    /// Pairs in ascending order of their keys, each key once.
    Map(Vec<(Atom, Atom)>),
}

impl Datum {
    /// The empty set.
    pub fn empty() -> Datum {
        Datum::Set(Vec::new())
    }

    /// The set of these atoms, in any order, repetitions dropped.
    pub fn set<A: Into<Atom>>(atoms: impl IntoIterator<Item = A>) -> Datum {
        let mut atoms: Vec<Atom> = atoms.into_iter().map(Into::into).collect();
        atoms.sort();
        atoms.dedup();
        Datum::Set(atoms)
    }

    /// The map of these pairs, in any order; of pairs with the same key the last one stays.
    pub fn map<K: Into<Atom>, V: Into<Atom>>(pairs: impl IntoIterator<Item = (K, V)>) -> Datum {
        let mut pairs: Vec<(Atom, Atom)> = pairs
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        // The sort is stable, so of equal keys the last written comes first after reversing.
        pairs.reverse();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, earlier| later.0 == earlier.0);
        Datum::Map(pairs)
    }

    /// A set of strings.
    pub fn strings<S: Into<String>>(strings: impl IntoIterator<Item = S>) -> Datum {
        Datum::set(strings.into_iter().map(|text| Atom::String(text.into())))
    }

    /// A map from strings to strings.
    pub fn string_map<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Datum {
        Datum::map(pairs.into_iter().map(|(key, value)| (key.into(), value.into())))
    }

    /// A reference to the row that the same transaction inserts under `name`.
    pub fn named_uuid(name: impl Into<String>) -> Datum {
        Datum::Set(vec![Atom::NamedUuid(name.into())])
    }

    /// How many atoms or pairs.
    pub fn len(&self) -> usize {
        match self {
            Datum::Set(atoms) => atoms.len(),
            Datum::Map(pairs) => pairs.len(),
        }
    }

    /// True for the empty set and the empty map.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The only atom of a set of one.
    pub fn as_atom(&self) -> Option<&Atom> {
        match self {
            Datum::Set(atoms) => match atoms.as_slice() {
                [atom] => Some(atom),
                _ => None,
            },
            Datum::Map(_) => None,
        }
    }

    /// The only atom, when it is a string.
    pub fn as_str(&self) -> Option<&str> {
        self.as_atom()?.as_str()
    }

    /// The only atom, when it is an integer.
    pub fn as_integer(&self) -> Option<i64> {
        match self.as_atom()? {
            Atom::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The only atom, when it is a real number.
    pub fn as_real(&self) -> Option<f64> {
        match self.as_atom()? {
            Atom::Real(value) => Some(*value),
            _ => None,
        }
    }

    /// The only atom, when it is a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self.as_atom()? {
            Atom::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The only atom, when it is a row.
    pub fn as_uuid(&self) -> Option<Uuid> {
        self.as_atom()?.as_uuid()
    }

    /// The atoms of a set; none for a map.
    pub fn atoms(&self) -> &[Atom] {
        match self {
            Datum::Set(atoms) => atoms,
            Datum::Map(_) => &[],
        }
    }

    /// The pairs of a map; none for a set.
    pub fn pairs(&self) -> &[(Atom, Atom)] {
        match self {
            Datum::Set(_) => &[],
            Datum::Map(pairs) => pairs,
        }
    }

    /// The rows in a set.
    pub fn uuids(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.atoms().iter().filter_map(Atom::as_uuid)
    }

    /// The strings in a set.
    pub fn as_strings(&self) -> impl Iterator<Item = &str> + '_ {
        self.atoms().iter().filter_map(Atom::as_str)
    }

    /// The pairs of strings in a map.
    pub fn string_pairs(&self) -> impl Iterator<Item = (&str, &str)> + '_ {
        self.pairs()
            .iter()
            .filter_map(|(key, value)| Some((key.as_str()?, value.as_str()?)))
    }

    /// The string that a map holds under this string.
    pub fn map_get(&self, key: &str) -> Option<&str> {
        let pairs = self.pairs();
        let at = pairs.binary_search_by(|(atom, _)| match atom {
            Atom::String(text) => text.as_str().cmp(key),
            other => other.cmp(&Atom::String(String::new())),
        });
        pairs[at.ok()?].1.as_str()
    }
}

impl PartialEq for Datum {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Datum::Set(a), Datum::Set(b)) => a == b,
            (Datum::Map(a), Datum::Map(b)) => a == b,
            (Datum::Set(_), Datum::Map(_)) | (Datum::Map(_), Datum::Set(_)) => {
                self.is_empty() && other.is_empty()
            }
        }
    }
}

impl Eq for Datum {}

impl From<Atom> for Datum {
    fn from(atom: Atom) -> Datum {
        Datum::Set(vec![atom])
    }
}

macro_rules! scalar {
    ($($scalar:ty),*) => {$(
        impl From<$scalar> for Datum {
            fn from(value: $scalar) -> Datum {
                Datum::Set(vec![Atom::from(value)])
            }
        }
    )*};
}

scalar!(i64, f64, bool, &str, String, Uuid);
