//! An OVSDB with a port for each of the 10,000 pods that the load is about, so that
//! weir-collector has names to look up. It has no switch: nothing but names.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;
use weir_load::flow::{NODES, PODS, pod};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A running ovsdb-server.
#[derive(Debug)]
pub struct Names {
    folder: TempDir,
    server: Child,
}

impl Names {
    /// Starts it and fills it.
    pub fn start() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bench-names-")?;
        let database = folder.path().join("names.db");
        run(Command::new("ovsdb-tool")
            .arg("create")
            .arg(&database)
            .arg(SCHEMA))?;
        let server = Command::new("ovsdb-server")
            .arg(format!("--remote=punix:{}", socket(folder.path()).display()))
            .args(["--unixctl=none", "--no-chdir", "-vconsole:off"])
            .arg(&database)
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start ovsdb-server")?;
        let names = Self { folder, server };
        let give_up = Instant::now() + Duration::from_secs(10);
        while !socket(names.folder.path()).exists() {
            ensure!(Instant::now() < give_up, "ovsdb-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        names.fill()?;
        Ok(names)
    }

    /// Where it listens, as weir-collector takes it.
    pub fn endpoint(&self) -> String {
        format!("unix:{}", socket(self.folder.path()).display())
    }

    /// A transaction for each node, by ovsdb-client: ovs-vsctl would read the whole
    /// database each time.
    fn fill(&self) -> anyhow::Result<()> {
        self.transact(
            r#"{"op":"insert","table":"Bridge","row":{"name":"br-int"},"uuid-name":"br"},
            {"op":"insert","table":"Open_vSwitch","row":{"bridges":["named-uuid","br"]}}"#,
        )?;
        (0..NODES).try_for_each(|node| self.transact(&ports(node)))
    }

    fn transact(&self, operations: &str) -> anyhow::Result<()> {
        let transaction = format!(r#"["Open_vSwitch",{operations}]"#);
        let mut command = Command::new("ovsdb-client");
        let reply = run(command.args(["transact", &self.endpoint(), &transaction]))?;
        ensure!(
            !reply.contains(r#""error""#),
            "the database refuses names: {reply}"
        );
        Ok(())
    }
}

/// What makes the ports of a node's pods.
fn ports(node: u32) -> String {
    let (mut operations, mut names) = (String::new(), Vec::new());
    for number in 0..PODS {
        let (name, address) = (format!("n{node}p{number}"), pod(node, number));
        let iface = format!("ns-{}_pod-{node}-{number}", number % 20);
        operations += &format!(
            r#"{{"op":"insert","table":"Interface","uuid-name":"i{name}","row":{{"name":"{name}","external_ids":["map",[["iface-id","{iface}"],["ip_addresses","{address}"]]]}}}},
            {{"op":"insert","table":"Port","uuid-name":"{name}","row":{{"name":"{name}","interfaces":["named-uuid","i{name}"]}}}},"#
        );
        names.push(format!(r#"["named-uuid","{name}"]"#));
    }
    let names = names.join(",");
    operations
        + &format!(
            r#"{{"op":"mutate","table":"Bridge","where":[["name","==","br-int"]],"mutations":[["ports","insert",["set",[{names}]]]]}}"#
        )
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("names.sock")
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{:?} failed: {text}",
        command.get_program()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
