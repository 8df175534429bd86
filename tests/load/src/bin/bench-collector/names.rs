//! An OVSDB with a port for each of the 10,000 pods that the load is about, so that
//! weir-collector has names to look up. It has no switch: nothing but names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use weir_load::flow::{NODES, PODS, pod};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A running ovsdb-server.
#[derive(Debug)]
pub struct Names {
    folder: PathBuf,
    server: Child,
}

impl Names {
    /// Starts it and fills it.
    pub fn start() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("bench-names-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let database = folder.join("names.db");
        run(Command::new("ovsdb-tool")
            .arg("create")
            .arg(&database)
            .arg(SCHEMA))?;
        let server = Command::new("ovsdb-server")
            .arg(format!("--remote=punix:{}", socket(&folder).display()))
            .args(["--unixctl=none", "--no-chdir", "-vconsole:off"])
            .arg(&database)
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start ovsdb-server")?;
        let names = Self { folder, server };
        let give_up = Instant::now() + Duration::from_secs(10);
        while !socket(&names.folder).exists() {
            ensure!(Instant::now() < give_up, "ovsdb-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        names.fill()?;
        Ok(names)
    }

    /// Where it listens, as weir-collector takes it.
    pub fn endpoint(&self) -> String {
        format!("unix:{}", socket(&self.folder).display())
    }

    fn fill(&self) -> anyhow::Result<()> {
        run(self.vsctl().args(["init", "--", "add-br", "br-int"]))?;
        for node in 0..NODES {
            let mut command = self.vsctl();
            for number in 0..PODS {
                let port = format!("n{node}p{number}");
                command.args(["--", "add-port", "br-int", &port, "--", "set", "Interface", &port]);
                command.arg(format!(
                    "external_ids:iface-id=ns-{}_pod-{node}-{number}",
                    number % 20
                ));
                command.arg(format!("external_ids:ip_addresses={}", pod(node, number)));
            }
            run(&mut command)?;
        }
        Ok(())
    }

    fn vsctl(&self) -> Command {
        let mut command = Command::new("ovs-vsctl");
        command.arg(format!("--db={}", self.endpoint())).arg("--no-wait");
        command
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("names.sock")
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{:?} failed: {text}",
        command.get_program()
    );
    Ok(())
}
