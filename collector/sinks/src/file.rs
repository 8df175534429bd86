//! Flows into a file that is rotated.
//!
//! Beside `flows.json` stands `flows.json.position`: which frame of which store was written
//! last, and where the file ended then. A start cuts what is behind that place, which is of a
//! frame that was not written whole, and leaves out frames that are there already: each row
//! stands in the files once, also after `kill -9`. Of a machine that loses its power that holds
//! where [`FileSpec::sync`] is set.

mod position;
mod rotation;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use weir_sink_formats::goflow2::{self, FlowMessage};

use self::position::Position;
use crate::rows::{Place, RowBatch};
use crate::target::{Failure, Target};

/// Files can be read by their owner's group, and by nobody else: who talked to whom is nobody
/// else's business.
const MODE: u32 = 0o640;

/// What is written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    /// The file that is written to.
    pub path: PathBuf,
    /// How a row is written.
    pub format: Format,
    /// When another file is begun.
    pub rotate: Rotation,
    /// What was written is on the disk before it counts as sent.
    pub sync: bool,
}

/// How a row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Weir's own JSON, a line each.
    #[default]
    Json,
    /// goflow2's JSON, a line each.
    Goflow2Json,
    /// goflow2's protobuf message with its length before it.
    Goflow2Proto,
}

/// When another file is begun, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The file has that many octets.
    pub bytes: u64,
    /// Or is so old.
    pub age: Option<Duration>,
    /// Files that are kept beside the one that is written to; the oldest go.
    pub keep: usize,
}

impl Default for Rotation {
    /// 256 MiB, of any age, and eight of them.
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            age: None,
            keep: 8,
        }
    }
}

/// A file that takes rows.
#[derive(Debug)]
pub struct FileTarget {
    spec: FileSpec,
    store: String,
    open: Option<Open>,
    /// Rows of frames that are not written.
    buffer: Vec<u8>,
    /// The last of these frames.
    taken: Option<Place>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Octets that are whole.
    length: u64,
    /// The last frame that is in the files.
    has: Option<Place>,
    /// When it was begun.
    begun: SystemTime,
    /// Device and inode, by which somebody else's rename is seen.
    id: (u64, u64),
}

impl FileTarget {
    /// Nothing is opened yet. `store` is the store that frames come from: those of another one
    /// have nothing to do with them, whatever their names.
    pub fn new(spec: FileSpec, store: impl Into<String>) -> Self {
        Self {
            spec,
            store: store.into(),
            open: None,
            buffer: Vec::new(),
            taken: None,
        }
    }

    fn what(&self, verb: &str) -> String {
        format!("cannot {verb} {}", self.spec.path.display())
    }

    fn opened(&mut self) -> Result<&mut Open, Failure> {
        if self.open.as_ref().is_some_and(|open| !self.is_in_place(open)) {
            self.open = None;
        }
        if self.open.is_none() {
            let open = self.open_file().map_err(Failure::io(self.what("open")))?;
            self.open = Some(open);
        }
        Ok(self.open.as_mut().expect("it was opened above"))
    }

    /// Nobody renamed or removed it.
    fn is_in_place(&self, open: &Open) -> bool {
        fs::metadata(&self.spec.path).is_ok_and(|found| (found.dev(), found.ino()) == open.id)
    }

    fn open_file(&self) -> io::Result<Open> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(MODE)
            .open(&self.spec.path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let position = Position::read(&self.spec.path)?.filter(|position| position.store == self.store);
        let length = match &position {
            Some(position) if position.length <= found.len() => position.length,
            // Another file than the one that was written to last: it was rotated, or is new.
            _ => end_of_lines(&mut file, found.len())?,
        };
        file.set_len(length)?;
        file.seek(SeekFrom::End(0))?;
        if position.as_ref().is_none_or(|position| position.length != length) {
            // Before anything is written: what is torn later is behind this place.
            self.note_position(length, position.as_ref().and_then(|position| position.place))?;
        }
        Ok(Open {
            length,
            has: position.and_then(|position| position.place),
            begun: if length == 0 {
                SystemTime::now()
            } else {
                found.created().unwrap_or(SystemTime::now())
            },
            id: (found.dev(), found.ino()),
            file,
        })
    }

    fn note_position(&self, length: u64, place: Option<Place>) -> io::Result<()> {
        let position = Position {
            store: self.store.clone(),
            length,
            place,
        };
        position.write(&self.spec.path, self.spec.sync)
    }

    /// Writes what waits, then where it ends.
    fn write(&mut self, through: Place) -> Result<(), Failure> {
        let (buffer, sync) = (std::mem::take(&mut self.buffer), self.spec.sync);
        let open = self.opened()?;
        let written = open
            .file
            .write_all(&buffer)
            .and_then(|()| if sync { open.file.sync_data() } else { Ok(()) });
        open.length += buffer.len() as u64;
        open.has = Some(through);
        let length = open.length;
        written.map_err(Failure::io(self.what("write")))?;
        self.note_position(length, Some(through))
            .map_err(Failure::io(self.what("write the position of")))
    }

    fn rotate_if_due(&mut self) -> Result<(), Failure> {
        let Some((open, through)) = self
            .open
            .as_ref()
            .zip(self.open.as_ref().and_then(|open| open.has))
        else {
            return Ok(());
        };
        let is_old = self
            .spec
            .rotate
            .age
            .is_some_and(|age| open.begun.elapsed().is_ok_and(|is| is >= age));
        if open.length == 0 || (open.length < self.spec.rotate.bytes && !is_old) {
            return Ok(());
        }
        rotation::rotate(&self.spec.path, through, self.spec.rotate.keep)
            .map_err(Failure::io(self.what("rotate")))?;
        // The next file is opened when something comes, and its position is written then.
        self.open = None;
        Ok(())
    }
}

impl Target for FileTarget {
    fn take(&mut self, rows: &dyn RowBatch) -> Result<(), Failure> {
        let place = rows.place();
        if self.opened()?.has.is_some_and(|has| place <= has) {
            return Ok(());
        }
        match self.spec.format {
            Format::Json => rows.write_json(&mut self.buffer),
            Format::Goflow2Proto => {
                rows.each(&mut |row| FlowMessage::of(row).write_delimited(&mut self.buffer))
            }
            Format::Goflow2Json => {
                let mut text = String::new();
                rows.each(&mut |row| {
                    goflow2::write_json(&FlowMessage::of(row), &mut text);
                    text.push('\n');
                });
                self.buffer.extend_from_slice(text.as_bytes());
            }
        }
        self.taken = Some(place);
        Ok(())
    }

    fn flush(&mut self) -> Result<u64, Failure> {
        let bytes = self.buffer.len() as u64;
        if let Some(through) = self.taken {
            self.write(through)?;
            self.taken = None;
        }
        self.rotate_if_due()?;
        Ok(bytes)
    }

    fn reset(&mut self) {
        self.buffer.clear();
        self.taken = None;
        // What was written of a frame is cut when it is opened anew.
        self.open = None;
    }

    fn waiting(&self) -> usize {
        self.buffer.len()
    }
}

/// Octets up to the end of the last whole line: of a file whose end nobody wrote down.
fn end_of_lines(file: &mut File, length: u64) -> io::Result<u64> {
    const BLOCK: u64 = 64 << 10;
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|octet| *octet == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
