//! Column chunks of Parquet made from numbers of words. A dictionary page and pages
//! of numbers are what the file has anyway, so no value is hashed or compared.
//!
//! Owns how such a chunk is laid out: pages (version 1, zstd), page index and what
//! the footer says. Files and row groups, and columns whose values are not words, are
//! the Parquet library's: a [`Chunk`] goes into a row group among chunks of its making.

mod dictionary_values;
mod footer;
mod hybrid;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use arrow::array::Array;
use arrow::buffer::NullBuffer;
use bytes::Bytes;
use parquet::basic::{Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};
use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

use dictionary_values::DictionaryValues;
use footer::{Footer, Range};

/// Rows of a page, as the library has by default.
const PAGE: usize = 20_000;

/// A column whose values are numbers of words.
pub(crate) struct CodedColumn<'a> {
    /// The word of each row; of an absent row any number.
    pub codes: &'a [u32],
    /// Which rows are there; `None`: all.
    pub nulls: Option<&'a NullBuffer>,
    /// What the numbers stand for, each once, ascending as Parquet orders the type:
    /// bytes and numbers without a sign, times with one. More than occur may be in it.
    /// Utf8View, FixedSizeBinary, UInt8 to UInt64 or Timestamp(us).
    pub words: &'a dyn Array,
}

/// A column chunk: its bytes and what the file's footer says of it.
pub(crate) struct Chunk<'a> {
    bytes: ChunkBytes<'a>,
    close: ColumnCloseResult,
}

impl Chunk<'_> {
    /// Writes it as the next column of the row group.
    ///
    /// # Errors
    /// The row group's next column is another one, or writing fails.
    pub(crate) fn append_to<W: Write + Send>(
        self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        group.append_column(&self.bytes, self.close)
    }
}

/// Makes chunks, one after the other in the same memory.
pub(crate) struct Encoder {
    zstd: Compressor<'static>,
    /// The numbers of the rows that are there.
    present: Vec<u32>,
    /// The number in the chunk's dictionary of each word.
    numbers: Vec<u32>,
    /// The numbers of a page's rows.
    page: Vec<u32>,
    /// A page as it is to be compressed.
    plain: Vec<u8>,
    /// And after that.
    compressed: Vec<u8>,
    /// The pages of the chunk with their headers.
    bytes: Vec<u8>,
}

impl Encoder {
    /// # Errors
    /// The compressor cannot be set up.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            zstd: Compressor::new(ZstdLevel::default().compression_level())?,
            present: Vec::new(),
            numbers: Vec::new(),
            page: Vec::new(),
            plain: Vec::new(),
            compressed: Vec::new(),
            bytes: Vec::new(),
        })
    }

    /// The chunk of a column. `descr` is of the file's schema; `statistics`: whether
    /// the least and greatest value of each page and of all are told.
    ///
    /// # Errors
    /// The column of the schema is of another type, nested, or has no room for absent
    /// rows; or a number stands for no word.
    pub(crate) fn encode(
        &mut self,
        descr: &ColumnDescPtr,
        column: &CodedColumn<'_>,
        statistics: bool,
    ) -> Result<Chunk<'_>> {
        let nulls = nulls(descr, column)?;
        let words = DictionaryValues::new(column.words, descr)?;
        let present = match nulls {
            Some(nulls) => {
                gather(column.codes, nulls, &mut self.present);
                self.present.as_slice()
            }
            None => column.codes,
        };
        self.bytes.clear();
        let mut pages = Pages {
            zstd: &mut self.zstd,
            compressed: &mut self.compressed,
            sink: TrackedWrite::new(&mut self.bytes),
        };

        self.plain.clear();
        let kept = dictionary(present, &words, &mut self.numbers, &mut self.plain)
            .ok_or_else(|| error(descr, "a number stands for no word"))?;
        let mut footer = Footer::new(descr, statistics, &pages.dictionary(&self.plain, kept)?);

        let width = hybrid::width(kept.saturating_sub(1));
        let mut rest = present;
        for from in (0..column.codes.len()).step_by(PAGE) {
            let rows = PAGE.min(column.codes.len() - from);
            let there = nulls.map(|nulls| nulls.slice(from, rows));
            let absent = there.as_ref().map_or(0, NullBuffer::null_count);
            let (codes, after) = rest.split_at(rows - absent);
            rest = after;
            self.plain.clear();
            if descr.max_def_level() > 0 {
                levels(&mut self.plain, there.as_ref(), rows);
            }
            self.plain.push(width as u8);
            let numbers = if kept as usize == words.len() {
                codes
            } else {
                renumber(codes, &self.numbers, &mut self.page)
            };
            hybrid::numbers(&mut self.plain, numbers, width);
            let written = pages.data(&self.plain, rows)?;
            let range = if statistics { range(codes) } else { None };
            footer.add(&written, absent, range, &words);
        }
        pages.sink.flush()?;
        drop(pages);
        Ok(Chunk {
            close: footer.close(descr, &words)?,
            bytes: ChunkBytes(&self.bytes),
        })
    }
}

fn error(descr: &ColumnDescriptor, what: &str) -> ParquetError {
    ParquetError::General(format!("column {}: {what}", descr.path().string()))
}

/// Which rows are there, if not all are; and whether the column can have that.
fn nulls<'a>(descr: &ColumnDescriptor, column: &CodedColumn<'a>) -> Result<Option<&'a NullBuffer>> {
    if descr.max_rep_level() > 0 || descr.max_def_level() > 1 {
        return Err(error(descr, "it is nested"));
    }
    let nulls = column.nulls.filter(|nulls| nulls.null_count() > 0);
    match nulls {
        Some(_) if descr.max_def_level() == 0 => Err(error(descr, "rows of it cannot be absent")),
        Some(nulls) if nulls.len() != column.codes.len() => Err(error(descr, "it has not as many rows")),
        nulls => Ok(nulls),
    }
}

/// The numbers of the rows that are there.
fn gather(codes: &[u32], nulls: &NullBuffer, out: &mut Vec<u32>) {
    // Every number is put down, and the next one over it if its row is absent.
    out.resize(codes.len() + 1, 0);
    let mut at = 0;
    for (codes, there) in codes.chunks(64).zip(nulls.inner().bit_chunks().iter_padded()) {
        if there == u64::MAX {
            out[at..at + codes.len()].copy_from_slice(codes);
            at += codes.len();
        } else if there != 0 {
            for (row, code) in codes.iter().enumerate() {
                out[at] = *code;
                at += (there >> row & 1) as usize;
            }
        }
    }
    out.truncate(at);
}

/// Appends the words that occur, and sets the number that each of them has among
/// these. How many they are, or none if a number stands for no word.
fn dictionary(
    codes: &[u32],
    words: &DictionaryValues<'_>,
    numbers: &mut Vec<u32>,
    out: &mut Vec<u8>,
) -> Option<u32> {
    numbers.clear();
    numbers.resize(words.len(), 0);
    let mut unknown = false;
    for code in codes {
        match numbers.get_mut(*code as usize) {
            Some(occurs) => *occurs = 1,
            None => unknown = true,
        }
    }
    let mut kept = 0;
    for (word, number) in numbers.iter_mut().enumerate() {
        if *number == 1 {
            words.append_plain(word, out);
            *number = kept;
            kept += 1;
        }
    }
    (!unknown).then_some(kept)
}

/// The numbers in the chunk's dictionary; every code is one of a word.
fn renumber<'a>(codes: &[u32], numbers: &[u32], out: &'a mut Vec<u32>) -> &'a [u32] {
    out.clear();
    out.extend(codes.iter().map(|code| numbers[*code as usize]));
    out
}

/// Definition levels, behind their length.
fn levels(out: &mut Vec<u8>, there: Option<&NullBuffer>, rows: usize) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    match there {
        Some(there) => hybrid::presence(out, there.inner()),
        None => hybrid::run(out, rows, 1, 1),
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn range(codes: &[u32]) -> Option<Range> {
    let first = *codes.first()?;
    let widen = |(least, greatest): Range, code: &u32| (least.min(*code), greatest.max(*code));
    Some(codes.iter().fold((first, first), widen))
}

/// Where pages go, compressed.
struct Pages<'a> {
    zstd: &'a mut Compressor<'static>,
    compressed: &'a mut Vec<u8>,
    sink: TrackedWrite<&'a mut Vec<u8>>,
}

impl Pages<'_> {
    fn dictionary(&mut self, plain: &[u8], words: u32) -> Result<PageWriteSpec> {
        self.write(plain, |buf| Page::DictionaryPage {
            buf,
            num_values: words,
            encoding: Encoding::PLAIN,
            is_sorted: true,
        })
    }

    fn data(&mut self, plain: &[u8], rows: usize) -> Result<PageWriteSpec> {
        self.write(plain, |buf| Page::DataPage {
            buf,
            num_values: rows as u32,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        })
    }

    fn write(&mut self, plain: &[u8], page: impl FnOnce(Bytes) -> Page) -> Result<PageWriteSpec> {
        self.compressed.clear();
        self.compressed.reserve(compress_bound(plain.len()));
        self.zstd.compress_to_buffer(plain, self.compressed)?;
        let page = page(Bytes::copy_from_slice(self.compressed));
        SerializedPageWriter::new(&mut self.sink).write_page(CompressedPage::new(page, plain.len()))
    }
}

/// Bytes in memory that the library copies a chunk from.
struct ChunkBytes<'a>(&'a [u8]);

impl Length for ChunkBytes<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

impl<'a> ChunkReader for ChunkBytes<'a> {
    type T = &'a [u8];

    fn get_read(&self, start: u64) -> Result<&'a [u8]> {
        let rest = usize::try_from(start).ok().and_then(|start| self.0.get(start..));
        rest.ok_or_else(|| ParquetError::EOF(format!("nothing at {start}")))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.get_read(start)?.get(..length);
        let bytes = bytes.ok_or_else(|| ParquetError::EOF(format!("no {length} bytes at {start}")))?;
        Ok(Bytes::copy_from_slice(bytes))
    }
}
