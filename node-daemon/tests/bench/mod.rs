//! A private ovsdb-server, and ovs-vswitchd where it is needed, in a folder of
//! their own; both end with the test.
#![allow(dead_code, reason = "each test binary uses its own part of the bench")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// Long enough for a busy machine; nothing waits that long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A switch.
pub struct Switch {
    folder: PathBuf,
    schema: PathBuf,
    server: Option<Process>,
    vswitchd: Option<Process>,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Switch {
    /// An ovsdb-server with the installed schema.
    pub fn start() -> Self {
        let mut switch = Self::prepare();
        switch.start_server();
        switch
    }

    /// An ovsdb-server with columns that the installed schema may lack.
    pub fn start_newer() -> Self {
        let mut switch = Self::prepare();
        let mut schema: Value = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
        for column in ["stats_interval", "template_interval"] {
            schema["tables"]["IPFIX"]["columns"][column] = serde_json::json!(
                {"type": {"key": {"type": "integer", "minInteger": 1, "maxInteger": 3600}, "min": 0, "max": 1}}
            );
        }
        schema.as_object_mut().unwrap().remove("cksum");
        switch.schema = switch.path("newer.ovsschema");
        fs::write(&switch.schema, schema.to_string()).unwrap();
        switch.start_server();
        switch
    }

    fn prepare() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("weir-node-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            schema: SCHEMA.into(),
            server: None,
            vswitchd: None,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn socket(&self) -> String {
        format!("unix:{}", self.path("db.sock").display())
    }

    /// Starts ovsdb-server, with a new database where there is none.
    pub fn start_server(&mut self) {
        let database = self.path("conf.db");
        if !database.exists() {
            self.run("ovsdb-tool", &["create", text(&database), text(&self.schema)]);
        }
        let remote = format!("--remote=p{}", self.socket());
        self.server = Some(self.spawn("ovsdb-server", &[text(&database), &remote]));
        wait("ovsdb-server", || self.try_vsctl(&["--no-wait", "init"]).is_ok());
    }

    /// Kills ovsdb-server as a crash would.
    pub fn kill_server(&mut self) {
        self.server = None;
    }

    /// Forgets all that was configured.
    pub fn empty_database(&mut self) {
        self.kill_server();
        fs::remove_file(self.path("conf.db")).unwrap();
        self.start_server();
    }

    pub fn start_vswitchd(&mut self) {
        let socket = self.socket();
        self.vswitchd = Some(self.spawn("ovs-vswitchd", &[&socket, "--disable-system"]));
    }

    /// The same with ports into which [`Self::receive`] puts packets.
    pub fn start_dummy_vswitchd(&mut self) {
        let socket = self.socket();
        let args = [socket.as_str(), "--disable-system", "--enable-dummy"];
        self.vswitchd = Some(self.spawn("ovs-vswitchd", &args));
    }

    /// A packet comes in at a dummy port; not while the switch is still making it.
    pub fn receive(&self, port: &str, flow: &str) -> bool {
        let vswitchd = self.vswitchd.as_ref().expect("an ovs-vswitchd runs");
        let socket = self.path(&format!("ovs-vswitchd.{}.ctl", vswitchd.0.id()));
        let target = format!("--target={}", socket.display());
        let mut command = self.command("ovs-appctl");
        let command = command.args([&target, "netdev-dummy/receive", port, flow]);
        command.status().unwrap().success()
    }

    /// Kills ovs-vswitchd with SIGKILL: its pid file stays.
    pub fn kill_vswitchd(&mut self) {
        self.vswitchd = None;
    }

    fn spawn(&self, program: &str, args: &[&str]) -> Process {
        let at = |name: &str| format!("{}.{name}", self.path(program).display());
        let child = self
            .command(program)
            .args(args)
            .args(["--no-chdir", "-vconsole:off"])
            .arg(format!("--pidfile={}", at("pid")))
            .arg(format!("--log-file={}", at("log")))
            .stderr(Stdio::null())
            .spawn();
        Process(child.unwrap())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"] {
            command.env(variable, &self.folder);
        }
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, program: &str, args: &[&str]) {
        assert!(
            self.command(program).args(args).status().unwrap().success(),
            "{program}"
        );
    }

    fn try_vsctl(&self, args: &[&str]) -> Result<String, String> {
        let output = self
            .command("ovs-vsctl")
            .arg(format!("--db={}", self.socket()))
            .args(["--timeout=5", "--bare"])
            .args(args)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// `ovs-vsctl --no-wait`, as there need be no ovs-vswitchd.
    pub fn vsctl(&self, args: &[&str]) -> String {
        let mut all = vec!["--no-wait"];
        all.extend(args);
        self.try_vsctl(&all)
            .unwrap_or_else(|e| panic!("ovs-vsctl {args:?}: {e}"))
    }

    /// Adds a bridge that needs no kernel module.
    pub fn add_bridge(&self, name: &str) {
        self.vsctl(&[
            "add-br",
            name,
            "--",
            "set",
            "bridge",
            name,
            "datapath_type=netdev",
        ]);
    }

    /// IPFIX datagrams that a bridge has sent, as the switch counts.
    pub fn ipfix_sent(&self, bridge: &str) -> Option<u64> {
        let mut command = self.command("ovs-ofctl");
        let output = command.args(["dump-ipfix-bridge", bridge]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let number = text.split("tx pkts=").nth(1)?;
        number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    /// The row that a bridge refers to; empty when there is none.
    pub fn on_bridge(&self, bridge: &str, column: &str) -> String {
        self.vsctl(&["--if-exists", "get", "bridge", bridge, column])
            .replace("[]", "")
    }

    /// A column of the only row of a table, also one that ovs-vsctl does not know.
    pub fn raw_column(&self, table: &str, column: &str) -> String {
        let output = self
            .command("ovsdb-client")
            .args(["--no-headings", "--format=csv", "dump", &self.socket()])
            .args(["Open_vSwitch", table, column])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        // The first line names the table.
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().nth(1).unwrap_or_default().trim().to_owned()
    }

    /// Whether the server's schema has the column.
    pub fn has_column(&self, table: &str, column: &str) -> bool {
        let schema: Value = serde_json::from_str(&fs::read_to_string(&self.schema).unwrap()).unwrap();
        !schema["tables"][table]["columns"][column].is_null()
    }

    /// A column of the only row of a table; empty when there is no row.
    pub fn column(&self, table: &str, column: &str) -> String {
        self.vsctl(&[&format!("--columns={column}"), "list", table])
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.vswitchd = None;
        self.server = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Waits until it is so.
pub fn wait(what: &str, mut so: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < limit, "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
