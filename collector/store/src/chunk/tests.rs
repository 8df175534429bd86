use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::compute::{concat_batches, filter_record_batch, take};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::arrow::arrow_writer::compute_leaves;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{BoundaryOrder, Compression};
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::*;

/// A column as it is coded, and whether its field is optional.
#[derive(Clone)]
struct Column {
    words: ArrayRef,
    codes: Vec<u32>,
    nulls: Option<NullBuffer>,
    optional: bool,
}

impl Column {
    fn new(words: ArrayRef, codes: Vec<u32>) -> Self {
        Self {
            words,
            codes,
            nulls: None,
            optional: false,
        }
    }

    /// The rows that are not `there` are absent, and have no word.
    fn with(mut self, there: impl Fn(usize) -> bool) -> Self {
        // Not at the start of an byte, as it is where a column is a part of another.
        let bits = std::iter::repeat_n(false, 3).chain((0..self.codes.len()).map(there));
        let there = NullBuffer::from(bits.collect::<Vec<_>>()).slice(3, self.codes.len());
        for (row, code) in self.codes.iter_mut().enumerate() {
            if there.is_null(row) {
                *code = u32::MAX - row as u32;
            }
        }
        (self.nulls, self.optional) = (Some(there), true);
        self
    }

    fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    fn coded(&self) -> CodedColumn<'_> {
        CodedColumn {
            codes: &self.codes,
            nulls: self.nulls.as_ref(),
            words: &self.words,
        }
    }

    fn array(&self) -> ArrayRef {
        let there = |row| self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let rows = self.codes.iter().enumerate();
        let rows = rows.map(|(row, code)| there(row).then_some(*code));
        take(&self.words, &rows.collect::<UInt32Array>(), None).unwrap()
    }
}

fn batch(columns: &[Column]) -> RecordBatch {
    let fields = columns.iter().enumerate().map(|(at, column)| {
        let of = column.words.data_type().clone();
        Field::new(format!("column_{at}"), of, column.optional)
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.iter().map(Column::array).collect()).unwrap()
}

/// Pages as ours are; the library looks only after each batch whether a page is full.
fn properties(statistics: bool) -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_write_batch_size(PAGE)
        .set_dictionary_page_size_limit(usize::MAX)
        .set_statistics_enabled(match statistics {
            true => EnabledStatistics::Page,
            false => EnabledStatistics::None,
        })
        .build()
}

fn by_library(rows: &RecordBatch, statistics: bool) -> Bytes {
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties(statistics))).unwrap();
    writer.write(rows).unwrap();
    writer.into_inner().unwrap().into()
}

/// A row group for each of `groups`. Columns that are not `ours` are written by the library.
fn by_us(groups: &[&[Column]], ours: impl Fn(usize) -> bool, statistics: bool) -> Bytes {
    let schema = batch(groups[0]).schema();
    let mut bytes = Vec::new();
    let writer = ArrowWriter::try_new(&mut bytes, schema.clone(), Some(properties(statistics))).unwrap();
    let (mut file, library) = writer.into_serialized_writer().unwrap();
    let leaves = file.schema_descr().columns().to_vec();
    let mut encoder = Encoder::new().unwrap();
    for (index, columns) in groups.iter().enumerate() {
        let mut writers = library.create_column_writers(index).unwrap().into_iter();
        let mut group = file.next_row_group().unwrap();
        for (at, column) in columns.iter().enumerate() {
            let mut writer = writers.next().unwrap();
            if ours(at) {
                let chunk = encoder.encode(&leaves[at], &column.coded(), statistics).unwrap();
                chunk.append_to(&mut group).unwrap();
            } else {
                for leaf in compute_leaves(schema.field(at), &column.array()).unwrap() {
                    writer.write(&leaf).unwrap();
                }
                writer.close().unwrap().append_to_row_group(&mut group).unwrap();
            }
        }
        group.close().unwrap();
    }
    file.close().unwrap();
    bytes.into()
}

fn open(file: &Bytes) -> ParquetRecordBatchReaderBuilder<Bytes> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).unwrap()
}

fn read(builder: ParquetRecordBatchReaderBuilder<Bytes>) -> RecordBatch {
    let schema = builder.schema().clone();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// DictionaryValues of each type, ascending. Some are beyond what fits a number with a sign, and
/// texts are empty, of several bytes a letter, and short and long enough for views.
fn words_of_each_type(count: u32) -> Vec<ArrayRef> {
    let spread = |n: u32, bits: u32| u64::from(n) * ((1_u128 << bits) / u128::from(count)) as u64;
    let fixed = |bytes: i32| -> ArrayRef {
        let words = (0..count).map(|n| {
            let mut word = vec![n as u8; bytes as usize];
            word[..4].copy_from_slice(&(spread(n, 32) as u32).to_be_bytes());
            word
        });
        Arc::new(FixedSizeBinaryArray::try_from_iter(words).unwrap())
    };
    let texts = (0..count).map(|n| match n {
        0 => String::new(),
        n if n % 3 == 0 => format!("{n:06} a longer name with ß and 木"),
        n => format!("{n:06}"),
    });
    let few = count.min(200);
    let times = (0..count).map(|n| (spread(n, 50) as i64) - (1 << 49));
    vec![
        Arc::new(StringViewArray::from_iter_values(texts)),
        fixed(16),
        fixed(6),
        Arc::new(UInt8Array::from_iter_values((256 - few..256).map(|n| n as u8))),
        Arc::new(UInt16Array::from_iter_values(
            ((1 << 16) - count.min(1 << 16)..1 << 16).map(|n| n as u16),
        )),
        Arc::new(UInt32Array::from_iter_values(
            (0..count).map(|n| spread(n, 32) as u32),
        )),
        Arc::new(UInt64Array::from_iter_values((0..count).map(|n| spread(n, 64)))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
    ]
}

/// Numbers below `words` without an order to see.
fn random(rows: usize, words: usize) -> Vec<u32> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 33
    };
    (0..rows).map(|_| (next() % words as u64) as u32).collect()
}

/// The columns that a words' array is tried in: orders, runs, and what is absent.
fn columns_of(words: &ArrayRef) -> Vec<Column> {
    const ROWS: usize = 45_001;
    let count = words.len();
    let column = |codes: Vec<u32>| Column::new(words.clone(), codes);
    let ascending = || (0..ROWS).map(|row| (row * count / ROWS) as u32);
    vec![
        column(random(ROWS, count)),
        column(random(ROWS, count)).optional(),
        column(random(ROWS, count)).with(|row| row % 7 > 0),
        column(ascending().collect()),
        column(ascending().collect()).with(|row| row / 100 % 2 > 0),
        column(ascending().map(|code| count as u32 - 1 - code).collect()),
        column(ascending().map(|code| code / 5 * 5).collect()),
        column(random(ROWS, count)).with(|row| !(20_000..40_000).contains(&row)),
        column(vec![0; ROWS]).with(|_| false),
        column(vec![count as u32 / 2; ROWS]),
    ]
}

type PageBounds = (
    Vec<Option<Vec<u8>>>,
    Vec<Option<Vec<u8>>>,
    Option<BoundaryOrder>,
    Option<Vec<i64>>,
);

fn bounds(index: &ColumnIndexMetaData) -> PageBounds {
    macro_rules! numbers {
        ($values:expr) => {
            $values
                .map(|v| v.map(|v| v.to_le_bytes().to_vec()))
                .collect()
        };
    }
    let bytes = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
    let (least, greatest) = match index {
        ColumnIndexMetaData::INT32(index) => (
            numbers!(index.min_values_iter()),
            numbers!(index.max_values_iter()),
        ),
        ColumnIndexMetaData::INT64(index) => (
            numbers!(index.min_values_iter()),
            numbers!(index.max_values_iter()),
        ),
        ColumnIndexMetaData::BYTE_ARRAY(index) | ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(index) => (
            index.min_values_iter().map(bytes).collect(),
            index.max_values_iter().map(bytes).collect(),
        ),
        other => panic!("{other:?}"),
    };
    (
        least,
        greatest,
        index.get_boundary_order(),
        index.null_counts().cloned(),
    )
}

fn first_rows(file: &ParquetMetaData, column: usize) -> Vec<i64> {
    let pages = file.offset_index().unwrap()[0][column].page_locations();
    pages.iter().map(|page| page.first_row_index).collect()
}

/// What is told of a chunk, but for sizes and places.
fn told(chunk: &ColumnChunkMetaData) -> impl PartialEq + std::fmt::Debug {
    let statistics = chunk.statistics().cloned();
    (chunk.num_values(), chunk.compression(), statistics)
}

fn encodings(chunk: &ColumnChunkMetaData) -> impl PartialEq + std::fmt::Debug {
    let pages = chunk.page_encoding_stats_mask().copied();
    (*chunk.encodings_mask(), pages)
}

#[test]
fn each_type_is_read_back_and_the_footer_tells_what_the_librarys_tells() {
    for words in words_of_each_type(900) {
        let columns = columns_of(&words);
        let rows = batch(&columns);
        let (ours, theirs) = (by_us(&[&columns], |_| true, true), by_library(&rows, true));
        let (ours, theirs) = (open(&ours), open(&theirs));
        assert_eq!(ours.schema(), &rows.schema());
        let (a, b) = (ours.metadata().clone(), theirs.metadata().clone());
        let (a_index, b_index) = (a.column_index().unwrap(), b.column_index().unwrap());
        for at in 0..columns.len() {
            let of = format!("column {at} of {}", words.data_type());
            let (a_chunk, b_chunk) = (a.row_group(0).column(at), b.row_group(0).column(at));
            assert_eq!(told(a_chunk), told(b_chunk), "{of}");
            // The library makes dictionaries of all types but bytes of a fixed number.
            if b_chunk.dictionary_page_offset().is_some() {
                assert_eq!(encodings(a_chunk), encodings(b_chunk), "{of}");
            }
            assert_eq!(bounds(&a_index[0][at]), bounds(&b_index[0][at]), "{of}");
            assert_eq!(first_rows(&a, at), first_rows(&b, at), "{of}");
        }
        assert_eq!(read(ours), rows);
    }
}

#[test]
fn a_row_group_may_have_columns_of_ours_and_of_the_librarys() {
    let groups = [900, 30].map(|count| -> Vec<Column> {
        let each = words_of_each_type(count).into_iter();
        each.map(|words| Column::new(words.clone(), random(30_000, words.len())).with(|row| row % 3 > 0))
            .collect()
    });
    let groups: Vec<&[Column]> = groups.iter().map(Vec::as_slice).collect();
    for parity in 0..2 {
        let file = by_us(&groups, |at| at % 2 == parity, true);
        let schema = batch(groups[0]).schema();
        let wanted = groups.iter().map(|columns| batch(columns)).collect::<Vec<_>>();
        assert_eq!(read(open(&file)), concat_batches(&schema, &wanted).unwrap());
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(open(&file).schema().field(7).data_type(), &time);
    }
}

#[test]
fn without_statistics_there_is_only_the_offset_index() {
    let columns = [Column::new(words_of_each_type(9)[0].clone(), random(30_000, 9))];
    let file = open(&by_us(&[&columns], |_| true, false));
    let metadata = file.metadata();
    assert_eq!(metadata.row_group(0).column(0).statistics(), None);
    assert!(metadata.row_group(0).column(0).column_index_offset().is_none());
    assert_eq!(first_rows(metadata, 0), [0, 20_000]);
    assert_eq!(read(file), batch(&columns));
}

#[test]
fn chunks_may_have_no_row_no_word_or_more_than_two_bytes_of_words() {
    for words in words_of_each_type(70_000) {
        let none = Column::new(words.slice(0, 0), vec![0; 20_001]).with(|_| false);
        let empty = Column::new(words.clone(), Vec::new());
        let many = Column::new(words.clone(), random(131_072, words.len())).with(|row| row % 1_000 != 7);
        for column in [none, empty, many] {
            let columns = [column];
            let rows = batch(&columns);
            assert_eq!(read(open(&by_us(&[&columns], |_| true, true))), rows);
        }
    }
}

#[test]
fn selected_rows_are_read_from_the_pages_that_may_have_them() {
    let words = words_of_each_type(1_000)[0].clone();
    let codes = (0..100_000).map(|row| row / 200 * 2).collect();
    let columns = [Column::new(words, codes).with(|row| row % 5 > 0)];
    let (file, rows) = (by_us(&[&columns], |_| true, true), batch(&columns));

    let selectors = [(150, 30_000), (1, 0), (20_000, 49_000), (7, 842)];
    let mut at = 0;
    let mut chosen = vec![false; 100_000];
    let mut selection = Vec::new();
    for (select, skip) in selectors {
        chosen[at..at + select].fill(true);
        selection.extend([RowSelector::select(select), RowSelector::skip(skip)]);
        at += select + skip;
    }
    assert_eq!(at, 100_000);
    let selected = read(open(&file).with_row_selection(RowSelection::from(selection)));
    assert_eq!(
        selected,
        filter_record_batch(&rows, &BooleanArray::from(chosen)).unwrap()
    );

    let builder = open(&file);
    let (least, greatest, ..) = bounds(&builder.metadata().column_index().unwrap()[0][0]);
    let sought = "000500".as_bytes().to_vec();
    let pages = least.into_iter().zip(greatest);
    let may: Vec<bool> = pages
        .map(|(least, greatest)| least.unwrap() <= sought && sought <= greatest.unwrap())
        .collect();
    assert_eq!(may, [false, false, true, false, false]);
    let page = [
        RowSelector::skip(40_000),
        RowSelector::select(20_000),
        RowSelector::skip(40_000),
    ];
    let found = read(builder.with_row_selection(RowSelection::from(page.to_vec())));
    assert_eq!(found, rows.slice(40_000, 20_000));
}

#[test]
fn bounds_of_long_texts_are_no_less_wide_than_the_page() {
    let texts = ["木".repeat(40), "木".repeat(41), "\u{10ffff}".repeat(30)];
    let words: ArrayRef = Arc::new(StringViewArray::from_iter_values(&texts));
    let columns = [Column::new(words, vec![1, 0, 2])];
    let file = open(&by_us(&[&columns], |_| true, true));
    let index = &file.metadata().column_index().unwrap()[0][0];
    let (least, greatest, ..) = bounds(index);
    assert!(least[0].as_deref().unwrap() <= texts[0].as_bytes());
    assert!(greatest[0].as_deref().unwrap() >= texts[2].as_bytes());
}

#[test]
fn what_cannot_be_written_is_refused() {
    let each = words_of_each_type(5);
    let schema = batch(
        &each
            .iter()
            .map(|w| Column::new(w.clone(), vec![0]))
            .collect::<Vec<_>>(),
    )
    .schema();
    let leaves = ArrowSchemaConverter::new().convert(&schema).unwrap();
    let refused = |at: usize, column: Column| {
        let descr = leaves.column(at);
        let result = Encoder::new()
            .unwrap()
            .encode(&descr, &column.coded(), true)
            .map(|_| ());
        result.unwrap_err().to_string()
    };
    assert_eq!(
        refused(0, Column::new(each[0].clone(), vec![4, 5])),
        "Parquet error: column column_0: a number stands for no word"
    );
    assert_eq!(
        refused(0, Column::new(each[0].clone(), vec![4, 3]).with(|row| row == 0)),
        "Parquet error: column column_0: rows of it cannot be absent"
    );
    for (at, words) in [(0, 1), (1, 2), (2, 1), (5, 6), (6, 5), (7, 3)] {
        let error = refused(at, Column::new(each[words].clone(), vec![0]));
        assert!(error.contains("cannot be the words of"), "{error}");
    }
}
