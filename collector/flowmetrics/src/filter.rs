//! Conditions of a metric: any of those of one field, all of several fields.

use regex::bytes::Regex;
use weir_fields::Column;

use crate::direction::{self, Directions};
use crate::parts::{EventKey, Part};
use crate::record::Record;
use crate::scratch::Scratch;
use crate::source::{Derived, Source};

/// Where a condition, a label or a `$(Field)` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The record.
    Record(Source),
    /// The item at hand of the flattened list at this place of the metric's list of them.
    Part { list: usize, key: Option<EventKey> },
}

/// The conditions of one field: any of them holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    pub reading: Reading,
    pub any: Vec<Predicate>,
}

/// One condition.
#[derive(Debug, Clone)]
pub(crate) enum Predicate {
    Equal(Template),
    NotEqual(Template),
    Present,
    Absent,
    Matches(Regex),
    NotMatches(Regex),
}

impl PartialEq for Predicate {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Equal(one), Self::Equal(other)) | (Self::NotEqual(one), Self::NotEqual(other)) => {
                one == other
            }
            (Self::Matches(one), Self::Matches(other)) | (Self::NotMatches(one), Self::NotMatches(other)) => {
                one.as_str() == other.as_str()
            }
            (Self::Present, Self::Present) | (Self::Absent, Self::Absent) => true,
            _ => false,
        }
    }
}

/// A text with places for values of other fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(pub Vec<Piece>);

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Literal(Box<str>),
    Field(Reading),
}

/// The items at hand of a metric's flattened lists.
pub(crate) type PartsAtHand<'p, 'r> = &'p [Option<Part<'r>>];

/// Of which directions a filter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirectionMask {
    missing: bool,
    directions: [bool; 3],
}

impl DirectionMask {
    /// Whether it holds of one of the reports that a record stands for.
    #[inline]
    pub fn passes(&self, directions: Option<Directions>) -> bool {
        let holds = |direction: u8| self.directions.get(usize::from(direction)) == Some(&true);
        match directions {
            None => self.missing,
            Some(Directions { own, other }) => holds(own) || other.is_some_and(holds),
        }
    }
}

impl Template {
    fn readings(&self) -> impl Iterator<Item = Reading> + '_ {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Field(reading) => Some(*reading),
            Piece::Literal(_) => None,
        })
    }

    fn is(&self, text: &[u8], scratch: &Scratch, parts: PartsAtHand<'_, '_>) -> bool {
        let mut rest = text;
        for piece in &self.0 {
            let piece = match piece {
                Piece::Literal(text) => text.as_bytes(),
                Piece::Field(reading) => reading.text(scratch, parts).unwrap_or_default(),
            };
            match rest.strip_prefix(piece) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

impl Reading {
    /// The text, which must be in `scratch` if it is of the record.
    pub fn text<'t>(self, scratch: &'t Scratch, parts: PartsAtHand<'_, 't>) -> Option<&'t [u8]> {
        match self {
            Self::Record(source) => scratch.text(source),
            Self::Part { list, key } => {
                let part = parts.get(list).copied().flatten()?;
                part.text(key).map(str::as_bytes)
            }
        }
    }
}

impl Predicate {
    fn template(&self) -> Option<&Template> {
        match self {
            Self::Equal(template) | Self::NotEqual(template) => Some(template),
            _ => None,
        }
    }

    /// Whether it holds of this one text.
    fn holds(&self, text: Option<&[u8]>, scratch: &Scratch, parts: PartsAtHand<'_, '_>) -> bool {
        match self {
            Self::Equal(template) => text.is_some_and(|text| template.is(text, scratch, parts)),
            Self::NotEqual(template) => !text.is_some_and(|text| template.is(text, scratch, parts)),
            Self::Present => text.is_some(),
            Self::Absent => text.is_none(),
            Self::Matches(regex) => text.is_some_and(|text| regex.is_match(text)),
            Self::NotMatches(regex) => !text.is_some_and(|text| regex.is_match(text)),
        }
    }

    /// Whether it says that something is not so; of a list it then speaks of every item.
    const fn is_negative(&self) -> bool {
        matches!(self, Self::NotEqual(_) | Self::NotMatches(_) | Self::Absent)
    }
}

impl Filter {
    /// The column that must be there, if nothing else is asked.
    pub fn needed_column(&self) -> Option<Column> {
        let present = self
            .any
            .iter()
            .all(|predicate| matches!(predicate, Predicate::Present));
        match self.reading {
            Reading::Record(source @ Source::Column(column)) if present && !source.is_list() => Some(column),
            _ => None,
        }
    }

    /// Of which directions it holds, if it looks at nothing else.
    pub fn direction_mask(&self) -> Option<DirectionMask> {
        let of_direction = self.reading == Reading::Record(Source::Derived(Derived::FlowDirection));
        let mut templates = self.any.iter().filter_map(Predicate::template);
        if !of_direction || templates.any(|template| template.readings().next().is_some()) {
            return None;
        }
        let scratch = Scratch::new();
        let holds = |text: Option<&[u8]>| {
            let mut any = self.any.iter();
            any.any(|predicate| predicate.holds(text, &scratch, &[]))
        };
        Some(DirectionMask {
            missing: holds(None),
            directions: [b"0", b"1", b"2"].map(|digit| holds(Some(digit))),
        })
    }

    /// Whether it looks at an item of a flattened list, itself or by a `$(Field)`.
    pub fn reads_parts(&self) -> bool {
        let mut readings = self.readings();
        readings.any(|reading| matches!(reading, Reading::Part { .. }))
    }

    /// All that it reads.
    pub fn readings(&self) -> impl Iterator<Item = Reading> + '_ {
        let templates = self.any.iter().filter_map(Predicate::template);
        templates.flat_map(Template::readings).chain([self.reading])
    }

    /// Writes what it reads of the record into `scratch`.
    pub fn prepare(&self, scratch: &mut Scratch, record: &impl Record) {
        for reading in self.readings() {
            if let Reading::Record(source) = reading {
                scratch.ensure(source, record);
            }
        }
    }

    /// Whether any condition holds; [`Self::prepare`] came first.
    pub fn passes(&self, scratch: &Scratch, parts: PartsAtHand<'_, '_>, record: &impl Record) -> bool {
        match self.reading {
            Reading::Record(Source::Derived(Derived::FlowDirection)) => {
                self.passes_direction(scratch, parts, record)
            }
            Reading::Record(source) if source.is_list() => self.passes_list(source, scratch, parts, record),
            _ => self.passes_part(scratch, parts),
        }
    }

    /// Whether any condition holds of an item, where none looks at the record.
    pub fn passes_part(&self, scratch: &Scratch, parts: PartsAtHand<'_, '_>) -> bool {
        let text = self.reading.text(scratch, parts);
        let mut any = self.any.iter();
        any.any(|predicate| predicate.holds(text, scratch, parts))
    }

    /// One of the reports passes that the record stands for.
    fn passes_direction(&self, scratch: &Scratch, parts: PartsAtHand<'_, '_>, record: &impl Record) -> bool {
        let directions = direction::directions(record);
        let one = |direction: Option<u8>| {
            let digit = direction.map(|direction| [b'0' + direction]);
            let text = digit.as_ref().map(<[u8; 1]>::as_slice);
            self.any
                .iter()
                .any(|predicate| predicate.holds(text, scratch, parts))
        };
        one(directions.map(|directions| directions.own))
            || directions
                .and_then(|directions| directions.other)
                .is_some_and(|other| one(Some(other)))
    }

    /// The list as a whole, as it would be shown, or one of its items.
    fn passes_list(
        &self,
        source: Source,
        scratch: &Scratch,
        parts: PartsAtHand<'_, '_>,
        record: &impl Record,
    ) -> bool {
        let list = source.parts(record);
        let whole = scratch.text(source);
        self.any.iter().any(|predicate| {
            let mut items = list.as_slice().iter().filter_map(|part| part.text(None));
            let mut item = |text: &str| predicate.holds(Some(text.as_bytes()), scratch, parts);
            if predicate.is_negative() {
                predicate.holds(whole, scratch, parts) && items.all(&mut item)
            } else {
                predicate.holds(whole, scratch, parts) || items.any(&mut item)
            }
        })
    }
}
