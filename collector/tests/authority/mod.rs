//! Certificates, made by OpenSSL.

use std::path::PathBuf;
use std::process::Command;

/// An authority, and certificates of it.
pub struct Authority(PathBuf);

impl Authority {
    pub fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("weir-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let authority = Self(directory);
        authority.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=authority");
        std::fs::write(
            authority.file("names"),
            "subjectAltName=DNS:collector.test,IP:127.0.0.1\n",
        )
        .unwrap();
        for who in ["server", "client"] {
            authority.openssl(&format!("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {who}.key -out {who}.csr -subj /CN={who}"));
            authority.openssl(&format!("x509 -req -in {who}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {who}.pem"));
        }
        authority
    }

    fn openssl(&self, line: &str) {
        let mut command = Command::new("openssl");
        let output = command
            .args(line.split(' '))
            .current_dir(&self.0)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // It is in the directory for such files in any case.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
