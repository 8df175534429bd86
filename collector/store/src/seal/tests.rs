use crate::identities::Identities;
use crate::name::Tier;
use crate::range::TimeRange;
use crate::rows::Rows;
use crate::rows::tests::{assert_rows_are, sparse};
use crate::schema::{self, SRC_ID};
use crate::wal::{self, Frame, Log};
use arrow::array::AsArray;
use arrow::datatypes::UInt32Type;
use weir_flow::FlowRecord;

use super::*;

/// Records as a batch. Their sources are numbered from the last to the first, so
/// that their order in a segment is another than that in which they came.
fn gathered(records: &[FlowRecord], last: u32) -> Batch {
    let mut rows = Rows::default();
    let sides: Vec<_> = (0..records.len() as u32).map(|at| (last - at, 0)).collect();
    rows.extend(records, &sides);
    rows.take().unwrap().0
}

/// The batch after its way through the log.
fn logged(batch: Batch) -> Batch {
    let directory = tempfile::tempdir().unwrap();
    let (head, named) = (1, None);
    let cursor = crate::log_frame::Cursor { head, frame: 0 };
    let frame = Frame { cursor, named, batch };
    Log::open(directory.path(), head, "abc")
        .unwrap()
        .append(&frame)
        .unwrap();
    let (mut read, _) = wal::read(&wal::path(directory.path(), head), Some("abc")).unwrap();
    read.frames.remove(0).batch
}

fn sealed(directory: &Path, batches: Vec<Batch>) -> RecordBatch {
    let name = SegmentName {
        tier: Tier::Raw,
        time: TimeRange::spanning(0, 0),
        heads: 1..=1,
    };
    let rows = Sorted::new_sorted(batches, &schema::facts());
    let origin = Origin {
        store: "abc",
        next_id: 1,
    };
    let segment = write(directory, &name, &origin, &rows, Identities::nobody().batch()).unwrap();
    assert_eq!(segment.rows as usize, rows.len());
    segment.read().unwrap()
}

#[test]
fn a_segment_has_every_field_of_rows_that_came_as_records_from_a_log_or_from_segments() {
    let directory = tempfile::tempdir().unwrap();
    let records = sparse(4 * 200);
    let parts: Vec<_> = records.chunks(200).collect();
    let last = records.len() as u32 - 1;
    let batches: Vec<_> = parts
        .iter()
        .zip(0..)
        .map(|(part, at)| gathered(part, last - at * 200))
        .collect();
    let [fresh, log, segment, wide] = batches.try_into().unwrap();
    let segment = Batch::of_rows(sealed(directory.path(), vec![segment]));
    let wide = Batch::of_rows(wide.widen());
    let rows = sealed(directory.path(), vec![wide, logged(log), fresh, segment]);
    let sources = rows.column_by_name(SRC_ID).unwrap().as_primitive::<UInt32Type>();
    assert!(sources.values().iter().copied().eq(0..records.len() as u32));
    assert_rows_are(&rows, &records.iter().rev().collect::<Vec<_>>());
}

#[test]
fn rows_of_more_than_a_row_group_are_all_in_the_segment() {
    let directory = tempfile::tempdir().unwrap();
    let records = sparse(44_000);
    let last = 3 * records.len() as u32 - 1;
    let batches = [0, 1, 2].map(|at| gathered(&records, last - at * records.len() as u32));
    let rows = sealed(directory.path(), batches.to_vec());
    let thrice = [&records, &records, &records]
        .into_iter()
        .flat_map(|records| records.iter().rev());
    assert_rows_are(&rows, &thrice.collect::<Vec<_>>());
}
