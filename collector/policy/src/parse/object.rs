//! An object whose fields are asked for by name: what nobody asked for is unknown.

use serde_json::{Map, Value};

use super::Reader;

/// One JSON object at its place.
pub(super) struct Object<'v> {
    fields: Option<&'v Map<String, Value>>,
    place: String,
    known: Vec<&'static str>,
}

impl<'v> Object<'v> {
    /// The object there; anything else is told and has no fields.
    pub(super) fn new(value: &'v Value, place: String, reader: &mut Reader) -> Object<'v> {
        let fields = value.as_object();
        if fields.is_none() {
            reader.problem(place.as_str(), "is no object");
        }
        Object {
            fields,
            place,
            known: Vec::new(),
        }
    }

    /// Where the object is.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Where a field of it is.
    pub(super) fn at(&self, name: &str) -> String {
        match self.place.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.place),
        }
    }

    /// Whether anything else is there but null.
    pub(super) fn is_empty(&self) -> bool {
        self.fields
            .is_none_or(|fields| fields.values().all(Value::is_null))
    }

    /// A field; null is as absent.
    pub(super) fn field(&mut self, name: &'static str) -> Option<&'v Value> {
        self.known.push(name);
        self.fields?.get(name).filter(|value| !value.is_null())
    }

    /// A field that is an object.
    pub(super) fn object(&mut self, name: &'static str, reader: &mut Reader) -> Option<Object<'v>> {
        let value = self.field(name)?;
        Some(Object::new(value, self.at(name), reader))
    }

    /// A field that is text.
    pub(super) fn text(&mut self, name: &'static str, reader: &mut Reader) -> Option<&'v str> {
        let value = self.field(name)?;
        if !value.is_string() {
            reader.problem(self.at(name), format!("{value} is no string"));
        }
        value.as_str()
    }

    /// A field that is a whole number within bounds.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        bounds: std::ops::RangeInclusive<u16>,
        reader: &mut Reader,
    ) -> Option<u16> {
        let value = self.field(name)?;
        let number = value
            .as_i64()
            .and_then(|n| u16::try_from(n).ok())
            .filter(|n| bounds.contains(n));
        if number.is_none() {
            let (low, high) = bounds.into_inner();
            reader.problem(
                self.at(name),
                format!("{value} is no number from {low} to {high}"),
            );
        }
        number
    }

    /// A field that is a list of at most so many items; each with its place.
    pub(super) fn list(
        &mut self,
        name: &'static str,
        most: usize,
        reader: &mut Reader,
    ) -> Vec<(String, &'v Value)> {
        let Some(value) = self.field(name) else {
            return Vec::new();
        };
        let at = self.at(name);
        let Some(items) = value.as_array() else {
            reader.problem(at, "is no list");
            return Vec::new();
        };
        if items.len() > most {
            reader.problem(
                at.as_str(),
                format!("has {} items, more than {most}", items.len()),
            );
        }
        items
            .iter()
            .enumerate()
            .map(|(index, item)| (format!("{at}[{index}]"), item))
            .collect()
    }

    /// Tells the fields that nobody asked for.
    pub(super) fn close(self, reader: &mut Reader) {
        for name in self.fields.into_iter().flat_map(Map::keys) {
            if !self.known.contains(&name.as_str()) {
                reader.problem(self.at(name), "is no field that we know");
            }
        }
    }
}
