//! A real ovsdb-server in its own directory, killed with the test that started
//! it, and conditions to wait on.

use ovsdb::{Client, Endpoint, Limits, Monitor, Options, View};
use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::timeout};

pub const DATABASE: &str = "Open_vSwitch";
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
/// Only a broken test waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that goes away with the value.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ovsdb-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        TempDir(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An ovsdb-server that listens on a unix socket and, if asked, elsewhere.
pub struct Server {
    dir: TempDir,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Server {
    /// A running server with an empty database.
    pub fn start() -> Server {
        Server::start_with(&[])
    }

    /// A running server with more arguments.
    pub fn start_with(arguments: &[String]) -> Server {
        let mut server = Server::stopped();
        server.arguments = arguments.to_vec();
        server.run();
        server
    }

    /// A server that was not started yet.
    pub fn stopped() -> Server {
        let server = Server {
            dir: TempDir::new(),
            arguments: Vec::new(),
            process: None,
        };
        server.create_database();
        server
    }

    pub fn run(&mut self) {
        let path = |name| self.dir.path(name).display().to_string();
        let mut command = Command::new("setpriv");
        // The kernel ends the server with this thread, even if the test is killed.
        command.args([
            "--pdeathsig",
            "KILL",
            "ovsdb-server",
            "--no-chdir",
            "-vconsole:off",
        ]);
        command.arg(format!("--remote=punix:{}", path("db.sock")));
        command
            .arg(format!("--unixctl={}", path("control")))
            .arg(format!("--log-file={}", path("log")));
        command.args(&self.arguments).arg(path("conf.db"));
        self.process = Some(
            command
                .stdin(Stdio::null())
                .spawn()
                .expect("ovsdb-server is installed"),
        );
        eventually("ovsdb-server listens", || UnixStream::connect(self.socket()).ok());
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops or continues the process without ending it.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().unwrap().id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Replaces the database of a server that does not run by an empty one.
    pub fn wipe(&self) {
        fs::remove_file(self.dir.path("conf.db")).unwrap();
        self.create_database();
    }

    fn create_database(&self) {
        let status = Command::new("ovsdb-tool")
            .arg("create")
            .arg(self.dir.path("conf.db"))
            .arg(SCHEMA)
            .status();
        assert!(status.expect("ovsdb-tool is installed").success());
    }

    /// A path in the server's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path("log")).unwrap_or_default()
    }

    fn socket(&self) -> PathBuf {
        self.dir.path("db.sock")
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.socket())
    }

    /// The port that the kernel chose for a remote with port 0; it listens by then.
    pub fn port(&self) -> u16 {
        eventually("ovsdb-server tells its port", || {
            let log = self.log();
            let port: u16 = log
                .lines()
                .rev()
                .find_map(|line| line.split_once("listening on port ")?.1.parse().ok())?;
            Some(port)
        })
    }

    pub fn client(&self, monitor: Monitor) -> Client {
        Client::spawn(self.endpoint(), DATABASE, monitor, options())
    }

    /// Runs ovs-vsctl without waiting for a vswitchd.
    pub fn vsctl(&self, arguments: &[&str]) {
        let database = format!("--db=unix:{}", self.socket().display());
        let output = Command::new("ovs-vsctl")
            .args([&database, "--no-wait"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Patient, for machines that do many things at once.
pub fn options() -> Options {
    let limits = Limits {
        probe_interval: PATIENCE,
        ..Limits::default()
    };
    Options {
        limits,
        transact_timeout: PATIENCE,
        connect_timeout: PATIENCE,
    }
}

pub fn bridges() -> Monitor {
    Monitor::new().table("Bridge", ["name", "external_ids", "ports"])
}

/// Waits until the view is as described.
pub async fn see(view: &mut watch::Receiver<View>, what: &str, is: impl FnMut(&View) -> bool) -> View {
    if let Ok(seen) = timeout(PATIENCE, view.wait_for(is)).await {
        return seen.expect("the client runs").clone();
    }
    panic!("did not see {what}: {:?}", view.borrow().link)
}

pub async fn see_synced(view: &mut watch::Receiver<View>) -> View {
    see(view, "sync", |view| view.link.is_synced()).await
}

pub fn bridge_names(view: &View) -> Vec<String> {
    let mut names: Vec<String> = view
        .replica
        .rows("Bridge")
        .filter_map(|(_, row)| row.str("name").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Waits for what only a file tells, while the client runs.
pub async fn see_file(mut is: impl FnMut() -> bool) {
    let patience = timeout(PATIENCE, async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    patience.await.expect("the file tells");
}

fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Some(value) => return value,
            None if Instant::now() > end => panic!("in vain: {what}"),
            None => thread::park_timeout(Duration::from_millis(5)),
        }
    }
}

pub fn run(directory: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
