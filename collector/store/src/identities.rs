//! The identities that rows point at, as a table. Owns how one is compared and
//! laid out; who gives out the numbers is [`crate::identity_ids`].

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryBuilder, RecordBatch, StringViewArray,
    StringViewBuilder, UInt32Array, new_null_array,
};
use arrow::compute::{concat_batches, filter_record_batch, interleave_record_batch};
use arrow::datatypes::{DataType, UInt32Type};
use weir_api::fields::{Column, Side};
use weir_flow::{Identity, Value};

use crate::rows::v6;
use crate::schema;

/// Identities by number. Number 0, nobody, is always there.
#[derive(Debug)]
pub struct Identities {
    batch: RecordBatch,
    /// The row of each number; of one that has none, that of nobody.
    rows: Arc<[u32]>,
}

static NOBODY: LazyLock<RecordBatch> = LazyLock::new(|| table_of(&[(0, Content::of(&Identity::default()))]));

impl Identities {
    /// The table, of the schema [`schema::identities`], in no order.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// The row of a number.
    pub fn row(&self, id: u32) -> Option<usize> {
        let row = *self.rows.get(usize::try_from(id).ok()?)?;
        (id == 0 || row != self.nobodys_row()).then_some(row as usize)
    }

    /// The row of each number up to [`Self::last`]; of one that has none, that of nobody.
    pub fn rows(&self) -> &Arc<[u32]> {
        &self.rows
    }

    fn nobodys_row(&self) -> u32 {
        self.rows.first().copied().unwrap_or_default()
    }

    /// The highest number that has a row.
    pub fn last(&self) -> u32 {
        self.rows.len().saturating_sub(1) as u32
    }

    /// Nobody alone.
    pub fn nobody() -> Arc<Self> {
        static NOBODY: LazyLock<Arc<Identities>> = LazyLock::new(|| Arc::new(Identities::of_tables(&[])));
        Arc::clone(&NOBODY)
    }

    /// Of tables that together have everybody whom some rows name.
    pub(crate) fn of_tables(tables: &[RecordBatch]) -> Self {
        // The first row is nobody's.
        let tables: Vec<_> = std::iter::once(&*NOBODY).chain(tables).cloned().collect();
        let batch = union(&tables);
        let ids = ids(&batch);
        let mut rows = vec![0; ids.iter().max().map_or(0, |last| *last as usize + 1)];
        for (row, &id) in ids.iter().enumerate() {
            rows[id as usize] = row as u32;
        }
        let rows = rows.into();
        Self { batch, rows }
    }
}

/// Each identity of these tables once, of the schema [`schema::identities`].
pub(crate) fn union(tables: &[RecordBatch]) -> RecordBatch {
    let mut seen = HashSet::with_capacity(tables.iter().map(RecordBatch::num_rows).sum());
    let mut rows = Vec::new();
    for (table, batch) in tables.iter().enumerate() {
        let fresh = ids(batch).iter().enumerate().filter(|(_, id)| seen.insert(**id));
        rows.extend(fresh.map(|(row, _)| (table, row)));
    }
    let tables: Vec<_> = tables.iter().collect();
    let union = interleave_record_batch(&tables, &rows).ok();
    union.unwrap_or_else(|| RecordBatch::new_empty(schema::identities()))
}

/// Tables that become one, each of which is let go when the next one comes: what is
/// in it already takes no room.
#[derive(Debug, Default)]
pub(crate) struct Union {
    seen: HashSet<u32>,
    fresh: Vec<RecordBatch>,
}

impl Union {
    /// How many identities there are.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Takes in those of a table that no earlier one had.
    pub fn add(&mut self, table: &RecordBatch) {
        let fresh: BooleanArray = ids(table).iter().map(|id| Some(self.seen.insert(*id))).collect();
        if fresh.true_count() == 0 {
            return;
        }
        let Ok(rows) = filter_record_batch(table, &fresh) else {
            return;
        };
        let columns = rows
            .columns()
            .iter()
            .map(|column| match column.as_string_view_opt() {
                // Its texts alone, not those of the whole table.
                Some(texts) => Arc::new(texts.gc()),
                None => Arc::clone(column),
            });
        let rows = RecordBatch::try_new(rows.schema(), columns.collect()).unwrap_or(rows);
        self.fresh.push(rows);
    }

    /// The table of all.
    pub fn finish(self) -> RecordBatch {
        let all = concat_batches(&schema::identities(), &self.fresh);
        all.unwrap_or_else(|_| RecordBatch::new_empty(schema::identities()))
    }
}

/// A table out of a file with exactly the columns of [`schema::identities`]: what it
/// lacks, or has of another type, is unknown.
pub(crate) fn conform(table: &RecordBatch) -> RecordBatch {
    let kinds = schema::identities();
    let columns = kinds.fields().iter().map(|field| {
        let found = table.column_by_name(field.name()).filter(|column| {
            column.data_type() == field.data_type() && (field.is_nullable() || column.null_count() == 0)
        });
        let unknown = || match field.is_nullable() {
            true => new_null_array(field.data_type(), table.num_rows()),
            false => Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(
                "",
                table.num_rows(),
            ))),
        };
        found.cloned().unwrap_or_else(unknown)
    });
    let conformed = RecordBatch::try_new(Arc::clone(&kinds), columns.collect());
    // A table without ids says nothing of anybody.
    conformed.unwrap_or_else(|_| RecordBatch::new_empty(kinds))
}

/// The numbers of a table of identities.
pub(crate) fn ids(batch: &RecordBatch) -> &[u32] {
    let column = batch.column_by_name(schema::ID);
    column
        .and_then(|c| c.as_primitive_opt::<UInt32Type>())
        .map_or(&[], |c| c.values())
}

/// The column of namespaces.
pub(crate) const NAMESPACE: &str = "ns";

/// The namespaces of a table, each once.
pub(crate) fn namespaces(batch: &RecordBatch) -> BTreeSet<&str> {
    let column = batch.column_by_name(NAMESPACE);
    let names = column.and_then(|column| column.as_string_view_opt());
    let names = names.into_iter().flatten().flatten();
    names.filter(|name| !name.is_empty()).collect()
}

/// The first number after those of a table.
pub(crate) fn next_id(batch: &RecordBatch) -> u32 {
    ids(batch).iter().max().map_or(0, |last| last.saturating_add(1))
}

/// The content of an identity: equal exactly when all fields are. Each field of
/// [`schema::identity_columns`] is its length in two bytes, then its bytes;
/// length 0 is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Content(Arc<[u8]>);

impl Content {
    pub fn of(identity: &Identity) -> Self {
        let mut cells = Cells::default();
        identity.visit(Side::Src, &mut |column: Column, value: Value<'_>| match value {
            Value::Text(text) => cells.set(column, text.as_bytes()),
            Value::Address(address) => cells.set(column, &v6(address)),
            Value::Map(_) => cells.set(column, &serde_json::to_vec(&value).unwrap_or_default()),
            // The table has no other kind of identity field; see the tests.
            _ => {}
        });
        cells.finish()
    }

    /// Of a row of a table; columns that it lacks are unknown.
    pub fn of_row(batch: &RecordBatch, row: usize) -> Self {
        IdentityColumns::of(batch, Side::Src).content(row)
    }

    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (cell, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            rest = after;
            Some(cell)
        })
    }
}

/// The columns of a table that say who is on one side of its rows.
pub(crate) struct IdentityColumns<'a>(Vec<(Column, &'a ArrayRef)>);

impl<'a> IdentityColumns<'a> {
    /// Of a table with the names of that side.
    pub fn of(table: &'a RecordBatch, side: Side) -> Self {
        let found = schema::identity_columns().iter().filter_map(|column| {
            let named = if side == Side::Dst {
                column.mirrored()
            } else {
                *column
            };
            Some((*column, table.column_by_name(named.name())?))
        });
        Self(found.collect())
    }

    /// Who is on that side of a row; columns that there are not are unknown.
    pub fn content(&self, row: usize) -> Content {
        let mut cells = Cells::default();
        for (column, values) in self.0.iter().filter(|(_, values)| values.is_valid(row)) {
            match values.data_type() {
                DataType::Utf8View => cells.set(*column, values.as_string_view().value(row).as_bytes()),
                DataType::FixedSizeBinary(_) => {
                    cells.set(*column, values.as_fixed_size_binary().value(row));
                }
                _ => {}
            }
        }
        cells.finish()
    }
}

/// A content that is being put together, in the order of the columns.
#[derive(Default)]
struct Cells {
    bytes: Vec<u8>,
    done: usize,
}

impl Cells {
    fn set(&mut self, column: Column, cell: &[u8]) {
        let columns = schema::identity_columns();
        while columns.get(self.done).is_some_and(|c| *c < column) {
            self.push(&[]);
        }
        if columns.get(self.done) == Some(&column) {
            self.push(cell);
        }
    }

    fn push(&mut self, cell: &[u8]) {
        // No name of Kubernetes comes near 64 KiB.
        let cell = if cell.len() > usize::from(u16::MAX) {
            &[]
        } else {
            cell
        };
        self.bytes.extend_from_slice(&(cell.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(cell);
        self.done += 1;
    }

    fn finish(mut self) -> Content {
        while self.done < schema::identity_columns().len() {
            self.push(&[]);
        }
        Content(self.bytes.into())
    }
}

/// The table of these identities.
pub(crate) fn table_of(named: &[(u32, Content)]) -> RecordBatch {
    table(named.iter().map(|(number, content)| (*number, content)))
}

/// The same of any that are at hand.
pub(crate) fn table<'a>(rows: impl Iterator<Item = (u32, &'a Content)> + Clone) -> RecordBatch {
    let ids: ArrayRef = Arc::new(UInt32Array::from_iter_values(rows.clone().map(|(id, _)| id)));
    let count = schema::identity_columns().len();
    let mut cells: Vec<Vec<&[u8]>> = vec![Vec::with_capacity(ids.len()); count];
    for (_, content) in rows {
        for (column, cell) in cells.iter_mut().zip(content.cells()) {
            column.push(cell);
        }
    }
    let kinds = schema::identities();
    let columns = kinds
        .fields()
        .iter()
        .skip(1)
        .zip(&cells)
        .map(|(field, cells)| match field.data_type() {
            DataType::FixedSizeBinary(width) => binaries(*width, cells),
            _ => texts(cells),
        });
    let columns = std::iter::once(ids).chain(columns).collect();
    RecordBatch::try_new(kinds, columns).expect("each column was made as its field says, with a cell a row")
}

fn texts(cells: &[&[u8]]) -> ArrayRef {
    let mut column = StringViewBuilder::with_capacity(cells.len()).with_deduplicate_strings();
    for cell in cells {
        column.append_value(str::from_utf8(cell).unwrap_or_default());
    }
    Arc::new(column.finish())
}

fn binaries(width: i32, cells: &[&[u8]]) -> ArrayRef {
    let mut column = FixedSizeBinaryBuilder::with_capacity(cells.len(), width);
    for cell in cells {
        if column.append_value(cell).is_err() {
            column.append_null();
        }
    }
    Arc::new(column.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            kind: weir_flow::Kind::Pod,
            name: "web-1".into(),
            ns: "shop".into(),
            node_addr: Some("10.0.0.1".parse().unwrap()),
            zone: "a".into(),
            labels: [("app".into(), "web \"1\"".into())].into(),
            subnet_label: "office, with a name longer than a view holds".into(),
            ..Identity::default()
        }
    }

    #[test]
    fn an_identity_is_the_same_after_a_way_through_a_table() {
        let content = Content::of(&identity());
        let table = table([(7, &content)].into_iter());
        assert_eq!(Content::of_row(&table, 0), content);
        let identities = Identities::of_tables(&[table]);
        assert_eq!(
            (identities.row(7), identities.row(6), identities.row(8)),
            (Some(1), None, None)
        );
        let text = |name: &str| {
            identities
                .batch()
                .column_by_name(name)
                .unwrap()
                .as_string_view()
                .value(identities.row(7).unwrap())
        };
        assert_eq!(
            (text("pod_name"), text("ns"), text("region")),
            ("web-1", "shop", "")
        );
        assert_eq!(text("pod_labels"), r#"{"app":"web \"1\""}"#);
        assert_eq!(text("subnet_label"), &*identity().subnet_label);
    }

    #[test]
    fn a_union_has_each_identity_once() {
        let contents: Vec<_> = ["a", "b", "c"]
            .map(|zone| {
                let zone = zone.into();
                Content::of(&Identity { zone, ..identity() })
            })
            .into();
        let of = |ids: &[u32]| table(ids.iter().map(|id| (*id, &contents[*id as usize])));
        let tables = [of(&[0, 1]), of(&[1]), of(&[2, 0])];
        let mut one = Union::default();
        tables.iter().for_each(|table| one.add(table));
        assert_eq!(one.len(), 3);
        assert_eq!(one.finish(), of(&[0, 1, 2]));
        assert_eq!(union(&tables), of(&[0, 1, 2]));
    }

    #[test]
    fn every_field_makes_a_difference() {
        let nobody = Content::of(&Identity::default());
        assert_eq!(nobody.0.len(), 2 * schema::identity_columns().len());
        let mut seen = 0;
        identity().visit(Side::Src, &mut |column: Column, value: Value<'_>| {
            assert!(
                matches!(value, Value::Text(_) | Value::Address(_) | Value::Map(_)),
                "{}",
                column.name()
            );
            assert!(schema::identity_columns().contains(&column), "{}", column.name());
            seen += 1;
        });
        assert_eq!(seen, schema::identity_columns().len());
        let moved = Identity {
            zone: "b".into(),
            ..identity()
        };
        assert_ne!(Content::of(&moved), Content::of(&identity()));
        let unlabelled = Identity {
            labels: [].into(),
            ..identity()
        };
        assert_ne!(Content::of(&unlabelled), Content::of(&identity()));
    }
}
