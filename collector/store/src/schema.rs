//! What is stored: the columns of facts, identities and rollups, made from the
//! field table. Nothing else in the store names a type of a column.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use weir_api::fields::{Column, FieldKind, Side};

use crate::name::Tier;

/// The column of facts that says who the source is: an [`ID`] of the identities.
pub const SRC_ID: &str = "src_id";
/// The column of facts that says who the destination is.
pub const DST_ID: &str = "dst_id";
/// The number of an identity; 0 is nobody.
pub const ID: &str = "id";
/// The column of rollups that counts the records that went into a row.
pub const FLOWS: &str = "flows";

/// The bit of a stored `tcp_flags` that says `TcpFlags::of_one_packet`.
pub const OF_ONE_PACKET: u16 = 1 << 15;

/// The columns that a rollup's row is about, beside its bucket's start in `time`
/// and [`SRC_ID`] and [`DST_ID`].
pub const ROLLUP_KEYS: [Column; 8] = [
    Column::of("proto"),
    Column::of("direction"),
    Column::of("exporter_node"),
    Column::of("verdict"),
    Column::of("server"),
    Column::of("policy_verdict"),
    Column::of("ingress_policy"),
    Column::of("egress_policy"),
];

/// The columns that a rollup's row has the sums of, beside [`FLOWS`].
pub const ROLLUP_SUMS: [Column; 5] = [
    Column::of("bytes"),
    Column::of("packets"),
    Column::of("l2_bytes"),
    Column::of("dropped_packets"),
    Column::of("dropped_bytes"),
];

/// Of edges: bytes, packets and records that the server answered with (RFC 5103).
pub const REVERSE: [&str; 3] = ["reverse_bytes", "reverse_packets", "reverse_flows"];
/// Of edges: TCP connections that were opened; absent where no record had flags.
pub const CONNECTIONS: &str = "connections";
/// Of edges: the seconds of the hour in which the first and the last record came.
pub const SEEN: [&str; 2] = ["first_second", "last_second"];
/// Of edges: the bits of `Evidence`.
pub const EVIDENCE: &str = "evidence";

const PROTOCOL: Column = Column::of("protocol");
const TIME: Column = Column::of("time");

/// The type that a column of facts is stored as; `None`: it is not. Those of
/// identities are in [`identities`], and `protocol` follows from `proto`.
pub fn fact(column: Column) -> Option<DataType> {
    if column.field().identity || column == PROTOCOL {
        return None;
    }
    Some(stored(column.kind()))
}

/// The type that values of a kind are stored as.
fn stored(kind: FieldKind) -> DataType {
    match kind {
        // A map as JSON.
        FieldKind::String | FieldKind::Enum | FieldKind::Map => DataType::Utf8View,
        FieldKind::EnumList => DataType::UInt16,
        FieldKind::Unsigned(8) => DataType::UInt8,
        FieldKind::Unsigned(16) => DataType::UInt16,
        FieldKind::Unsigned(32) => DataType::UInt32,
        FieldKind::Unsigned(_) => DataType::UInt64,
        FieldKind::Bool => DataType::Boolean,
        FieldKind::Address => DataType::FixedSizeBinary(16),
        FieldKind::Mac => DataType::FixedSizeBinary(6),
        FieldKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

static FACTS: LazyLock<SchemaRef> = LazyLock::new(|| {
    let own = Column::all().filter_map(|c| Some(Field::new(c.name(), fact(c)?, c != TIME)));
    Arc::new(Schema::new(own.chain(sides()).collect::<Vec<_>>()))
});

static IDENTITIES: LazyLock<SchemaRef> = LazyLock::new(|| {
    let id = Field::new(ID, DataType::UInt32, false);
    let columns = identity_columns().iter().map(|c| {
        let stored = stored(c.kind());
        let absent = stored != DataType::Utf8View;
        Field::new(c.name(), stored, absent)
    });
    Arc::new(Schema::new(
        std::iter::once(id).chain(columns).collect::<Vec<_>>(),
    ))
});

static IDENTITY_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    Column::all()
        .filter(|c| c.field().identity && c.side() == Side::Src)
        .collect()
});

static ROLLUP: LazyLock<SchemaRef> = LazyLock::new(|| {
    let time = std::iter::once(Field::new(
        TIME.name(),
        fact(TIME).unwrap_or(DataType::Null),
        false,
    ));
    let columns = ROLLUP_KEYS.into_iter().chain(ROLLUP_SUMS);
    let columns = columns.filter_map(|c| Some(Field::new(c.name(), fact(c)?, true)));
    let flows = std::iter::once(Field::new(FLOWS, DataType::UInt64, false));
    Arc::new(Schema::new(
        time.chain(sides())
            .chain(columns)
            .chain(flows)
            .collect::<Vec<_>>(),
    ))
});

static EDGES: LazyLock<SchemaRef> = LazyLock::new(|| {
    let of_facts = |name: &'static str, is_absent| {
        let kind = fact(Column::of(name)).unwrap_or(DataType::Null);
        Field::new(name, kind, is_absent)
    };
    let number = |name: &str, kind| Field::new(name, kind, false);
    let sums = ["bytes", "packets", FLOWS].into_iter().chain(REVERSE);
    let mut fields = vec![of_facts(TIME.name(), false)];
    fields.extend(sides());
    fields.extend(["proto", "dst_port"].map(|name| of_facts(name, true)));
    fields.extend(sums.map(|name| number(name, DataType::UInt64)));
    fields.push(Field::new(CONNECTIONS, DataType::UInt64, true));
    fields.extend(SEEN.map(|name| number(name, DataType::UInt16)));
    fields.push(number(EVIDENCE, DataType::UInt16));
    Arc::new(Schema::new(fields))
});

static RECORDS: LazyLock<SchemaRef> = LazyLock::new(|| {
    let columns = Column::all().filter(|column| *column != PROTOCOL);
    let fields = columns.map(|column| Field::new(column.name(), stored(column.kind()), column != TIME));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
});

/// Records with who is on their sides: the fields of the table under their own names, as
/// they are stored in facts and identities; but `protocol`, which follows from `proto`.
pub fn records() -> SchemaRef {
    Arc::clone(&RECORDS)
}

fn sides() -> [Field; 2] {
    [SRC_ID, DST_ID].map(|name| Field::new(name, DataType::UInt32, false))
}

/// Every column that a row of facts can have, in the order of the field table,
/// then [`SRC_ID`] and [`DST_ID`]. A segment leaves out those that have no value.
pub fn facts() -> SchemaRef {
    Arc::clone(&FACTS)
}

/// [`ID`], then [`identity_columns`]. Unknown strings are `""`.
pub fn identities() -> SchemaRef {
    Arc::clone(&IDENTITIES)
}

/// The fields of an identity, under the names of the source's side.
pub fn identity_columns() -> &'static [Column] {
    &IDENTITY_COLUMNS
}

/// `time` (the bucket's start), [`SRC_ID`], [`DST_ID`], [`ROLLUP_KEYS`],
/// [`ROLLUP_SUMS`] (absent where no record had the number), [`FLOWS`].
pub fn rollup() -> SchemaRef {
    Arc::clone(&ROLLUP)
}

/// `time` (the hour's start), [`SRC_ID`] (the client), [`DST_ID`] (the server), `proto`,
/// `dst_port` (the server's; absent where it is unknown); what the client sent: `bytes`,
/// `packets`, [`FLOWS`]; what came back: [`REVERSE`]; [`CONNECTIONS`], [`SEEN`], [`EVIDENCE`].
pub fn edges() -> SchemaRef {
    Arc::clone(&EDGES)
}

/// What the rows of a tier can have.
pub(crate) fn of_tier(tier: Tier) -> SchemaRef {
    match tier {
        Tier::Raw => facts(),
        Tier::Minute | Tier::Hour => rollup(),
        Tier::Edges => edges(),
    }
}

/// The batch with exactly the columns of `schema`: those that it lacks are
/// absent, those that the schema lacks are left out.
///
/// A column of another type stays what it is, and its field says so.
pub fn conform(batch: &RecordBatch, schema: &Schema) -> RecordBatch {
    let rows = batch.num_rows();
    let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
    for field in schema.fields() {
        let column = batch.column_by_name(field.name()).cloned();
        let column = column.unwrap_or_else(|| new_null_array(field.data_type(), rows));
        let nullable = field.is_nullable() || column.null_count() > 0;
        fields.push(Field::new(field.name(), column.data_type().clone(), nullable));
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .expect("the columns are as long as the batch and the fields were made from them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_have_no_identity_and_no_derived_column() {
        let facts = facts();
        for absent in ["ns", "dst_ns", "protocol", "pod_labels"] {
            assert!(facts.field_with_name(absent).is_err(), "{absent}");
        }
        for name in ["time", SRC_ID, DST_ID] {
            let field = facts.field_with_name(name).unwrap();
            assert!(!field.is_nullable(), "{name}");
        }
        let flags = facts.field_with_name("tcp_flags").unwrap();
        assert_eq!(flags.data_type(), &DataType::UInt16);
    }

    #[test]
    fn a_rollup_has_only_columns_that_are_stored() {
        let wanted = 1 + 2 + ROLLUP_KEYS.len() + ROLLUP_SUMS.len() + 1;
        assert_eq!(rollup().fields().len(), wanted);
        assert!(rollup().fields().iter().all(|f| f.data_type() != &DataType::Null));
    }

    #[test]
    fn identities_have_each_field_once() {
        assert_eq!(identities().fields().len(), 1 + identity_columns().len());
        assert!(identities().field_with_name("dst_ns").is_err());
        assert!(identities().field_with_name("node_addr").unwrap().is_nullable());
    }

    #[test]
    fn a_batch_conforms_to_a_schema_with_more_and_fewer_columns() {
        let ids: ArrayRef = Arc::new(arrow::array::UInt32Array::from(vec![1, 2]));
        let batch = RecordBatch::try_from_iter([("unknown", ids.clone()), (SRC_ID, ids)]).unwrap();
        let whole = conform(&batch, &facts());
        assert_eq!(
            (whole.num_rows(), whole.num_columns()),
            (2, facts().fields().len())
        );
        assert_eq!(whole.column_by_name("bytes").unwrap().null_count(), 2);
        assert_eq!(whole.column_by_name(SRC_ID).unwrap().null_count(), 0);
    }
}
