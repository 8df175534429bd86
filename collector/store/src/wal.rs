//! The log of rows that are in no segment yet: a file for each head, frames one
//! after the other. Owns the file's form; when it is written is [`crate::logging`].
//!
//! File: 8 bytes `weirwal2`, 16 bytes the store. Frame: length of the payload,
//! its CRC-32 (IEEE), rows in it, length of the identities in it, length of the
//! shared columns, each 32 bits little-endian; then the payload: an Arrow IPC stream of the
//! identities that the head names for the first time, one of what the rows have in
//! common, and one of the rows, all with texts and addresses as dictionaries.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::batch::Batch;
use crate::log_frame::Cursor;
use crate::memory_identities::NamedIdentities;

mod dictionaries;

const MAGIC: &[u8; 8] = b"weirwal2";
pub(crate) const HEADER: usize = 24;
const FRAME: usize = 4 * NUMBERS;
/// In the header of a frame.
const NUMBERS: usize = 5;
const PREFIX: &str = "wal-";
/// No store gets beyond this head: at one a millisecond it would take nine thousand years.
pub(crate) const LAST_HEAD: u64 = 1 << 48;

/// Rows on their way to the log.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub cursor: Cursor,
    /// Whom the head names for the first time.
    pub named: Option<Arc<NamedIdentities>>,
    pub batch: Batch,
}

/// Rows that came back from the log.
#[derive(Debug)]
pub(crate) struct Logged {
    /// The table of whom the head named for the first time.
    pub identities: Option<RecordBatch>,
    pub batch: Batch,
}

pub(crate) fn path(directory: &Path, head: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{head}"))
}

/// The logs of a directory, the oldest first.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    list_as(directory, PREFIX)
}

/// The same of those whose names begin with `prefix`.
pub(crate) fn list_as(directory: &Path, prefix: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str());
        let head = name.and_then(|n| n.strip_prefix(prefix)?.parse().ok());
        let head = head.filter(|head| *head <= LAST_HEAD);
        logs.extend(head.map(|head| (head, path)));
    }
    logs.sort_unstable();
    Ok(logs)
}

/// A log that is being written.
#[derive(Debug)]
pub(crate) struct Log {
    pub file: Arc<File>,
    /// Bytes of whole frames.
    pub length: u64,
    scratch: Vec<u8>,
}

impl Log {
    /// The log of a head, made if it is not there; frames go to its end.
    pub fn open(directory: &Path, head: u64, store: &str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let file = options.open(path(directory, head))?;
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..].copy_from_slice(&store_bytes(store));
        file.write_all_at(&header, 0)?;
        let length = file.metadata()?.len();
        Ok(Self {
            file: Arc::new(file),
            length,
            scratch: Vec::new(),
        })
    }

    /// Writes a frame. After an error the log is as before: what was written of
    /// the frame is written over.
    pub fn append(&mut self, frame: &Frame) -> io::Result<u64> {
        self.scratch.clear();
        encode(frame, &mut self.scratch).map_err(io::Error::other)?;
        if let Err(error) = self.file.write_all_at(&self.scratch, self.length) {
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        let written = self.scratch.len() as u64;
        self.length += written;
        Ok(written)
    }
}

/// The store's name in a header: 16 bytes, as it is given.
fn store_bytes(store: &str) -> [u8; 16] {
    let mut bytes = [b' '; 16];
    for (byte, letter) in bytes.iter_mut().zip(store.bytes()) {
        *byte = letter;
    }
    bytes
}

fn encode(frame: &Frame, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    out.extend_from_slice(&[0; FRAME]);
    if let Some(named) = &frame.named {
        stream(named.table(), out)?;
    }
    let identities = out.len() - FRAME;
    if frame.batch.shared_rows().is_some() {
        stream(frame.batch.shared(), out)?;
    }
    let shared = out.len() - FRAME - identities;
    stream(frame.batch.rows(), out)?;
    let length = out.len() - FRAME;
    let crc = crc32fast::hash(&out[FRAME..]);
    let rows = frame.batch.num_rows();
    let numbers: [usize; NUMBERS] = [length, crc as usize, rows, identities, shared];
    for (place, number) in numbers.into_iter().enumerate() {
        let number = u32::try_from(number).map_err(|_| ArrowError::IpcError("a frame over 4 GiB".into()))?;
        out[place * 4..place * 4 + 4].copy_from_slice(&number.to_le_bytes());
    }
    Ok(())
}

fn stream(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let batch = dictionaries::narrow(batch)?;
    let mut writer = StreamWriter::try_new(out.by_ref(), batch.schema_ref())?;
    writer.write(&batch)?;
    writer.finish()
}

/// What a log gave back.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub frames: Vec<Logged>,
    /// Bytes that are no whole frame: the last one was being written.
    pub torn: u64,
    /// Frames whose bytes were changed; they are left out.
    pub damaged: u64,
    /// Rows that are known to be lost with those.
    pub lost: u64,
}

/// Why a log is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("not a log of this version")]
    Foreign,
    #[error("the log of another store")]
    OtherStore,
}

/// Reads a log. `store`: the store that it has to be of, where that is known.
pub(crate) fn read(path: &Path, store: Option<&str>) -> Result<(Read, String), ReadError> {
    let bytes = fs::read(path)?;
    let Some((header, mut rest)) = bytes.split_first_chunk::<HEADER>() else {
        // Killed before the header was out.
        return match MAGIC.starts_with(&bytes[..bytes.len().min(8)]) {
            true => Ok((Read::default(), store.unwrap_or_default().to_owned())),
            false => Err(ReadError::Foreign),
        };
    };
    if &header[..8] != MAGIC {
        return Err(ReadError::Foreign);
    }
    if store.is_some_and(|store| header[8..] != store_bytes(store)) {
        return Err(ReadError::OtherStore);
    }
    let mut read = Read::default();
    while !rest.is_empty() {
        let Some((numbers, payload, after)) = split(rest) else {
            read.torn += rest.len() as u64;
            read.lost += rows_of(rest);
            break;
        };
        rest = after;
        match decode(numbers, payload) {
            Some(frame) => read.frames.push(frame),
            None => {
                read.damaged += 1;
                read.lost += u64::from(numbers[2]);
            }
        }
    }
    Ok((read, String::from_utf8_lossy(&header[8..]).trim().to_owned()))
}

/// What the header of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScannedFrame {
    pub rows: u64,
    /// In the log.
    pub bytes: u64,
}

/// Opens a log to read its frames one by one.
pub(crate) fn open(path: &Path, store: &str) -> Result<File, ReadError> {
    let file = File::open(path)?;
    let mut header = [0; HEADER];
    match file.read_exact_at(&mut header, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(ReadError::Foreign),
        read => read?,
    }
    if &header[..8] != MAGIC {
        return Err(ReadError::Foreign);
    }
    if header[8..] != store_bytes(store) {
        return Err(ReadError::OtherStore);
    }
    Ok(file)
}

/// The frames of a log by their headers, up to the first that is not whole.
pub(crate) fn scan(path: &Path, store: &str) -> Result<Vec<ScannedFrame>, ReadError> {
    let file = open(path, store)?;
    let (mut frames, mut at) = (Vec::new(), HEADER as u64);
    while let Some((numbers, end)) = header_at(&file, at)? {
        frames.push(ScannedFrame {
            rows: numbers[2].into(),
            bytes: end - at,
        });
        at = end;
    }
    Ok(frames)
}

/// The frame that begins there, none if its bytes were changed; and where the next begins.
/// `None`: there is no whole frame.
pub(crate) fn read_frame(file: &File, at: u64) -> io::Result<Option<(Option<Logged>, u64)>> {
    let Some((numbers, end)) = header_at(file, at)? else {
        return Ok(None);
    };
    let mut payload = vec![0; numbers[0] as usize];
    file.read_exact_at(&mut payload, at + FRAME as u64)?;
    Ok(Some((decode(numbers, &payload), end)))
}

fn header_at(file: &File, at: u64) -> io::Result<Option<([u32; NUMBERS], u64)>> {
    let length = file.metadata()?.len();
    if at + FRAME as u64 > length {
        return Ok(None);
    }
    let mut header = [0; FRAME];
    file.read_exact_at(&mut header, at)?;
    let numbers = numbers_of(&header);
    let end = at + FRAME as u64 + u64::from(numbers[0]);
    // A file that grew before its bytes came to the disk ends in zeros.
    Ok((numbers[0] > 0 && end <= length).then_some((numbers, end)))
}

fn numbers_of(header: &[u8; FRAME]) -> [u32; NUMBERS] {
    let (words, _) = header.as_chunks::<4>();
    let mut numbers = [0; NUMBERS];
    for (number, bytes) in numbers.iter_mut().zip(words) {
        *number = u32::from_le_bytes(*bytes);
    }
    numbers
}

type Split<'a> = ([u32; NUMBERS], &'a [u8], &'a [u8]);

fn split(bytes: &[u8]) -> Option<Split<'_>> {
    let (header, rest) = bytes.split_first_chunk::<FRAME>()?;
    let numbers = numbers_of(header);
    let (payload, after) = rest.split_at_checked(numbers[0] as usize)?;
    // A file that grew before its bytes came to the disk ends in zeros.
    (!payload.is_empty()).then_some((numbers, payload, after))
}

/// What the header of a torn frame says, where it is there and is not absurd.
fn rows_of(bytes: &[u8]) -> u64 {
    let rows = bytes
        .get(8..12)
        .and_then(|o| o.try_into().ok())
        .map(u32::from_le_bytes);
    rows.filter(|rows| *rows < 1 << 24).unwrap_or(0).into()
}

fn decode([_, crc, _, identities, shared]: [u32; NUMBERS], payload: &[u8]) -> Option<Logged> {
    if crc32fast::hash(payload) != crc {
        return None;
    }
    let (identities, rest) = payload.split_at_checked(identities as usize)?;
    let (shared, rows) = rest.split_at_checked(shared as usize)?;
    let rows = batch(rows)?;
    Some(Logged {
        identities: match identities.is_empty() {
            true => None,
            false => Some(batch(identities)?),
        },
        batch: match shared.is_empty() {
            true => Batch::of_rows(rows),
            false => Batch::new(rows, batch(shared)?),
        },
    })
}

fn batch(stream: &[u8]) -> Option<RecordBatch> {
    dictionaries::widen(&StreamReader::try_new(stream, None).ok()?.next()?.ok()?).ok()
}

#[cfg(test)]
mod tests;
