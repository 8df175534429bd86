//! What answers look like in JSON; the CLI reads what the API writes.

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};
use weir_api::fields::{Column, FIELDS, Field, FieldKind};
use weir_query::{Explanation, Note, Stats, ValueCount};

/// One row: the names of its fields, and their values. What is not known is left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(pub serde_json::Map<String, serde_json::Value>);

/// Flow records.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct FlowsAnswer {
    /// Names of the fields that were asked for, in that order.
    pub columns: Vec<String>,
    /// One row a record.
    pub rows: Vec<Row>,
    /// Ask with this for the next page; none: that was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cursor: Option<String>,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
    /// What it cost; nothing is said of it to those who see some namespaces alone, since
    /// what was left out tells what others have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub stats: Option<Stats>,
}

/// Sums over groups.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct QueryAnswer {
    /// Names in the rows: `time` when there are buckets, the fields grouped by, the sums.
    pub columns: Vec<String>,
    /// One row a group (and bucket), ordered by time, then as asked.
    pub rows: Vec<Row>,
    /// Sums of all groups that are not in `rows`; empty when nothing was left out.
    pub other: Vec<Row>,
    /// Sums of everything.
    pub totals: Row,
    /// How many groups there are, those in `other` included.
    pub groups: usize,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
    /// What it cost; nothing is said of it to those who see some namespaces alone, since
    /// what was left out tells what others have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub stats: Option<Stats>,
}

/// Who called whom: a row for each pair of client and server, and for each port where that
/// was asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct MatrixAnswer {
    /// Names in the rows: who the client is under the names of the source's side, the server
    /// under those of the destination's; `bytes`, `packets` and `flows` that the client sent,
    /// `reverse_bytes`, `reverse_packets` and `reverse_flows` that came back; `connections`
    /// (TCP, absent where no record has flags), `first_seen`, `last_seen`; `strength`, how sure
    /// it is of most of the records who the client is: `proven`, `likely`, `weak`, or `unknown`
    /// of ends that stand in no order; `weak_flows`, of how many it is weak; `evidence`, all
    /// that this rests on. With `policies=true` also what policies say: see there.
    pub columns: Vec<String>,
    /// Those with most bytes first.
    pub rows: Vec<Row>,
    /// How many rows there are, those that were left out included.
    pub edges: usize,
    /// The whole hours that it is of: the start of the first.
    pub since: String,
    /// The end of the last.
    pub until: String,
    /// What one should know about the answer.
    pub notes: Vec<Note>,
}

/// What `query` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum QueryReply {
    /// Sums.
    Answer(QueryAnswer),
    /// With `explain=true`: how they were made.
    Explanation(Explanation),
}

/// Rows as an Arrow IPC stream, for the document alone.
#[derive(Debug)]
pub struct ArrowStream;

impl PartialSchema for ArrowStream {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .content_media_type("application/vnd.apache.arrow.stream")
            .description(Some("An Arrow IPC stream: a schema, then batches of records"))
            .into()
    }
}

impl ToSchema for ArrowStream {}

/// Rows as a Parquet file, for the document alone.
#[derive(Debug)]
pub struct ParquetFile;

impl PartialSchema for ParquetFile {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .content_media_type("application/vnd.apache.parquet")
            .description(Some("A Parquet file"))
            .into()
    }
}

impl ToSchema for ParquetFile {}

/// Values that a field takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValuesAnswer {
    /// Name of the field.
    pub field: String,
    /// The values, the most frequent first.
    pub values: Vec<ValueCount>,
}

/// The fields that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldsAnswer {
    /// In the order of records.
    pub fields: Vec<FieldAnswer>,
}

/// One field, or a pair of them: one for each side of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldAnswer {
    /// Name; of the source side where there are two.
    pub name: String,
    /// Name of the destination side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub dst_name: Option<String>,
    /// Type of its values, as the filter language sees it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Unit, or the values that it takes.
    pub unit: String,
    /// What it says.
    pub description: String,
    /// It follows from who stands on that side.
    pub identity: bool,
    /// Something fills it; otherwise it is empty in every record.
    pub filled: bool,
    /// NetObserv's name.
    pub netobserv: String,
    /// IPFIX information element.
    pub ipfix: String,
}

impl FieldsAnswer {
    /// All of the field table.
    pub fn all() -> Self {
        Self {
            fields: FIELDS.iter().map(FieldAnswer::from).collect(),
        }
    }
}

impl From<&Field> for FieldAnswer {
    fn from(field: &Field) -> Self {
        Self {
            name: field.name.to_owned(),
            dst_name: field.dst_name.map(str::to_owned),
            kind: kind_name(field.kind).to_owned(),
            unit: field.unit.to_owned(),
            description: field.description.to_owned(),
            identity: field.identity,
            filled: field.filled,
            netobserv: field.netobserv.to_owned(),
            ipfix: field.ie.to_owned(),
        }
    }
}

/// The word for a kind of values.
pub const fn kind_name(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::String | FieldKind::Enum => "text",
        FieldKind::EnumList => "list of text",
        FieldKind::Map => "map",
        FieldKind::Unsigned(_) => "number",
        FieldKind::Bool => "bool",
        FieldKind::Address => "address",
        FieldKind::Mac => "mac",
        FieldKind::Timestamp => "time",
    }
}

/// Every field of the table with its type; sums and rates may stand beside them.
impl PartialSchema for Row {
    fn schema() -> RefOr<Schema> {
        let rest = AdditionalProperties::FreeForm(true);
        let row = ObjectBuilder::new().additional_properties(Some(rest));
        Column::all()
            .fold(row, |row, column| {
                row.property(column.name(), value(column.kind()))
            })
            .description(Some("Fields and sums by name; what is not known is left out"))
            .into()
    }
}

impl ToSchema for Row {}

fn value(kind: FieldKind) -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    match kind {
        FieldKind::String | FieldKind::Enum | FieldKind::Address | FieldKind::Mac => text().into(),
        FieldKind::Timestamp => text()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into(),
        FieldKind::EnumList => ArrayBuilder::new().items(text()).into(),
        FieldKind::Unsigned(_) => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(utoipa::Number::UInt(0)))
            .into(),
        FieldKind::Bool => ObjectBuilder::new().schema_type(Type::Boolean).into(),
        FieldKind::Map => Object::new().into(),
    }
}
