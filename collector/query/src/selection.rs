//! An export as a store: rows of records, out of an engine or as an Arrow stream of the
//! API, become one that can be asked like the one that they are of.

use std::io;
use std::path::Path;

use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use weir_store::{Selection, SelectionError};

use crate::AnswerRows;
use crate::stored_rows::stored_rows;

/// Writes records as a store, which is there when it is finished and not before.
#[derive(Debug)]
pub struct StoreWriter(Selection);

/// Why records cannot be written as a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreWriteError {
    /// The store takes none of them, or not these.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// They are no records.
    #[error("these are no records of flows: {0}")]
    Records(String),
}

impl StoreWriter {
    /// Begins one in this directory, which is not there yet, or empty.
    ///
    /// # Errors
    /// Something is there, or it cannot be written.
    pub fn begin(directory: &Path) -> Result<Self, StoreWriteError> {
        Ok(Self(Selection::begin(directory)?))
    }

    /// Takes records with all their columns.
    ///
    /// # Errors
    /// The disk does not take them, or they are none.
    pub fn write(&mut self, rows: &AnswerRows) -> Result<(), StoreWriteError> {
        let stored = stored_rows(rows).map_err(|error| StoreWriteError::Records(error.to_string()))?;
        Ok(self.0.append(&stored)?)
    }

    /// Gives it its name, and tells how many records it has.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn finish(self) -> Result<u64, StoreWriteError> {
        Ok(self.0.finish()?)
    }
}

/// Reads an Arrow IPC stream of records in whatever pieces it comes.
#[derive(Debug, Default)]
pub struct ArrowRecords {
    decoder: StreamDecoder,
    /// The last bytes so far.
    last: Vec<u8>,
}

/// What ends a stream: a continuation, and a message of no length.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

impl ArrowRecords {
    /// The records that are complete with this piece.
    ///
    /// # Errors
    /// It is no such stream.
    pub fn read(&mut self, piece: &[u8]) -> io::Result<Vec<AnswerRows>> {
        let (mut rest, mut all) = (Buffer::from(piece), Vec::new());
        self.last
            .extend_from_slice(&piece[piece.len().saturating_sub(END.len())..]);
        self.last.drain(..self.last.len().saturating_sub(END.len()));
        while !rest.is_empty() {
            let rows = self.decoder.decode(&mut rest).map_err(io::Error::other)?;
            all.extend(rows.map(AnswerRows));
        }
        Ok(all)
    }

    /// No more comes.
    ///
    /// # Errors
    /// The stream is not at its end.
    pub fn finish(mut self) -> io::Result<()> {
        self.decoder.finish().map_err(io::Error::other)?;
        match self.last == END {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the records end too early",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, UInt64Array};

    use super::*;
    use crate::{ExportFormat, ExportWriter};

    #[test]
    fn a_stream_is_read_in_pieces_of_any_length_and_one_that_was_cut_is_told() {
        let bytes: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..100));
        let rows = AnswerRows(RecordBatch::try_from_iter([("bytes", bytes)]).unwrap());
        let mut writer = ExportWriter::new(ExportFormat::Arrow);
        let mut stream = writer.write(&rows).unwrap();
        stream.extend(writer.write(&rows).unwrap());
        stream.extend(writer.finish().unwrap());
        for length in [1, 7, 4_096] {
            let mut reader = ArrowRecords::default();
            let pieces = stream
                .chunks(length)
                .flat_map(|piece| reader.read(piece).unwrap());
            assert_eq!(
                pieces.collect::<Vec<_>>(),
                [rows.clone(), rows.clone()],
                "{length}"
            );
            reader.finish().unwrap();
        }
        let whole = stream.len() - END.len();
        for cut in [
            &stream[..stream.len() - 100],
            &stream[..whole],
            &[],
            b"{\"bytes\":1}\n",
        ] {
            let mut reader = ArrowRecords::default();
            reader.read(cut).unwrap();
            assert!(reader.finish().is_err(), "{}", cut.len());
        }
    }
}
