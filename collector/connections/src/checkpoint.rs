//! The state as bytes: `WEIRCONN`, the version of the format, the state, its length and
//! its CRC-32. All numbers are varints (LEB128) but those of the frame around them, which
//! are little endian; texts and identities that many share are in it once, where they
//! come first.
//!
//! Open connections stand in the order of their timers and remembered ones in that of
//! their age, so that what was restored does the same as what was written.

mod decode;
mod encode;
mod read;
mod write;

use std::io::{self, Write};

use crate::config::Config;
use crate::connections::Connections;

const MAGIC: &[u8; 8] = b"WEIRCONN";
/// Of the format. A state of another version is not read: the log is, from its start.
const VERSION: u16 = 2;
const HEADER: usize = MAGIC.len() + 2;
const TRAILER: usize = 8 + 4;

/// Why bytes are no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// They are something else.
    #[error("this is no checkpoint of connections: it does not begin with WEIRCONN")]
    NotACheckpoint,
    /// Another program wrote them.
    #[error(
        "the checkpoint has version {0} and this program reads {VERSION}: remove it, and connections begin with what the log has"
    )]
    Version(u16),
    /// The end is missing, or there is more than one.
    #[error("the checkpoint has {found} bytes and says {expected}: it was not written to its end")]
    Length {
        /// By its trailer; 0 where there is none.
        expected: u64,
        /// That there are.
        found: u64,
    },
    /// They are not those that were written.
    #[error("the checkpoint is damaged: its checksum is {found:08x} instead of {expected:08x}")]
    Checksum {
        /// By its trailer.
        expected: u32,
        /// Of what is there.
        found: u32,
    },
    /// They are of connections of another cluster, whose ids are others.
    #[error("the checkpoint is of cluster {found:?}, not of {expected:?}")]
    Cluster {
        /// By the configuration.
        expected: String,
        /// By the checkpoint.
        found: String,
    },
    /// The checksum is right and the state is not.
    #[error("the checkpoint is malformed at byte {at}: {what}")]
    Malformed {
        /// From its beginning.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
}

impl CheckpointError {
    /// A word for metrics, of a fixed set.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotACheckpoint => "other_file",
            Self::Version(_) => "version",
            Self::Length { .. } => "length",
            Self::Checksum { .. } => "checksum",
            Self::Cluster { .. } => "cluster",
            Self::Malformed { .. } => "malformed",
        }
    }
}

impl Connections {
    /// Writes the state. Who calls it makes it safe: a new file, renamed into place.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn checkpoint(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let mut writer = write::Writer::new(out);
        encode::state(self, &mut writer)?;
        let (length, checksum) = writer.finish()?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(&checksum.to_le_bytes())
    }

    /// The state that was written, to go on under a configuration that may differ in all
    /// but the cluster.
    ///
    /// # Errors
    /// [`CheckpointError`]: nothing is believed of bytes in which anything is wrong.
    pub fn restore(config: Config, bytes: &[u8]) -> Result<Self, CheckpointError> {
        decode::state(config, payload(bytes)?)
    }
}

/// What is between header and trailer, if both are right.
fn payload(bytes: &[u8]) -> Result<&[u8], CheckpointError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(CheckpointError::NotACheckpoint)?;
    let found = (bytes.len().saturating_sub(HEADER + TRAILER)) as u64;
    let cut = CheckpointError::Length { expected: 0, found };
    let (version, rest) = rest.split_first_chunk().ok_or(cut.clone())?;
    let version = u16::from_le_bytes(*version);
    if version != VERSION {
        return Err(CheckpointError::Version(version));
    }
    let (rest, checksum) = rest.split_last_chunk().ok_or(cut.clone())?;
    let (payload, length) = rest.split_last_chunk().ok_or(cut)?;
    let expected = u64::from_le_bytes(*length);
    if expected != found {
        return Err(CheckpointError::Length { expected, found });
    }
    let (expected, found) = (u32::from_le_bytes(*checksum), crc32fast::hash(payload));
    if expected != found {
        return Err(CheckpointError::Checksum { expected, found });
    }
    Ok(payload)
}
