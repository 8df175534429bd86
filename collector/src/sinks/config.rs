//! The file of sinks: what stands in it, and what is wrong with it.

use std::collections::BTreeSet;
use std::path::{Component, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use weir_query::filter::nearest;
use weir_query::{FrameSelection, span};
use weir_sinks::file::{FileSpec, Format, Rotation};
use weir_sinks::ipfix::{IpfixSpec, Transport};
use weir_store::Bounds;

/// Sinks at most: each is a thread.
const MOST: usize = 32;
/// The longest name, so that a cursor of it can be one.
const LONGEST_NAME: usize = 48;
/// What may wait for a sink, unless it says otherwise.
const QUEUE_BYTES: u64 = 1 << 30;
/// Bytes of a message that no path cuts (RFC 7011 §10.3.3 leaves it to who knows the path).
const MESSAGE_BYTES: usize = 1400;

/// One sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSpec {
    /// Its name, by which its cursor is found again.
    pub name: String,
    /// Which records, as `weir flows` takes it.
    pub filter: String,
    /// All observations of a packet, not only the primary one.
    pub all_observations: bool,
    /// Of JSON: these columns; none: all.
    pub columns: Vec<String>,
    /// What may wait for it in the log.
    pub bounds: Bounds,
    /// Where they go.
    pub target: TargetSpec,
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetSpec {
    /// Into a file.
    File(FileSpec),
    /// To a collector of IPFIX.
    Ipfix(IpfixSpec),
}

impl TargetSpec {
    /// In a word and an address.
    pub fn describe(&self) -> String {
        match self {
            Self::File(file) => format!("file {}", file.path.display()),
            Self::Ipfix(to) => match to.transport {
                Transport::Udp => format!("ipfix udp {}", to.address),
                Transport::Tcp => format!("ipfix tcp {}", to.address),
            },
        }
    }
}

/// What is wrong with a file of sinks.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is no such file.
    #[error("{0}")]
    Yaml(String),
    /// A sink cannot be.
    #[error("sinks[{place}]{}: {why}", named(.name))]
    Sink {
        /// Which, from 0.
        place: usize,
        /// Its name, if it has one.
        name: String,
        /// Why.
        why: String,
    },
    /// There are too many.
    #[error("there are {0} sinks, more than {MOST}")]
    Many(usize),
}

fn named(name: &str) -> String {
    match name {
        "" => String::new(),
        name => format!(" {name:?}"),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sinks: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    filter: String,
    #[serde(default)]
    observations: Observations,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    queue: Queue,
    file: Option<FileEntry>,
    ipfix: Option<IpfixEntry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Observations {
    #[default]
    Primary,
    All,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Queue {
    max_bytes: Option<Size>,
    max_age: Option<Age>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    path: PathBuf,
    #[serde(default)]
    format: FormatWord,
    #[serde(default)]
    rotate: RotateEntry,
    #[serde(default)]
    sync: bool,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FormatWord {
    #[default]
    Json,
    #[serde(rename = "goflow2-json")]
    Goflow2Json,
    #[serde(rename = "goflow2-proto")]
    Goflow2Proto,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RotateEntry {
    bytes: Option<Size>,
    age: Option<Age>,
    keep: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IpfixEntry {
    address: String,
    #[serde(default)]
    transport: TransportWord,
    #[serde(default)]
    domain: u32,
    message_bytes: Option<usize>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TransportWord {
    #[default]
    Udp,
    Tcp,
}

/// Bytes, as the command line takes them.
#[derive(Debug, Clone, Copy)]
struct Size(u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let size = span::parse_size(&text).filter(|size| *size > 0).map(Self);
        size.ok_or_else(|| de::Error::custom(format!("{text:?} is no size such as 500MB or 1GiB")))
    }
}

/// A span of time, as the command line takes it.
#[derive(Debug, Clone, Copy)]
struct Age(Duration);

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let age = span::parse_duration(&text).filter(|age| !age.is_zero()).map(Self);
        age.ok_or_else(|| de::Error::custom(format!("{text:?} is no time such as 30m, 12h or 7d")))
    }
}

/// Reads a file of sinks and checks all of it.
///
/// # Errors
/// It is wrong: the error names the place, and the key or value that was perhaps meant.
pub fn parse(text: &str) -> Result<Vec<SinkSpec>, ConfigError> {
    let file: Option<File> =
        serde_saphyr::from_str(text).map_err(|error| ConfigError::Yaml(with_nearest(&error)))?;
    let entries = file.map(|file| file.sinks).unwrap_or_default();
    if entries.len() > MOST {
        return Err(ConfigError::Many(entries.len()));
    }
    let (mut names, mut paths, mut sinks) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (place, entry) in entries.into_iter().enumerate() {
        let name = entry.name.clone();
        let wrong = |why| ConfigError::Sink {
            place,
            name: name.clone(),
            why,
        };
        let sink = entry.checked().map_err(wrong)?;
        if !names.insert(sink.name.clone()) {
            return Err(wrong("another one has this name".to_owned()));
        }
        if let TargetSpec::File(file) = &sink.target
            && !paths.insert(file.path.clone())
        {
            return Err(wrong(format!("another one writes {}", file.path.display())));
        }
        sinks.push(sink);
    }
    Ok(sinks)
}

impl Entry {
    fn checked(self) -> Result<SinkSpec, String> {
        check_name(&self.name)?;
        let all_observations = self.observations == Observations::All;
        FrameSelection::new(&self.filter, all_observations, &self.columns)
            .map_err(|error| error.to_string())?;
        let target = match (self.file, self.ipfix) {
            (Some(file), None) => TargetSpec::File(file.checked(&self.columns)?),
            (None, Some(_)) if !self.columns.is_empty() => {
                return Err("columns: IPFIX has the elements of its layout; leave them out".to_owned());
            }
            (None, Some(ipfix)) => TargetSpec::Ipfix(ipfix.checked()?),
            (None, None) => return Err("it has no target: file or ipfix".to_owned()),
            (Some(_), Some(_)) => return Err("it has two targets; make two sinks of it".to_owned()),
        };
        Ok(SinkSpec {
            name: self.name,
            filter: self.filter,
            all_observations,
            columns: self.columns,
            bounds: Bounds {
                bytes: self.queue.max_bytes.map_or(QUEUE_BYTES, |size| size.0),
                age: self.queue.max_age.map(|age| age.0),
            },
            target,
        })
    }
}

impl FileEntry {
    fn checked(self, columns: &[String]) -> Result<FileSpec, String> {
        let is_plain = |part: Component| matches!(part, Component::RootDir | Component::Normal(_));
        let is_whole = self.path.is_absolute() && self.path.file_name().is_some();
        if !is_whole || !self.path.components().all(is_plain) {
            return Err(format!(
                "file.path: {} is no absolute path of a file without ..",
                self.path.display()
            ));
        }
        let ending = self.path.extension().unwrap_or_default();
        if ending == "position" || ending == "unfinished" {
            return Err(
                "file.path: .position and .unfinished are the endings of what stands beside a file"
                    .to_owned(),
            );
        }
        let format = match self.format {
            FormatWord::Json => Format::Json,
            _ if !columns.is_empty() => {
                return Err("columns: goflow2's messages have their own; leave them out".to_owned());
            }
            FormatWord::Goflow2Json => Format::Goflow2Json,
            FormatWord::Goflow2Proto => Format::Goflow2Proto,
        };
        let usual = Rotation::default();
        Ok(FileSpec {
            path: self.path,
            format,
            rotate: Rotation {
                bytes: self.rotate.bytes.map_or(usual.bytes, |size| size.0),
                age: self.rotate.age.map(|age| age.0),
                keep: self.rotate.keep.unwrap_or(usual.keep),
            },
            sync: self.sync,
        })
    }
}

impl IpfixEntry {
    fn checked(self) -> Result<IpfixSpec, String> {
        let port = self.address.rsplit_once(':').and_then(|(host, port)| {
            let is_host =
                !host.is_empty() && (!host.contains(':') || host.starts_with('[') && host.ends_with(']'));
            is_host.then(|| port.parse::<u16>().ok()).flatten()
        });
        if port.is_none_or(|port| port == 0) {
            return Err(format!(
                "ipfix.address: {:?} is no HOST:PORT such as 192.0.2.1:4739 or [2001:db8::1]:4739",
                self.address
            ));
        }
        let message_bytes = self.message_bytes.unwrap_or(MESSAGE_BYTES);
        // The templates alone are longer than that of the smallest path.
        if !(512..=65_507).contains(&message_bytes) {
            return Err(format!(
                "ipfix.message_bytes: {message_bytes} is not from 512 to 65507"
            ));
        }
        Ok(IpfixSpec {
            address: self.address,
            transport: match self.transport {
                TransportWord::Udp => Transport::Udp,
                TransportWord::Tcp => Transport::Tcp,
            },
            domain: self.domain,
            message_bytes,
        })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let may = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(may) {
        return Ok(());
    }
    Err(format!("name: use 1 to {LONGEST_NAME} of a-z, 0-9 and '-'"))
}

/// What the parser says, and the key that was probably meant.
fn with_nearest(error: &serde_saphyr::Error) -> String {
    let text = error.to_string().trim_end().to_owned();
    match nearest_of(&text) {
        Some(near) => format!("{text}\ndid you mean {near}?"),
        None => text,
    }
}

/// Of "unknown field `x`, expected one of y, z" the one that looks most like the first.
fn nearest_of(text: &str) -> Option<String> {
    let line = text
        .lines()
        .find(|line| line.contains("unknown field") || line.contains("unknown variant"))?;
    let (said, expected) = line.split_once(", expected ")?;
    let words = expected.trim_start_matches("one of ").split([',', ' ']);
    nearest(said.split('`').nth(1)?, words.map(|word| word.trim_matches('`')))
}

#[cfg(test)]
mod tests;
