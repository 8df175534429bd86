//! The certificate that is shown over HTTPS. What renews certificates writes new files
//! while the collector runs: they are looked at again and again, and read anew when they
//! have changed. Files that cannot be used, such as a certificate whose key is not there
//! yet, change nothing.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio_rustls::rustls::ServerConfig;

use crate::tls::{self, TlsError, TlsFiles};

/// What clients may speak, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate as it was read last.
#[derive(Debug)]
pub(super) struct Certificate {
    files: TlsFiles,
    stamps: [FileStamp; 2],
    config: Arc<ServerConfig>,
}

/// Tells whether a file is another one than it was: its length, and when it was written.
type FileStamp = Option<(u64, SystemTime)>;

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// They are no certificate with its key.
    pub(super) fn read(files: TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            stamps: stamps(&files),
            config: tls::server_config(&files, &PROTOCOLS)?,
            files,
        })
    }

    /// What connections that come now are shown.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Reads the files anew if they have changed.
    pub(super) fn refresh(&mut self) {
        let stamps = stamps(&self.files);
        if stamps == self.stamps {
            return;
        }
        match tls::server_config(&self.files, &PROTOCOLS) {
            Ok(config) => {
                tracing::info!(certificate = %self.files.certificate.display(), "read anew");
                (self.stamps, self.config) = (stamps, config);
            }
            Err(error) => tracing::warn!(%error, "the certificate before is shown on"),
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
