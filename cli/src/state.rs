//! What a running `weir up` leaves in its data directory for `weir status`: one
//! file, replaced as a whole, removed at the end.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use weir_api::NodeFlowExportStatus;

const FILE: &str = "status.json";

/// The last report.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    /// Name of the node.
    pub node: String,
    /// The process that wrote it.
    pub process: u32,
    /// What the node's OVSDB shows.
    pub status: NodeFlowExportStatus,
}

/// The data directory of a running `weir up`.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
}

impl DataDirectory {
    /// Takes the directory, making it if need be.
    ///
    /// # Errors
    /// It cannot be made, or another process that still runs has it.
    pub fn take(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        if let Ok(state) = read(path) {
            anyhow::ensure!(
                !runs(state.process),
                "{} belongs to process {}, which is running; give another --data-dir",
                path.display(),
                state.process
            );
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Replaces the report.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn write(&self, node: &str, status: &NodeFlowExportStatus) -> Result<()> {
        let state = State {
            node: node.to_owned(),
            process: std::process::id(),
            status: status.clone(),
        };
        let (partial, file) = (self.path.join("status.partial"), self.path.join(FILE));
        fs::write(&partial, serde_json::to_vec_pretty(&state)?)
            .and_then(|()| fs::rename(&partial, &file))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        // It was never written, or somebody was faster: either way it is gone.
        let _ = fs::remove_file(self.path.join(FILE));
    }
}

/// Reads the report of the `weir up` that has this data directory.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn read(path: &Path) -> Result<State> {
    let file = path.join(FILE);
    let text = fs::read(&file).with_context(|| format!("no `weir up` reports in {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is malformed", file.display()))
}

/// Whether a process runs, and is not this one.
pub fn runs(process: u32) -> bool {
    process != std::process::id() && Path::new("/proc").join(process.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("weir-state-{}-{name}", std::process::id()))
    }

    #[test]
    fn what_is_written_is_read_and_goes_with_its_writer() {
        let path = scratch("round");
        let directory = DataDirectory::take(&path).unwrap();
        let status = NodeFlowExportStatus {
            protocols: "IPFIX".into(),
            ..Default::default()
        };
        directory.write("node-a", &status).unwrap();
        let state = read(&path).unwrap();
        assert_eq!((state.node.as_str(), &state.status), ("node-a", &status));
        drop(directory);
        assert!(read(&path).unwrap_err().to_string().contains("weir-state"));
        fs::remove_dir(&path).unwrap();
    }

    #[test]
    fn a_directory_that_a_running_process_has_is_refused() {
        let path = scratch("taken");
        fs::create_dir_all(&path).unwrap();
        // Process 1 always runs.
        let state = State {
            node: "n".into(),
            process: 1,
            status: Default::default(),
        };
        fs::write(path.join(FILE), serde_json::to_vec(&state).unwrap()).unwrap();
        let error = DataDirectory::take(&path).unwrap_err().to_string();
        assert!(error.contains("process 1"), "{error}");
        fs::remove_dir_all(&path).unwrap();
    }
}
