//! Rows in the order of a segment: by source, destination, protocol, port, time. They
//! stay where they are until they are taken, a row group at a time: a segment's worth
//! of copies would want as much memory again.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, NullBufferBuilder, RecordBatch,
    new_null_array,
};
use arrow::compute::interleave;
use arrow::datatypes::{
    DataType, Field, Schema, SchemaRef, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type,
};

use crate::schema::{DST_ID, SRC_ID};

/// The place of a row: its batch, and its row there.
type Place = (usize, usize);

/// Rows of batches, and their order.
#[derive(Debug)]
pub(crate) struct Sorted {
    schema: SchemaRef,
    /// Of each field, the column of each batch.
    columns: Vec<Vec<ArrayRef>>,
    order: Vec<Place>,
}

impl Sorted {
    /// Columns are those that any batch has, in the order of `schema`.
    pub fn of(batches: &[RecordBatch], schema: &Schema) -> Self {
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for field in schema.fields() {
            if let Some(found) = find(batches, field) {
                fields.push(Arc::clone(field));
                columns.push(found);
            }
        }
        Self {
            schema: Arc::new(Schema::new(fields)),
            columns,
            order: order(batches),
        }
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// The rows in their order, so many at a time.
    pub fn groups(&self, rows: usize) -> impl Iterator<Item = RecordBatch> {
        self.order.chunks(rows).map(|places| {
            let columns = self.columns.iter().map(|column| gather(column, places));
            RecordBatch::try_new(Arc::clone(&self.schema), columns.collect())
                .expect("every column has a value for each place")
        })
    }
}

/// One column of all batches; none if no batch has it.
fn find(batches: &[RecordBatch], field: &Field) -> Option<Vec<ArrayRef>> {
    let column = |batch: &RecordBatch| batch.column_by_name(field.name()).cloned();
    if batches.iter().all(|batch| column(batch).is_none()) {
        return None;
    }
    let or_absent =
        |batch| column(batch).unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()));
    Some(batches.iter().map(or_absent).collect())
}

fn gather(column: &[ArrayRef], places: &[Place]) -> ArrayRef {
    match column[0].data_type() {
        DataType::FixedSizeBinary(width) => Arc::new(gather_octets(column, *width, places)),
        DataType::Boolean => Arc::new(gather_answers(column, places)),
        _ => {
            let column: Vec<&dyn Array> = column.iter().map(AsRef::as_ref).collect();
            interleave(&column, places).expect("batches of the store agree on the type of a column")
        }
    }
}

/// What `interleave` does value by value, through a pointer to a function each.
fn gather_octets(column: &[ArrayRef], width: i32, places: &[Place]) -> FixedSizeBinaryArray {
    let column: Vec<_> = column.iter().map(|part| part.as_fixed_size_binary()).collect();
    let mut octets = Vec::with_capacity(places.len() * width as usize);
    let mut valid = NullBufferBuilder::new(places.len());
    for &(batch, row) in places {
        octets.extend_from_slice(column[batch].value(row));
        valid.append(column[batch].is_valid(row));
    }
    FixedSizeBinaryArray::new(width, octets.into(), valid.finish())
}

fn gather_answers(column: &[ArrayRef], places: &[Place]) -> BooleanArray {
    let column: Vec<_> = column.iter().map(|part| part.as_boolean()).collect();
    let answer = |&(batch, row): &Place| column[batch].is_valid(row).then(|| column[batch].value(row));
    places.iter().map(answer).collect()
}

/// The places of the rows, in the order of a segment.
fn order(batches: &[RecordBatch]) -> Vec<Place> {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let mut keys: Vec<(u128, u32, u32)> = Vec::with_capacity(rows);
    let all = batches.iter().flat_map(|batch| times(batch).iter().copied());
    let earliest = all.min().unwrap_or(0);
    for (at, batch) in batches.iter().enumerate() {
        let (src, dst) = (numbers(batch, SRC_ID), numbers(batch, DST_ID));
        let times = times(batch);
        let proto = batch
            .column_by_name("proto")
            .map(|c| c.as_primitive::<UInt8Type>());
        let port = batch
            .column_by_name("dst_port")
            .map(|c| c.as_primitive::<UInt16Type>());
        for row in 0..batch.num_rows() {
            let since = times[row].wrapping_sub(earliest) as u64;
            let key = u128::from(src[row]) << 96
                | u128::from(dst[row]) << 64
                | u128::from(proto.map_or(0, |c| c.values()[row])) << 56
                | u128::from(port.map_or(0, |c| c.values()[row])) << 40
                | u128::from(since.min((1 << 40) - 1));
            keys.push((key, at as u32, row as u32));
        }
    }
    keys.sort_unstable();
    let place = |(_, batch, row): (u128, u32, u32)| (batch as usize, row as usize);
    keys.into_iter().map(place).collect()
}

fn numbers<'a>(batch: &'a RecordBatch, name: &str) -> &'a [u32] {
    batch
        .column_by_name(name)
        .map_or(&[], |c| c.as_primitive::<UInt32Type>().values())
}

fn times(batch: &RecordBatch) -> &[i64] {
    let column = batch.column_by_name("time");
    column.map_or(&[], |c| c.as_primitive::<TimestampMicrosecondType>().values())
}

#[cfg(test)]
mod tests {
    use arrow::array::{StringViewArray, TimestampMicrosecondArray, UInt32Array};

    use super::*;

    fn batch(rows: &[(u32, i64)], more: Vec<(&str, ArrayRef)>) -> RecordBatch {
        let ids = UInt32Array::from_iter_values(rows.iter().map(|(src, _)| *src));
        let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(_, time)| *time));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("time", Arc::new(times.with_timezone("UTC"))),
            (SRC_ID, Arc::new(ids.clone())),
            (DST_ID, Arc::new(ids)),
        ];
        RecordBatch::try_from_iter(columns.into_iter().chain(more)).unwrap()
    }

    fn octets(values: &[Option<u8>]) -> ArrayRef {
        let values = values.iter().map(|value| value.map(|octet| [octet; 6]));
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, 6).unwrap())
    }

    #[test]
    fn rows_of_all_batches_come_in_order_with_absent_values_absent() {
        let one = batch(
            &[(2, 10), (1, 30)],
            vec![
                ("mac", octets(&[Some(210), None])),
                ("primary", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ],
        );
        let words: ArrayRef = Arc::new(StringViewArray::from(vec!["one", "three"]));
        let other = batch(&[(1, 20), (3, 5)], vec![("verdict", words)]);
        let sorted = Sorted::of(&[one, other], &crate::schema::facts());
        assert_eq!((sorted.len(), sorted.schema().fields().len()), (4, 6));
        let groups: Vec<_> = sorted.groups(3).collect();
        assert_eq!(
            groups.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(),
            [3, 1]
        );
        let first = &groups[0];
        assert_eq!(times(first), [20, 30, 10]);
        assert_eq!(numbers(first, SRC_ID), [1, 1, 2]);
        assert_eq!(&first["mac"], &octets(&[None, None, Some(210)]));
        assert_eq!(
            first["primary"].as_boolean(),
            &BooleanArray::from(vec![None, None, Some(true)])
        );
        let words: StringViewArray = [Some("one"), None, None].into_iter().collect();
        assert_eq!(first["verdict"].as_string_view(), &words);
        assert_eq!(groups[1]["verdict"].as_string_view().value(0), "three");
    }
}
