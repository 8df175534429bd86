//! What flows are grouped by: as the engine counts it, in small numbers, and as
//! people read it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, StringViewArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, TimestampMicrosecondType, UInt8Type, UInt32Type, UInt64Type};
use datafusion::error::Result as Done;
use datafusion::logical_expr::Expr;
use datafusion::prelude::col;
use weir_api::fields::{Column, Side};
use weir_flow::protocol_name;
use weir_store::schema::{DST_ID, SRC_ID};

use crate::QueryError;
use crate::filter::expr::other_side;
use crate::filter::{find_column, nearest_field};
use crate::function::call;
use crate::lower::{PROTO, PROTOCOL, time_type};
use crate::who::{Groups, Who};

/// The name of the column of both identities' groups.
const WHO: &str = "k_who";
/// The name of the column of the bucket.
pub(crate) const BUCKET: &str = "k_time";

/// What flows are grouped by.
pub(crate) struct Keys {
    columns: Vec<Column>,
    /// Groups of identities, source and destination.
    sides: [Option<Groups>; 2],
    own: Vec<Column>,
    bucket: Option<i64>,
}

/// The columns of these names.
pub(crate) fn columns(names: &[String]) -> Result<Vec<Column>, QueryError> {
    let find = |name: &String| {
        find_column(name).ok_or_else(|| QueryError::UnknownField {
            name: name.clone(),
            nearest: nearest_field(name),
        })
    };
    names.iter().map(find).collect()
}

impl Keys {
    pub(crate) fn new(columns: Vec<Column>, who: &Who, bucket: Option<i64>) -> Done<Self> {
        let of = |side| -> Vec<Column> {
            let its = columns.iter().filter(|c| c.field().identity && c.side() == side);
            its.copied().collect()
        };
        let groups = |side| match of(side) {
            none if none.is_empty() => Ok(None),
            its => who.groups(&its).map(Some),
        };
        Ok(Self {
            sides: [groups(Side::Src)?, groups(Side::Dst)?],
            own: columns.iter().filter(|c| !c.field().identity).copied().collect(),
            columns,
            bucket,
        })
    }

    fn names_who(&self) -> bool {
        self.sides.iter().any(Option::is_some)
    }

    /// The names of the columns of the keys, that of the bucket first.
    pub(crate) fn names(&self) -> Vec<String> {
        let bucket = self.bucket.map(|_| BUCKET.to_owned());
        let who = self.names_who().then(|| WHO.to_owned());
        let own = self.own.iter().map(|column| format!("k_{}", column.name()));
        bucket.into_iter().chain(who).chain(own).collect()
    }

    /// The keys of a row; of the row with its sides swapped when `mirrored`.
    pub(crate) fn expressions(&self, mirrored: bool) -> Vec<Expr> {
        let turn = |column| if mirrored { other_side(column) } else { column };
        let mut keys: Vec<Expr> = self.bucket.map(bucket).into_iter().collect();
        if self.names_who() {
            let (src, dst) = if mirrored {
                (DST_ID, SRC_ID)
            } else {
                (SRC_ID, DST_ID)
            };
            keys.push(self.who(src, dst));
        }
        keys.extend(self.own.iter().map(|column| stored(turn(*column))));
        let named = keys.into_iter().zip(self.names());
        named.map(|(key, name)| key.alias(name)).collect()
    }

    /// Both groups in one number: grouping by one number is what the engine is best at.
    fn who(&self, src: &str, dst: &str) -> Expr {
        let of = |side: &Option<Groups>| side.as_ref().map(|groups| Arc::clone(&groups.of));
        let name = "groups";
        match (of(&self.sides[0]), of(&self.sides[1])) {
            (Some(a), Some(b)) => call(name, DataType::UInt64, vec![col(src), col(dst)], move |args| {
                let (src, dst) = (
                    args[0].as_primitive::<UInt32Type>(),
                    args[1].as_primitive::<UInt32Type>(),
                );
                let pair = |(src, dst): (&u32, &u32)| {
                    u64::from(Groups::at(&a, *src)) << 32 | u64::from(Groups::at(&b, *dst))
                };
                let pairs = src.values().iter().zip(dst.values()).map(pair);
                Ok(Arc::new(UInt64Array::from_iter_values(pairs)) as ArrayRef)
            }),
            (Some(of), None) => one(name, src, of, 32),
            (None, Some(of)) => one(name, dst, of, 0),
            (None, None) => one(name, src, Arc::default(), 0),
        }
    }

    /// Each side's fields are the other side's too, so that a group has a mirror image.
    pub(crate) fn is_symmetric(&self) -> bool {
        let both = self.columns.iter().any(|column| column.side() != Side::Flow);
        let names = |side| -> Vec<&str> {
            let its = self.columns.iter().filter(|c| c.side() == side);
            its.map(|column| column.field().name).collect()
        };
        both && names(Side::Src) == names(Side::Dst)
    }

    /// The keys of the mirror image of each group, in the order of the keys.
    pub(crate) fn mirrored(&self, keys: &[ArrayRef]) -> Vec<ArrayRef> {
        let names = self.names();
        let of_column = |column: Column| {
            let name = format!("k_{}", column.name());
            names.iter().position(|its| *its == name)
        };
        let turned = names.iter().zip(keys).map(|(name, key)| {
            if name == WHO {
                let swapped = key.as_primitive::<UInt64Type>().values().iter();
                let swapped = swapped.map(|pair| pair.rotate_left(32));
                return Arc::new(UInt64Array::from_iter_values(swapped)) as ArrayRef;
            }
            let own = self
                .own
                .iter()
                .find(|column| *name == format!("k_{}", column.name()));
            let place = own.and_then(|column| of_column(other_side(*column)));
            Arc::clone(place.map_or(key, |place| &keys[place]))
        });
        turned.collect()
    }

    /// Names and values as people read them, in the order that was asked for;
    /// the bucket's start is `time`.
    pub(crate) fn read(&self, keys: &[ArrayRef]) -> Done<Vec<(String, ArrayRef)>> {
        let names = self.names();
        let key = |name: &str| names.iter().position(|its| its == name).map(|at| &keys[at]);
        let mut read = Vec::new();
        if let Some(time) = key(BUCKET) {
            read.push(("time".to_owned(), Arc::clone(time)));
        }
        let mut sides = [0, 0];
        for column in &self.columns {
            let values = if column.field().identity {
                let side = usize::from(column.side() == Side::Dst);
                let place = sides[side];
                sides[side] += 1;
                self.side_values(side, place, key(WHO))?
            } else {
                let stored = key(&format!("k_{}", column.name())).map(Arc::clone);
                stored.map(|values| known_text(*column, values))
            };
            read.extend(values.map(|values| (column.name().to_owned(), values)));
        }
        Ok(read)
    }

    fn side_values(&self, side: usize, place: usize, who: Option<&ArrayRef>) -> Done<Option<ArrayRef>> {
        let (Some(groups), Some(who)) = (&self.sides[side], who) else {
            return Ok(None);
        };
        let shift = if side == 0 { 32 } else { 0 };
        let numbers = who.as_primitive::<UInt64Type>().values().iter();
        let numbers = UInt32Array::from_iter_values(numbers.map(|pair| (pair >> shift) as u32));
        Ok(Some(take(&groups.names[place], &numbers, None)?))
    }
}

fn one(name: &str, id: &str, of: Arc<[u32]>, shift: u32) -> Expr {
    call(name, DataType::UInt64, vec![col(id)], move |args| {
        let ids = args[0].as_primitive::<UInt32Type>().values();
        let groups = ids.iter().map(|id| u64::from(Groups::at(&of, *id)) << shift);
        Ok(Arc::new(UInt64Array::from_iter_values(groups)) as ArrayRef)
    })
}

/// The column that is stored in place of this one.
fn stored(column: Column) -> Expr {
    if column == PROTOCOL {
        col(PROTO)
    } else {
        col(column.name())
    }
}

/// Protocols by name; text that is unknown is `""`.
pub(crate) fn known_text(column: Column, values: ArrayRef) -> ArrayRef {
    if column == PROTOCOL {
        let numbers = values.as_primitive::<UInt8Type>().iter();
        let name =
            |number: Option<u8>| Some(number.map_or_else(String::new, |n| protocol_name(n).into_owned()));
        return Arc::new(numbers.map(name).collect::<StringViewArray>());
    }
    if values.data_type() == &DataType::Utf8View && values.null_count() > 0 {
        let texts = values.as_string_view().iter();
        return Arc::new(
            texts
                .map(|text| Some(text.unwrap_or_default()))
                .collect::<StringViewArray>(),
        );
    }
    values
}

fn bucket(length: i64) -> Expr {
    call("bucket", time_type(), vec![col("time")], move |args| {
        let times = args[0].as_primitive::<TimestampMicrosecondType>().values().iter();
        let starts = times.map(|time| time.div_euclid(length).saturating_mul(length));
        let starts = TimestampMicrosecondArray::from_iter_values(starts);
        Ok(Arc::new(starts.with_timezone("UTC")) as ArrayRef)
    })
}
