//! A switch behind a gate, an agent that uses it, and somebody else who tries to.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde_json::{Value, json};
use tokio::sync::watch;
use weir_api::NodeFlowExportStatus;
use weir_node::{AgentConfig, Desired, agent};
use weir_ovsdb_gate::Gate;

use crate::TABLES;
use crate::bench::{self, Switch, wait};

/// A task in a thread with a runtime of its own, as in a program; it ends with the test.
pub struct Task {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Task {
    pub fn spawn<F: Future<Output = ()>>(task: impl FnOnce() -> F + Send + 'static) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                tokio::select! {
                    () = task() => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
            });
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let ended = self.thread.take().unwrap().join();
        assert!(std::thread::panicking() || ended.is_ok());
    }
}

/// Our own user: whoever made this directory's files.
pub fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// A gate in front of a switch.
pub struct Gated {
    pub switch: Switch,
    pub socket: PathBuf,
    _gate: Task,
}

impl Gated {
    pub fn start(uids: Vec<u32>) -> Self {
        let mut switch = Switch::start();
        switch.start_vswitchd();
        switch.add_bridge("br-int");
        let socket = switch.path("gate.sock");
        let (at, database) = (socket.clone(), switch.path("db.sock"));
        let gate = Task::spawn(move || async move {
            let listener = Gate::listen(&at).unwrap();
            Arc::new(Gate::new(&database, uids)).serve(listener).await;
        });
        wait("the gate", || socket.exists());
        Self {
            switch,
            socket,
            _gate: gate,
        }
    }

    pub fn rows(&self) -> [String; 3] {
        TABLES.map(|table| self.switch.on_bridge("br-int", table))
    }

    /// Everything in the database but what ovs-vswitchd counts.
    pub fn database(&self) -> Vec<String> {
        let columns = [
            ("Open_vSwitch", "bridges,manager_options,other_config,ssl"),
            (
                "Bridge",
                "name,ports,controller,mirrors,netflow,sflow,ipfix,external_ids",
            ),
            ("Port", "name,interfaces"),
            ("Interface", "name,type,options"),
            ("Manager", "target"),
            ("Controller", "target"),
            ("IPFIX", "targets"),
        ];
        let list = |(table, columns): (&str, &str)| {
            self.switch
                .vsctl(&[&format!("--columns={columns}"), "list", table])
        };
        columns.map(list).into()
    }
}

pub type Agent = (
    watch::Sender<Option<Desired>>,
    watch::Receiver<NodeFlowExportStatus>,
    Task,
);

pub fn agent(gated: &Gated) -> Agent {
    run(AgentConfig::through_gate("node-a", gated.socket.clone()))
}

pub fn run(config: AgentConfig) -> Agent {
    let (spec, spec_receiver) = watch::channel(None);
    let (sender, status) = watch::channel(NodeFlowExportStatus::default());
    let task = Task::spawn(move || async move {
        agent::run(config, spec_receiver, sender, std::future::pending())
            .await
            .unwrap();
    });
    (spec, status, task)
}

/// One client that sends and reads messages as they are.
pub struct Intruder(UnixStream);

impl Intruder {
    pub fn connect(gated: &Gated) -> Self {
        let stream = UnixStream::connect(&gated.socket).unwrap();
        stream.set_read_timeout(Some(bench::PATIENCE)).unwrap();
        Self(stream)
    }

    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let request = json!({"method": method, "params": params, "id": "x"});
        self.0.write_all(request.to_string().as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = self.0.read(&mut buffer).unwrap();
            assert!(count > 0, "no answer to {request}");
            bytes.extend_from_slice(&buffer[..count]);
            if let Ok(answer) = serde_json::from_slice(&bytes) {
                return answer;
            }
        }
    }
}
