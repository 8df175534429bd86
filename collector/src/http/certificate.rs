//! The certificate that is shown over HTTPS. What renews certificates writes new files
//! while the collector runs: they are looked at again and again, and read anew when they
//! have changed. Files that cannot be used, such as a certificate whose key is not there
//! yet, change nothing.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::presented::PROTOCOLS;
use crate::tls::{self, Clients, TlsError, TlsFiles};

/// The files of a certificate, as they were read last.
#[derive(Debug)]
pub(super) struct Certificate {
    files: TlsFiles,
    stamps: [FileStamp; 2],
}

/// Tells whether a file is another one than it was: its length, and when it was written.
type FileStamp = Option<(u64, SystemTime)>;

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// They are no certificate with its key.
    pub(super) fn read(files: TlsFiles) -> Result<Self, TlsError> {
        let stamps = stamps(&files);
        tls::server_config(&files, Clients::Any, &PROTOCOLS)?;
        Ok(Self { files, stamps })
    }

    /// Where they are.
    pub(super) fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// Whether they have changed, and can be used.
    pub(super) fn refresh(&mut self) -> bool {
        let stamps = stamps(&self.files);
        if stamps == self.stamps {
            return false;
        }
        match tls::server_config(&self.files, Clients::Any, &PROTOCOLS) {
            Ok(_) => {
                tracing::info!(certificate = %self.files.certificate.display(), "read anew");
                self.stamps = stamps;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the certificate before is shown on");
                false
            }
        }
    }
}

fn stamps(files: &TlsFiles) -> [FileStamp; 2] {
    let stamp = |file: &Path| {
        let facts = fs::metadata(file).ok()?;
        Some((facts.len(), facts.modified().ok()?))
    };
    [stamp(&files.certificate), stamp(&files.private_key)]
}
