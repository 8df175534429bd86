//! A real ovsdb-server with a database of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::eventually;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// An ovsdb-server with a database of its own.
pub struct Database {
    server: Child,
    directory: PathBuf,
}

impl Database {
    pub fn start(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("weir-collector-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        run(Command::new("ovsdb-tool")
            .arg("create")
            .arg(directory.join("conf.db"))
            .arg(SCHEMA));
        let socket = directory.join("db.sock");
        let server = Command::new("ovsdb-server")
            .arg(directory.join("conf.db"))
            .arg(format!("--remote=punix:{}", socket.display()))
            .arg(format!("--unixctl={}", directory.join("ctl").display()))
            .args(["--no-chdir", "--log-file=/dev/null"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let database = Self { server, directory };
        eventually("ovsdb-server to listen", || socket.exists().then_some(()));
        database.vsctl("--no-wait init");
        database
    }

    pub fn endpoint(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("db.sock")
    }

    pub fn vsctl(&self, line: &str) {
        let mut command = Command::new("ovs-vsctl");
        command.arg(format!("--db={}", self.endpoint())).arg("--no-wait");
        run(command.args(line.split_whitespace()));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(Path::new(&self.directory));
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
