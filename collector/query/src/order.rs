//! Which records come first, and which groups are enough.

use std::fmt;
use std::str::FromStr;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::Quantity;
use crate::moment::written_as_text;

/// Which records come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Those that arrived last.
    #[default]
    Newest,
    /// Those that arrived first.
    Oldest,
    /// Those that have most; of these that have the same, those that arrived last. Such
    /// records have no pages.
    Largest(Quantity),
}

impl Order {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Newest, Self::Oldest]
            .into_iter()
            .chain(Quantity::ALL.map(Self::Largest))
    }

    /// Its name in requests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Largest(quantity) => quantity.as_str(),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Order {
    type Err = UnknownOrder;

    fn from_str(text: &str) -> Result<Self, UnknownOrder> {
        let found = Self::all().find(|order| order.as_str() == text);
        found.ok_or_else(|| UnknownOrder(text.to_owned()))
    }
}

/// Records are in no such order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "records are in no order {0:?}: there are newest, oldest, and the largest by bytes, packets, dropped_bytes, \
     dropped_packets or duration"
)]
pub struct UnknownOrder(String);

impl PartialSchema for Order {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::all().map(Self::as_str)))
            .description(Some("By arrival, or those first that have most of something"))
            .into()
    }
}

impl ToSchema for Order {}

/// So large a part of everything that the groups of an answer have together, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cover(u32);

/// All of it.
const WHOLE: u32 = 1_000_000;

impl Cover {
    /// So much of `total` is to be carried.
    pub(crate) fn of(self, total: u128) -> u128 {
        (total * u128::from(self.0)).div_ceil(u128::from(WHOLE))
    }
}

impl fmt::Display for Cover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / f64::from(WHOLE))
    }
}

impl FromStr for Cover {
    type Err = NoCover;

    fn from_str(text: &str) -> Result<Self, NoCover> {
        let wrong = || NoCover(text.to_owned());
        let (number, whole) = match text.strip_suffix('%') {
            Some(number) => (number, 100.0),
            None => (text, 1.0),
        };
        if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(wrong());
        }
        let part: f64 = number.trim().parse().map_err(|_| wrong())?;
        let millionths = (part / whole * f64::from(WHOLE)).round();
        match (1.0..=f64::from(WHOLE)).contains(&millionths) {
            true => Ok(Self(millionths as u32)),
            false => Err(wrong()),
        }
    }
}

/// This says no part of a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no part of a whole such as 0.99 or 99%")]
pub struct NoCover(String);

written_as_text!(Order, Cover);
crate::moment::text_in_documents!(Cover);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_whole_is_read_as_people_write_it() {
        for (text, shown) in [
            ("0.99", "0.99"),
            ("99%", "0.99"),
            ("1", "1"),
            ("100%", "1"),
            (".5", "0.5"),
        ] {
            assert_eq!(text.parse::<Cover>().unwrap().to_string(), shown, "{text}");
        }
        for wrong in ["", "0", "1.1", "101%", "-0.5", "x", "NaN", "inf", "1e-1", "%"] {
            assert!(wrong.parse::<Cover>().is_err(), "{wrong}");
        }
        assert_eq!("0.5".parse::<Cover>().unwrap().of(3), 2);
    }

    #[test]
    fn every_order_is_read_as_it_is_written() {
        for order in Order::all() {
            assert_eq!(order.as_str().parse(), Ok(order));
        }
        let wrong = "size".parse::<Order>().unwrap_err().to_string();
        assert!(wrong.contains("newest") && wrong.contains("duration"), "{wrong}");
    }
}
