//! What flows are grouped by: as the engine counts it, in small numbers, and as
//! people read it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, StringViewArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, TimestampMicrosecondType, UInt8Type, UInt32Type, UInt64Type};
use datafusion_common::Result as Done;
use datafusion_expr::{Expr, Operator, binary_expr, col};
use weir_api::fields::{Column, Mirror, Side};
use weir_flow::protocol_name;
use weir_store::schema::{DST_ID, SRC_ID};

use crate::QueryError;
use crate::bucket::Buckets;
use crate::filter::{find_column, nearest_field};
use crate::function::call;
use crate::group_key::{GroupKey, are_symmetric};
use crate::identity_table::{Groups, IdentityTable};
use crate::lower::{PROTO, PROTOCOL, every, other_side, other_sides, time_type};
use crate::shift::Shift;

/// When a record arrived; the start of a bucket.
pub(crate) const TIME: Column = Column::of("time");

/// One number that flows are grouped by, as the engine has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// The start of the bucket of time.
    Bucket,
    /// The groups of both identities: the source's in the upper half.
    Identities,
    /// A field of the flow itself.
    Field(GroupKey),
}

/// What flows are grouped by.
pub(crate) struct Keys {
    /// As they were asked for, each once.
    asked: Vec<GroupKey>,
    /// In the order of the engine's columns: the bucket, the identities, then fields in
    /// the order of the table, so that nothing depends on how the question was put.
    keys: Vec<Key>,
    /// Groups of identities, source and destination.
    sides: [Option<Groups>; 2],
    buckets: Option<Buckets>,
    /// Where in the buckets a row is counted.
    shift: Shift,
}

/// The columns of these names, each once.
pub(crate) fn columns(names: &[String]) -> Result<Vec<Column>, QueryError> {
    let find = |name: &String| {
        find_column(name).ok_or_else(|| QueryError::UnknownField {
            name: name.clone(),
            nearest: nearest_field(name),
        })
    };
    let mut columns = Vec::new();
    for name in names {
        let column = find(name)?;
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    Ok(columns)
}

impl Keys {
    /// By these keys, of rows that are counted so in the buckets.
    pub(crate) fn new(
        asked: Vec<GroupKey>,
        who: &IdentityTable,
        buckets: Option<Buckets>,
        shift: Shift,
    ) -> Done<Self> {
        let mut ordered = asked.clone();
        ordered.sort_unstable();
        let of_identity = |key: &GroupKey| key.column.field().identity;
        let groups = |side| {
            let its = ordered
                .iter()
                .filter(|key| of_identity(key) && key.column.side() == side);
            let its: Vec<Column> = its.map(|key| key.column).collect();
            (!its.is_empty()).then(|| who.groups(&its)).transpose()
        };
        let sides = [groups(Side::Src)?, groups(Side::Dst)?];
        let fields = ordered.iter().filter(|key| !of_identity(key));
        let keys = (buckets.as_ref().map(|_| Key::Bucket).into_iter())
            .chain(sides.iter().any(Option::is_some).then_some(Key::Identities))
            .chain(fields.map(|key| Key::Field(*key)));
        Ok(Self {
            keys: keys.collect(),
            asked,
            sides,
            buckets,
            shift,
        })
    }

    /// How many columns the keys take.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The first of them is the bucket.
    pub(crate) fn has_buckets(&self) -> bool {
        self.buckets.is_some()
    }

    /// The names of their columns in the plan.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        (0..self.keys.len()).map(|at| format!("k{at}"))
    }

    /// The keys of a row; of the flow looked at from its other end when `mirrored`.
    pub(crate) fn expressions(&self, mirrored: bool) -> Vec<Expr> {
        let (src, dst) = match mirrored {
            true => (DST_ID, SRC_ID),
            false => (SRC_ID, DST_ID),
        };
        let key = |key: &Key| match *key {
            Key::Bucket => self.bucket(),
            Key::Identities => self.identities(src, dst),
            Key::Field(key) if !mirrored => key.expression(),
            Key::Field(key) if key.column.field().mirror == Mirror::Value => {
                other_side(key.column, key.expression())
            }
            Key::Field(key) => key.mirrored().expression(),
        };
        self.keys.iter().map(key).collect()
    }

    /// The row is in the same group from both its ends.
    pub(crate) fn is_own_mirror(&self) -> Expr {
        let pairs = self.expressions(false).into_iter().zip(self.expressions(true));
        let same = |(key, image): (Expr, Expr)| binary_expr(key, Operator::IsNotDistinctFrom, image);
        every(pairs.map(same).collect())
    }

    fn bucket(&self) -> Expr {
        let (buckets, shift) = (self.buckets.clone(), self.shift.clone());
        call("bucket", time_type(), vec![col("time")], move |args| {
            let times = args[0].as_primitive::<TimestampMicrosecondType>().values().iter();
            let start = |time: &i64| shift.start(*time, buckets.as_ref());
            let starts = TimestampMicrosecondArray::from_iter_values(times.map(start));
            Ok(Arc::new(starts.with_timezone("UTC")) as ArrayRef)
        })
    }

    /// Both groups in one number: grouping by one number is what the engine is best at.
    fn identities(&self, src: &str, dst: &str) -> Expr {
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

    /// What is a key from one end is one from the other, too: each group has a mirror
    /// image, which may be itself.
    pub(crate) fn are_symmetric(&self) -> bool {
        are_symmetric(&self.asked)
    }

    /// The keys of the mirror image of each group.
    pub(crate) fn mirrored(&self, keys: &[ArrayRef]) -> Vec<ArrayRef> {
        let image = |(key, values): (&Key, &ArrayRef)| match *key {
            Key::Bucket => Arc::clone(values),
            Key::Identities => {
                let pairs = values.as_primitive::<UInt64Type>().values().iter();
                let swapped = pairs.map(|pair| pair.rotate_left(32));
                Arc::new(UInt64Array::from_iter_values(swapped)) as ArrayRef
            }
            Key::Field(key) if key.column.field().mirror == Mirror::Value => other_sides(values),
            Key::Field(key) => {
                let at = self.position(Key::Field(key.mirrored()));
                Arc::clone(at.map_or(values, |at| &keys[at]))
            }
        };
        self.keys.iter().zip(keys).map(image).collect()
    }

    fn position(&self, key: Key) -> Option<usize> {
        self.keys.iter().position(|its| *its == key)
    }

    /// Names and values as people read them, in the order that was asked for;
    /// the bucket's start is `time`.
    pub(crate) fn read(&self, keys: &[ArrayRef]) -> Done<Vec<(String, ArrayRef)>> {
        let values = |key| self.position(key).map(|at| &keys[at]);
        let mut read = Vec::new();
        if let Some(time) = values(Key::Bucket) {
            read.push((TIME.name().to_owned(), Arc::clone(time)));
        }
        for &key in &self.asked {
            let shown = if key.column.field().identity {
                self.names_of(key.column, values(Key::Identities))?
            } else {
                values(Key::Field(key)).map(|values| key.shown(values))
            };
            read.extend(shown.map(|values| (key.name(), values)));
        }
        Ok(read)
    }

    /// The places of what [`Self::read`] gives beside the bucket, in an order that does not
    /// depend on how the question was put.
    pub(crate) fn ordered(&self) -> Vec<usize> {
        let first = usize::from(self.has_buckets());
        let mut places: Vec<usize> = (first..first + self.asked.len()).collect();
        places.sort_unstable_by_key(|place| self.asked[place - first]);
        places
    }

    /// What a field of an identity says, by group.
    fn names_of(&self, column: Column, pairs: Option<&ArrayRef>) -> Done<Option<ArrayRef>> {
        let (side, shift) = match column.side() {
            Side::Dst => (&self.sides[1], 0),
            Side::Src | Side::Flow => (&self.sides[0], 32),
        };
        let names = side.as_ref().and_then(|groups| groups.names(column));
        let (Some(names), Some(pairs)) = (names, pairs) else {
            return Ok(None);
        };
        let numbers = pairs.as_primitive::<UInt64Type>().values().iter();
        let numbers = UInt32Array::from_iter_values(numbers.map(|pair| (pair >> shift) as u32));
        Ok(Some(take(names, &numbers, None)?))
    }
}

impl GroupKey {
    /// What is stored of it.
    fn expression(self) -> Expr {
        let stored = stored(self.column);
        match self.prefix {
            Some(prefix) => prefix.networks(stored, &self.name()),
            None => stored,
        }
    }

    /// Its values as people read them.
    fn shown(self, values: &ArrayRef) -> ArrayRef {
        match self.prefix {
            Some(prefix) => prefix.written(values),
            None => known_text(self.column, Arc::clone(values)),
        }
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
pub(crate) fn stored(column: Column) -> Expr {
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
