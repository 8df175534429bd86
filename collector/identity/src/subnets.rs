//! Names that the configuration gives to networks, in the shape of `subnetLabels`
//! of NetObserv's FlowCollector. The smallest network around an address names it.
//! Pure: who reads the file, and reads it again when it changed, hands its text in.
//!
//! ```yaml
//! customLabels:
//! - name: offices
//!   cidrs: ["192.0.2.0/24", "2001:db8:1::/48"]
//! ```

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use serde::Deserialize;
use thiserror::Error;

/// Why a file of labels is not used.
#[derive(Debug, Error)]
pub enum LabelsError {
    /// It is not what it should be.
    #[error("{0}: {1}")]
    Yaml(PathBuf, String),
    /// One of its entries is wrong.
    #[error("{0}: customLabels[{1}] ({2:?}): {3}")]
    Entry(PathBuf, usize, String, String),
}

/// The labels by network.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    v4: PrefixMap<Ipv4Net, Arc<str>>,
    v6: PrefixMap<Ipv6Net, Arc<str>>,
}

/// `customLabels` alone, or as a part of `subnetLabels`. What else a FlowCollector
/// has there (`openShiftAutoDetect`) is let pass.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    custom_labels: Vec<Entry>,
    subnet_labels: Option<Box<File>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    name: String,
    #[serde(default)]
    cidrs: Vec<String>,
}

impl Labels {
    /// Reads the labels out of the text of a file.
    ///
    /// # Errors
    /// The text is no YAML of this shape, or an entry is wrong; the error names it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LabelsError> {
        let yaml = |error: String| LabelsError::Yaml(path.to_owned(), error);
        let file: Option<File> =
            serde_saphyr::from_str(text).map_err(|e| yaml(e.to_string().trim_end().to_owned()))?;
        let file = file.unwrap_or_default();
        let entries = file
            .subnet_labels
            .map_or(file.custom_labels, |inner| inner.custom_labels);
        let mut labels = Self::default();
        for (at, entry) in entries.into_iter().enumerate() {
            let wrong = |why| LabelsError::Entry(path.to_owned(), at, entry.name.clone(), why);
            labels.add(&entry).map_err(wrong)?;
        }
        Ok(labels)
    }

    fn add(&mut self, entry: &Entry) -> Result<(), String> {
        if entry.name.is_empty() {
            return Err("it has no name".to_owned());
        }
        let name: Arc<str> = entry.name.as_str().into();
        for cidr in &entry.cidrs {
            let network: IpNet = cidr
                .parse()
                .map_err(|_| format!("{cidr:?} is no network such as 192.0.2.0/24"))?;
            let other = match network.trunc() {
                IpNet::V4(network) => self.v4.insert(network, Arc::clone(&name)),
                IpNet::V6(network) => self.v6.insert(network, Arc::clone(&name)),
            };
            if let Some(other) = other.filter(|other| *other != name) {
                return Err(format!("{cidr} is {other:?} already"));
            }
        }
        Ok(())
    }

    /// These labels, and those of `others` for networks that have none here.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        let mut all = others.clone();
        for (network, name) in &self.v4 {
            all.v4.insert(network, Arc::clone(name));
        }
        for (network, name) in &self.v6 {
            all.v6.insert(network, Arc::clone(name));
        }
        all
    }

    /// The label of the smallest network around an address.
    pub fn get(&self, address: IpAddr) -> Option<&Arc<str>> {
        match address.to_canonical() {
            IpAddr::V4(address) => Some(self.v4.get_lpm(&address.into())?.1),
            IpAddr::V6(address) => Some(self.v6.get_lpm(&address.into())?.1),
        }
    }

    /// How many networks have one.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether no network has one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
