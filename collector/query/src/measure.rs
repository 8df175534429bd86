//! Measures: what is said of a group of flows, by name.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use weir_api::fields::{Column, Side};

use crate::aggregation::Aggregate;
use crate::filter::{find_column, nearest_field};
use crate::moment::written_as_text;

/// What is said of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Measure {
    /// Bytes of layer 3.
    #[default]
    Bytes,
    /// Packets.
    Packets,
    /// Records.
    Flows,
    /// Packets that were dropped for certain.
    DroppedPackets,
    /// Bytes in them.
    DroppedBytes,
    /// Bytes a second, of the range or the bucket.
    ByteRate,
    /// Packets a second, of the range or the bucket.
    PacketRate,
    /// Bytes that the group's own side sent.
    Sent,
    /// Bytes that the group's own side received.
    Received,
    /// Bytes a second of the minute that had most.
    MaxByteRate,
    /// When the first record arrived at the collector.
    FirstSeen,
    /// When the last one did.
    LastSeen,
    /// Which part of all the group has of what is ordered by: from 0 to 1.
    Share,
    /// The smallest of a record.
    Min(Quantity),
    /// The largest of a record.
    Max(Quantity),
    /// The average of the records that have it.
    Avg(Quantity),
    /// The smallest that so large a part of the records does not exceed.
    Percentile(Percentile, Quantity),
    /// How many values a field takes; what is unknown is none.
    Distinct(Column),
}

/// What a record has so much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// Bytes of layer 3.
    Bytes,
    /// Packets.
    Packets,
    /// Bytes that were dropped for certain.
    DroppedBytes,
    /// Packets that were dropped for certain.
    DroppedPackets,
    /// From the first packet to the last one; seconds in answers.
    Duration,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Bytes,
        Self::Packets,
        Self::DroppedBytes,
        Self::DroppedPackets,
        Self::Duration,
    ];

    /// Its name in questions and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Packets => "packets",
            Self::DroppedBytes => "dropped_bytes",
            Self::DroppedPackets => "dropped_packets",
            Self::Duration => "duration",
        }
    }

    /// The quantity of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|quantity| quantity.as_str() == name)
    }
}

/// A part of a hundred, in tenths: from 0.1 to 99.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Percentile(u16);

impl Percentile {
    /// `95`, `99.9`.
    fn parse(text: &str) -> Option<Self> {
        let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str, most| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(whole, 2) || !is_number(tenth, 1) || (whole.len() == 2 && whole.starts_with('0')) {
            return None;
        }
        let tenths = whole.parse::<u16>().ok()? * 10 + tenth.parse::<u16>().ok()?;
        (tenths > 0).then_some(Self(tenths))
    }

    /// The place in the order of so many values, from 1: that of the smallest value which
    /// this part of them does not exceed.
    pub(crate) fn rank(self, values: u64) -> u64 {
        let rank = (u128::from(values) * u128::from(self.0)).div_ceil(1_000);
        rank.try_into().unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 10 {
            0 => write!(f, "{}", self.0 / 10),
            tenth => write!(f, "{}.{tenth}", self.0 / 10),
        }
    }
}

/// Those whose name is one word for all.
const PLAIN: [(&str, Measure); 13] = [
    ("bytes", Measure::Bytes),
    ("packets", Measure::Packets),
    ("flows", Measure::Flows),
    ("dropped_packets", Measure::DroppedPackets),
    ("dropped_bytes", Measure::DroppedBytes),
    ("byte_rate", Measure::ByteRate),
    ("packet_rate", Measure::PacketRate),
    ("sent", Measure::Sent),
    ("received", Measure::Received),
    ("max_byte_rate", Measure::MaxByteRate),
    ("first_seen", Measure::FirstSeen),
    ("last_seen", Measure::LastSeen),
    ("share", Measure::Share),
];

impl Measure {
    /// All names, the percentiles that people ask for among them; what is distinct last.
    pub fn all() -> impl Iterator<Item = Self> {
        let percentiles = [500, 900, 950, 990].map(Percentile);
        let of = move |quantity| {
            let percentiles = percentiles.map(|part| Self::Percentile(part, quantity));
            [Self::Min(quantity), Self::Max(quantity), Self::Avg(quantity)]
                .into_iter()
                .chain(percentiles)
        };
        let plain = PLAIN.into_iter().map(|(_, measure)| measure);
        plain
            .chain(Quantity::ALL.into_iter().flat_map(of))
            .chain(Column::all().map(Self::Distinct))
    }

    /// Its name in questions and answers.
    pub fn name(self) -> Cow<'static, str> {
        let named = PLAIN.into_iter().find(|(_, measure)| *measure == self);
        match (named, self) {
            (Some((name, _)), _) => name.into(),
            (None, Self::Min(of)) => format!("min_{}", of.as_str()).into(),
            (None, Self::Max(of)) => format!("max_{}", of.as_str()).into(),
            (None, Self::Avg(of)) => format!("avg_{}", of.as_str()).into(),
            (None, Self::Percentile(part, of)) => format!("p{part}_{}", of.as_str()).into(),
            (None, Self::Distinct(column)) => format!("distinct_{}", column.name()).into(),
            (None, _) => unreachable!("every other measure is in the table"),
        }
    }

    /// What kind of values it has.
    pub const fn unit(self) -> Unit {
        match self {
            Self::FirstSeen | Self::LastSeen => Unit::Time,
            Self::Share => Unit::Part,
            Self::Min(Quantity::Duration)
            | Self::Max(Quantity::Duration)
            | Self::Avg(Quantity::Duration)
            | Self::Percentile(_, Quantity::Duration) => Unit::Seconds,
            _ => Unit::Number,
        }
    }

    /// It tells one direction from the other.
    pub(crate) const fn has_direction(self) -> bool {
        matches!(self, Self::Sent | Self::Received)
    }

    /// Groups that have no flow in common have the sum of it together.
    pub(crate) fn adds_up(self) -> bool {
        Aggregate::of_sum(self).is_some()
    }
}

/// What kind of values a measure has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// So many.
    Number,
    /// Seconds.
    Seconds,
    /// A part of the whole, from 0 to 1.
    Part,
    /// A point in time.
    Time,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl FromStr for Measure {
    type Err = UnknownMeasure;

    fn from_str(text: &str) -> Result<Self, UnknownMeasure> {
        if let Some((_, measure)) = PLAIN.into_iter().find(|(name, _)| *name == text) {
            return Ok(measure);
        }
        let Some((kind, of)) = text.split_once('_') else {
            return Err(UnknownMeasure::Name(text.to_owned()));
        };
        if kind == "distinct" {
            let column = find_column(of).ok_or_else(|| UnknownMeasure::Field {
                measure: text.to_owned(),
                nearest: nearest_field(of),
            });
            return column.map(Self::Distinct);
        }
        let part = kind.strip_prefix('p').and_then(Percentile::parse);
        let measure = Quantity::find(of).and_then(|of| match (kind, part) {
            ("min", _) => Some(Self::Min(of)),
            ("max", _) => Some(Self::Max(of)),
            ("avg", _) => Some(Self::Avg(of)),
            (_, Some(part)) => Some(Self::Percentile(part, of)),
            _ => None,
        });
        measure.ok_or_else(|| UnknownMeasure::Name(text.to_owned()))
    }
}

/// No measure has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownMeasure {
    /// None at all.
    #[error(
        "no measure is named {0:?}: there are bytes, packets, flows, dropped_packets, dropped_bytes, byte_rate, \
         packet_rate, max_byte_rate, sent, received, first_seen, last_seen, share; min_, max_, avg_ and \
         percentiles such as p95_ of bytes, packets, dropped_bytes, dropped_packets and duration; and distinct_ of \
         a field, such as distinct_dst_addr"
    )]
    Name(String),
    /// There is no such field to count the values of.
    #[error("{measure}: distinct_ stands before the name of a field{}", crate::error::meant(nearest.as_deref()))]
    Field {
        /// The measure.
        measure: String,
        /// The nearest field.
        nearest: Option<String>,
    },
}

written_as_text!(Measure);

impl PartialSchema for Measure {
    fn schema() -> RefOr<Schema> {
        let plain = PLAIN.map(|(name, _)| name).join("|");
        let quantities = Quantity::ALL.map(Quantity::as_str).join("|");
        let percentile = "p([1-9][0-9]?([.][0-9])?|0[.][1-9])";
        let fields = names_in_questions(|_| true).join("|");
        let pattern = format!("^({plain}|(min|max|avg|{percentile})_({quantities})|distinct_({fields}))$");
        let says = "What is said of a group: sums, and of records the smallest (min_), the largest (max_), the average \
                    (avg_) and percentiles (p50_, p99.9_) of a quantity; how many values a field takes (distinct_)";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(pattern))
            .description(Some(says))
            .examples(["bytes", "max_byte_rate", "p95_duration", "distinct_dst_addr"])
            .into()
    }
}

impl ToSchema for Measure {}

/// The names by which questions know the columns that `which` picks, for documents: those of
/// the source's side with `src_` before them, too.
pub(crate) fn names_in_questions(which: impl Fn(Column) -> bool) -> Vec<String> {
    let named = Column::all().filter(|column| which(*column)).flat_map(|column| {
        let src = (column.side() == Side::Src).then(|| format!("src_{}", column.name()));
        [column.name().to_owned()].into_iter().chain(src)
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    #[test]
    fn every_measure_is_read_as_it_is_written() {
        for measure in Measure::all() {
            assert_eq!(measure.to_string().parse(), Ok(measure), "{measure}");
        }
        let measures: Vec<Measure> = Measure::all().collect();
        let names: std::collections::HashSet<_> = measures.iter().map(|m| m.name()).collect();
        assert_eq!(names.len(), measures.len());
        for name in ["p99.9_bytes", "p1_duration", "p0.1_packets", "distinct_dst_addr"] {
            assert_eq!(name.parse::<Measure>().unwrap().name(), name);
        }
        // As everywhere, `src_` may stand before a field of the source.
        assert_eq!(
            "distinct_src_addr".parse(),
            Ok(Measure::Distinct(Column::of("addr")))
        );
    }

    #[test]
    fn a_measure_that_there_is_not_is_refused_with_what_there_is() {
        for wrong in [
            "",
            "octets",
            "p100_bytes",
            "p0_bytes",
            "p_bytes",
            "p95_ttl",
            "p9.95_bytes",
            "p05_bytes",
            "p+5_bytes",
            "sum_bytes",
            "min_",
            "p95",
        ] {
            let error = wrong.parse::<Measure>().unwrap_err().to_string();
            assert!(
                error.contains("max_byte_rate") && error.contains("distinct_"),
                "{error}"
            );
        }
        let error = "distinct_dst_adr".parse::<Measure>().unwrap_err().to_string();
        assert_eq!(
            error,
            "distinct_dst_adr: distinct_ stands before the name of a field; did you mean \"dst_addr\"?"
        );
    }

    /// Names that are nearly right, or right.
    fn nearly_measures() -> impl Strategy<Value = String> {
        let parts = [
            "bytes",
            "packets",
            "duration",
            "share",
            "min",
            "max",
            "avg",
            "p",
            "0",
            "9",
            "5",
            ".",
            "_",
            "distinct",
            "dst_addr",
            "src_",
            "addr",
            "ns",
            "time",
            "dst_",
            "first_seen",
            "x",
        ];
        let built = proptest::collection::vec(proptest::sample::select(parts.to_vec()), 1..6);
        let measures: Vec<String> = Measure::all().map(|measure| measure.to_string()).collect();
        let changed = (proptest::sample::select(measures), 0..40_usize, "[a-z0-9_.]{0,2}").prop_map(
            |(name, at, put)| {
                let at = at.min(name.len());
                format!("{}{put}{}", &name[..at], &name[at..])
            },
        );
        let percentile = "p[0-9]{1,3}([.][0-9]{0,2})?_(bytes|duration|ttl)";
        prop_oneof![built.prop_map(|parts| parts.concat()), changed, percentile]
    }

    proptest! {
        #[test]
        fn the_document_has_a_pattern_for_what_is_read_as_a_measure_and_nothing_else(name in nearly_measures()) {
            let pattern = Regex::new(&crate::moment::tests::pattern::<Measure>()).unwrap();
            prop_assert_eq!(pattern.is_match(&name), name.parse::<Measure>().is_ok(), "{}", name);
        }
    }

    #[test]
    fn a_percentile_is_the_smallest_value_that_so_many_do_not_exceed() {
        let part = |text| Percentile::parse(text).unwrap();
        for (text, values, rank) in [
            ("50", 1, 1),
            ("50", 2, 1),
            ("50", 3, 2),
            ("95", 100, 95),
            ("99.9", 100, 100),
            ("0.1", 1, 1),
            ("1", u64::MAX, u64::MAX / 100 + 1),
        ] {
            assert_eq!(part(text).rank(values), rank, "p{text} of {values}");
        }
    }
}
