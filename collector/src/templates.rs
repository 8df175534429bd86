//! Templates on disk, so that data decodes at once after a restart: a file in the state
//! directory, read at the start and written by one thread, off the receive path. It owns
//! the file, not what is in it: that is `wire`'s [`Archive`].
//!
//! The file: `weir-tmp`, the form's version (4 octets), the CRC-32 of the rest (4), the
//! rest. It is replaced as a whole, so that a crash leaves the old one or the new one.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::gauge::Gauge;
use thiserror::Error;
use weir_store::{Lock, Refused};
use wire::{Archive, ArchiveError, Decoder, Learned, Limits};

const MAGIC: [u8; 8] = *b"weir-tmp";
const VERSION: u32 = 1;
const HEADER: usize = MAGIC.len() + 4 + 4;

/// A larger file is none of ours.
const MAX_OCTETS: u64 = 256 << 20;

/// Least time between two times that a worker tells what it has learned.
const INTERVAL_MS: u64 = 5_000;

/// How long the writer waits for more before it writes.
const GATHER: Duration = Duration::from_secs(2);

/// Lots that may wait for the writer.
const LOTS: usize = 16;

/// Beside the file, which is replaced and so cannot be locked itself. A store in the
/// same directory has a lock of another name.
const LOCK: &str = "templates.lock";

/// A state directory cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// It cannot be made, or not be written.
    #[error("the state directory {path} cannot be used: {error}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another collector keeps its templates there.
    #[error("the state directory {path} is in use by process {holder}; stop it, or choose another directory")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process's number, as it wrote it down.
        holder: String,
    },
}

/// A file of templates cannot be used.
#[derive(Debug, Error)]
pub enum TemplatesError {
    /// The system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not begin as one does.
    #[error("it is no file of templates")]
    Foreign,
    /// It is of another version of this program.
    #[error("its form has version {0}, not {VERSION}")]
    Version(u32),
    /// Its checksum is wrong.
    #[error("it is damaged")]
    Damaged,
    /// What is in it is no archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// The file of templates. No other process has it as long as this lives.
#[derive(Debug)]
pub struct TemplateFile {
    path: PathBuf,
    _lock: Lock,
}

impl TemplateFile {
    /// The file of this state directory, which is made if it is not there.
    ///
    /// # Errors
    /// The directory cannot be made or written, or another process has it.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let path = directory.to_owned();
        let taken = fs::create_dir_all(directory).map_err(Refused::Io);
        match taken.and_then(|()| Lock::take(directory, LOCK)) {
            Ok(lock) => Ok(Self {
                path: directory.join("templates"),
                _lock: lock,
            }),
            Err(Refused::Held(holder)) => Err(StateError::InUse { path, holder }),
            Err(Refused::Io(error)) => Err(StateError::Io { path, error }),
        }
    }

    /// What is in it. One that is broken is reported and moved aside, and nothing is
    /// known then.
    pub fn load(&self, limits: &Limits) -> Archive {
        match self.read(limits) {
            Ok(archive) => {
                tracing::info!(path = %self.path.display(), templates = archive.templates(), "templates are known from before");
                archive
            }
            Err(TemplatesError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Archive::default(),
            Err(error) => {
                let aside = self.path.with_extension("broken");
                let moved = fs::rename(&self.path, &aside).is_ok();
                tracing::warn!(path = %self.path.display(), %error, moved, "the templates from before are lost");
                Archive::default()
            }
        }
    }

    fn read(&self, limits: &Limits) -> Result<Archive, TemplatesError> {
        let mut octets = Vec::new();
        let file = File::open(&self.path)?;
        file.take(MAX_OCTETS).read_to_end(&mut octets)?;
        let content = unwrap(&octets)?;
        let now_ms = now_ms();
        let oldest_ms = now_ms.saturating_sub(limits.template_age_ms);
        Ok(Archive::decode(content, limits, oldest_ms, now_ms)?)
    }

    /// Replaces it.
    ///
    /// # Errors
    /// The old one stays.
    pub fn write(&self, archive: &Archive) -> io::Result<()> {
        let content = archive.encode();
        let partial = self.path.with_extension("partial");
        let mut file = File::create(&partial)?;
        file.write_all(&MAGIC)?;
        file.write_all(&VERSION.to_be_bytes())?;
        file.write_all(&crc32(&content).to_be_bytes())?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&partial, &self.path)?;
        // The name is as lasting as the content only when the directory is.
        let directory = self.path.parent().unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    }
}

/// The content of a file that is whole.
fn unwrap(octets: &[u8]) -> Result<&[u8], TemplatesError> {
    let (header, content) = octets.split_at_checked(HEADER).ok_or(TemplatesError::Foreign)?;
    let number = |place: usize| {
        header[place..place + 4]
            .iter()
            .fold(0, |n, o| n << 8 | u32::from(*o))
    };
    if !header.starts_with(&MAGIC) {
        return Err(TemplatesError::Foreign);
    }
    match number(MAGIC.len()) {
        VERSION if number(MAGIC.len() + 4) == crc32(content) => Ok(content),
        VERSION => Err(TemplatesError::Damaged),
        other => Err(TemplatesError::Version(other)),
    }
}

/// CRC-32 as in IEEE 802.3.
fn crc32(octets: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut octet = 0;
        while octet < 256 {
            let (mut crc, mut bit) = (octet as u32, 0);
            while bit < 8 {
                crc = if crc & 1 == 1 {
                    crc >> 1 ^ 0xedb8_8320
                } else {
                    crc >> 1
                };
                bit += 1;
            }
            table[octet] = crc;
            octet += 1;
        }
        table
    };
    let step = |crc: u32, octet: &u8| TABLE[usize::from(crc as u8 ^ octet)] ^ crc >> 8;
    !octets.iter().fold(u32::MAX, step)
}

/// What the workers need: what is known from before, and the way to the writer.
#[derive(Debug, Clone, Default)]
pub struct Templates {
    known: Archive,
    writer: Option<SyncSender<Vec<Learned>>>,
}

impl Templates {
    /// Reads the file. What is returned with it writes it again.
    pub fn open(file: TemplateFile, limits: Limits, saved: Gauge) -> (Self, Writer) {
        let known = file.load(&limits);
        let (writer, inbox) = sync_channel(LOTS);
        let archive = known.clone();
        let templates = Self {
            known,
            writer: Some(writer),
        };
        (
            templates,
            Writer {
                file,
                limits,
                archive,
                inbox,
                saved,
            },
        )
    }

    /// Teaches a new decoder; what it learns is to be told to what is returned.
    pub fn teach(&self, decoder: &mut Decoder) -> TemplatePublisher {
        decoder.recall(&self.known);
        TemplatePublisher {
            writer: self.writer.clone(),
            next_ms: 0,
            lot: Vec::new(),
        }
    }
}

/// Tells the writer now and then what a decoder has learned. The default tells nobody.
#[derive(Debug, Default)]
pub struct TemplatePublisher {
    writer: Option<SyncSender<Vec<Learned>>>,
    next_ms: u64,
    lot: Vec<Learned>,
}

impl TemplatePublisher {
    /// There was work; never waits.
    pub fn busy(&mut self, decoder: &mut Decoder) {
        if self.writer.is_some() {
            let now_ms = now_ms();
            // Further away than it ever is: the clock was set back.
            let waits = self.next_ms.saturating_sub(now_ms);
            if !(1..=INTERVAL_MS).contains(&waits) {
                self.tell(decoder, now_ms);
            }
        }
    }

    /// There will be no work for a while; never waits.
    pub fn idle(&mut self, decoder: &mut Decoder) {
        if self.writer.is_some() {
            self.tell(decoder, now_ms());
        }
    }

    /// There will be no more work. Waits until the writer has taken it.
    pub fn end(&mut self, decoder: &mut Decoder) {
        self.idle(decoder);
        if let Some(writer) = self.writer.take().filter(|_| !self.lot.is_empty()) {
            // It fails when the writer has died, which is reported already.
            let _ = writer.send(std::mem::take(&mut self.lot));
        }
    }

    fn tell(&mut self, decoder: &mut Decoder, now_ms: u64) {
        self.next_ms = now_ms.saturating_add(INTERVAL_MS);
        self.lot.extend(decoder.take_learned(now_ms));
        if self.lot.is_empty() {
            return;
        }
        if let Some(writer) = &self.writer
            && let Err(TrySendError::Full(lot)) = writer.try_send(std::mem::take(&mut self.lot))
        {
            self.lot = lot;
        }
    }
}

/// Writes the file whenever something was learned.
#[derive(Debug)]
pub struct Writer {
    file: TemplateFile,
    limits: Limits,
    archive: Archive,
    inbox: Receiver<Vec<Learned>>,
    saved: Gauge,
}

impl Writer {
    /// Works until nobody can tell anything any more.
    pub fn run(mut self) {
        self.saved.set(self.archive.templates() as i64);
        while let Ok(lot) = self.inbox.recv() {
            self.take(lot);
            self.gather();
            let oldest_ms = now_ms().saturating_sub(self.limits.template_age_ms);
            self.archive.forget(oldest_ms, self.limits.scopes);
            if let Err(error) = self.file.write(&self.archive) {
                tracing::warn!(path = %self.file.path.display(), %error, "templates cannot be written");
                continue;
            }
            self.saved.set(self.archive.templates() as i64);
        }
    }

    fn take(&mut self, lot: Vec<Learned>) {
        lot.into_iter().for_each(|learned| self.archive.merge(learned));
    }

    fn gather(&mut self) {
        let end = Instant::now() + GATHER;
        loop {
            match self
                .inbox
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(lot) => self.take(lot),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
