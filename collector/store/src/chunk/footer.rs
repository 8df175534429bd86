//! What a file's footer says of a chunk, gathered as its pages are written: sizes,
//! places, and the least and greatest word of each page and of all.

use parquet::basic::{BoundaryOrder, Compression, Encoding, EncodingMask, PageType, ZstdLevel};
use parquet::column::page::PageWriteSpec;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::schema::types::ColumnDescPtr;

use super::dictionary_values::DictionaryValues;

/// The numbers of the least and the greatest word.
pub(super) type Range = (u32, u32);

/// What is known of the pages so far.
pub(super) struct Footer {
    bounds: Option<Bounds>,
    offsets: OffsetIndexBuilder,
    pages: i32,
    rows: u64,
    compressed: i64,
    uncompressed: i64,
    first_page: i64,
}

/// The least and greatest of each page.
struct Bounds {
    index: ColumnIndexBuilder,
    ascending: bool,
    descending: bool,
    last: Option<Range>,
    whole: Option<Range>,
    nulls: u64,
}

impl Footer {
    /// Of a chunk whose dictionary page has been written.
    pub(super) fn new(descr: &ColumnDescPtr, statistics: bool, dictionary: &PageWriteSpec) -> Self {
        Self {
            bounds: statistics.then(|| Bounds::new(descr)),
            offsets: OffsetIndexBuilder::new(),
            pages: 0,
            rows: 0,
            compressed: dictionary.compressed_size as i64,
            uncompressed: dictionary.uncompressed_size as i64,
            first_page: dictionary.bytes_written as i64,
        }
    }

    /// A page has been written. `range` is needed only where there are statistics.
    pub(super) fn add(
        &mut self,
        page: &PageWriteSpec,
        absent: usize,
        range: Option<Range>,
        words: &DictionaryValues<'_>,
    ) {
        self.pages += 1;
        self.rows += u64::from(page.num_values);
        self.compressed += page.compressed_size as i64;
        self.uncompressed += page.uncompressed_size as i64;
        self.offsets.append_row_count(page.num_values.into());
        self.offsets
            .append_offset_and_size(page.offset as i64, page.compressed_size as i32);
        if let Some(bounds) = &mut self.bounds {
            bounds.add(range, absent, words);
        }
    }

    /// All pages have been written.
    pub(super) fn close(
        self,
        descr: &ColumnDescPtr,
        words: &DictionaryValues<'_>,
    ) -> Result<ColumnCloseResult> {
        let encodings = [Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY];
        let mut metadata = ColumnChunkMetaData::builder(descr.clone())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(self.page_encodings())
            .set_total_compressed_size(self.compressed)
            .set_total_uncompressed_size(self.uncompressed)
            .set_num_values(self.rows as i64)
            .set_data_page_offset(self.first_page)
            .set_dictionary_page_offset(Some(0));
        let mut column_index = None;
        if let Some(bounds) = self.bounds {
            let range = bounds
                .whole
                .map(|(least, greatest)| (least as usize, greatest as usize));
            metadata = metadata.set_statistics(words.statistics(range, bounds.nulls, descr.sort_order()));
            column_index = Some(bounds.close().build()?);
        }
        Ok(ColumnCloseResult {
            bytes_written: self.compressed as u64,
            rows_written: self.rows,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index,
            offset_index: Some(self.offsets.build()),
        })
    }

    /// The dictionary first: some readers rely on it.
    fn page_encodings(&self) -> Vec<PageEncodingStats> {
        let dictionary = PageEncodingStats {
            page_type: PageType::DICTIONARY_PAGE,
            encoding: Encoding::PLAIN,
            count: 1,
        };
        let data = PageEncodingStats {
            page_type: PageType::DATA_PAGE,
            encoding: Encoding::RLE_DICTIONARY,
            count: self.pages,
        };
        let mut pages = vec![dictionary, data];
        pages.retain(|page| page.count > 0);
        pages
    }
}

impl Bounds {
    fn new(descr: &ColumnDescPtr) -> Self {
        Self {
            index: ColumnIndexBuilder::new(descr.physical_type()),
            ascending: true,
            descending: true,
            last: None,
            whole: None,
            nulls: 0,
        }
    }

    /// DictionaryValues are in order, so their numbers are compared instead of them.
    fn add(&mut self, range: Option<Range>, absent: usize, words: &DictionaryValues<'_>) {
        self.nulls += absent as u64;
        let Some((least, greatest)) = range else {
            self.index.append(true, Vec::new(), Vec::new(), absent as i64);
            return;
        };
        let [min, max] = [least, greatest].map(|word| words.bound(word as usize));
        self.index.append(false, min, max, absent as i64);
        if let Some(last) = self.last.replace((least, greatest)) {
            self.ascending &= last.0 <= least && last.1 <= greatest;
            self.descending &= last.0 >= least && last.1 >= greatest;
        }
        let whole = self.whole.unwrap_or((least, greatest));
        self.whole = Some((whole.0.min(least), whole.1.max(greatest)));
    }

    fn close(mut self) -> ColumnIndexBuilder {
        self.index
            .set_boundary_order(match (self.ascending, self.descending) {
                (true, _) => BoundaryOrder::ASCENDING,
                (false, true) => BoundaryOrder::DESCENDING,
                (false, false) => BoundaryOrder::UNORDERED,
            });
        self.index
    }
}
