//! Flows into a file that is rotated.
//!
//! Beside `flows.json` stands `flows.json.position`: which frame of which store this sink wrote
//! last, and where the file ended then. A start cuts what is behind that place, which is of a
//! frame that was not written whole, and leaves out frames that are there already: each row
//! stands in the files once, also after `kill -9`. Of a machine that loses its power that holds
//! where [`FileSpec::sync`] is set.
//!
//! Nothing else is ever cut. A file of which the position says nothing is somebody else's: it is
//! moved aside as it is, and a new one begun.

mod position;
mod rotation;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use weir_sink_formats::goflow2::{self, FlowMessage};

use rustix::fs::OFlags;

use self::position::{FileId, Position};
use crate::rows::{Place, RowBatch};
use crate::target::{Failure, Target};

/// Files can be read by their owner's group, and by nobody else: who talked to whom is nobody
/// else's business.
const MODE: u32 = 0o640;
/// A link in the place of a file is not followed: who may write to the folder would choose what
/// is written to.
const NO_LINK: i32 = OFlags::NOFOLLOW.bits().cast_signed();

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
    /// The file has that many bytes.
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
    /// The sink, and the store that frames come from.
    of: (String, String),
    open: Option<Open>,
    /// Rows of frames that are not written.
    buffer: Vec<u8>,
    /// The last of these frames.
    taken: Option<Place>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Bytes that are whole.
    length: u64,
    /// The last frame that is in the files.
    has: Option<Place>,
    /// When it was begun.
    begun: SystemTime,
    /// By which somebody else's rename is seen.
    id: FileId,
}

impl FileTarget {
    /// Nothing is opened yet. `sink` and `store` say whose frames they are: those of another sink
    /// were filtered otherwise, and those of another store have nothing to do with them,
    /// whatever their names.
    pub fn new(spec: FileSpec, sink: impl Into<String>, store: impl Into<String>) -> Self {
        Self {
            spec,
            of: (sink.into(), store.into()),
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

    /// Nobody renamed, removed or cut it.
    fn is_in_place(&self, open: &Open) -> bool {
        fs::symlink_metadata(&self.spec.path)
            .is_ok_and(|found| position::id(&found) == open.id && found.len() == open.length)
    }

    fn open_file(&self) -> io::Result<Open> {
        let position = Position::read(&self.spec.path)?;
        let (mut file, mut found) = self.open_whole()?;
        let is_of_it = |position: &&Position| position.id == position::id(&found);
        let length = match position.as_ref().filter(is_of_it) {
            Some(position) if position.length <= found.len() => position.length,
            _ if found.len() == 0 => 0,
            _ => {
                rotation::set_aside(&self.spec.path)?;
                (file, found) = self.open_whole()?;
                0
            }
        };
        file.set_len(length)?;
        if length == 0 && self.spec.sync {
            sync_folder(&self.spec.path)?;
        }
        let has = position
            .filter(|position| position.of == self.of)
            .and_then(|position| position.place);
        let open = Open {
            length,
            has,
            begun: match length {
                0 => SystemTime::now(),
                _ => found.created().unwrap_or(SystemTime::now()),
            },
            id: position::id(&found),
            file,
        };
        // Before anything is written: what is torn later is behind this place.
        self.note_position(&open)?;
        Ok(open)
    }

    fn open_whole(&self) -> io::Result<(File, fs::Metadata)> {
        let opened = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(MODE)
            .custom_flags(NO_LINK)
            .open(&self.spec.path);
        let file = opened.map_err(|error| match fs::symlink_metadata(&self.spec.path) {
            Ok(found) if found.is_symlink() => io::Error::other("it is a link; name the file itself"),
            _ => error,
        })?;
        let found = file.metadata()?;
        match found.is_file() {
            true => Ok((file, found)),
            false => Err(io::Error::other("it is no file")),
        }
    }

    fn note_position(&self, open: &Open) -> io::Result<()> {
        let position = Position {
            of: self.of.clone(),
            id: open.id,
            length: open.length,
            place: open.has,
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
        written.map_err(Failure::io(self.what("write")))?;
        let noted = self.open.as_ref().map_or(Ok(()), |open| self.note_position(open));
        noted.map_err(Failure::io(self.what("write the position of")))
    }

    fn rotate_if_due(&mut self) -> Result<(), Failure> {
        let Some(open) = &self.open else { return Ok(()) };
        let Some(through) = open.has else { return Ok(()) };
        let is_old = |age| open.begun.elapsed().is_ok_and(|is| is >= age);
        let is_due = open.length >= self.spec.rotate.bytes || self.spec.rotate.age.is_some_and(is_old);
        if open.length == 0 || !is_due || !self.is_in_place(open) {
            return Ok(());
        }
        rotation::rotate(&self.spec.path, through, self.spec.rotate.keep)
            .and_then(|()| {
                if self.spec.sync {
                    sync_folder(&self.spec.path)
                } else {
                    Ok(())
                }
            })
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

    fn idle(&mut self) -> Result<(), Failure> {
        self.rotate_if_due()
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

/// What was made and renamed in the folder of a file is on the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(rotation::folder(path))?.sync_all()
}
