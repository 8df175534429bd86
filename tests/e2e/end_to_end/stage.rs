//! What the cases share: the lab with Weir installed in it, and the questions
//! that they ask of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;
use weir_lab::{Kubernetes, Lab, Node, Options, Process, program, wait_for, wait_until};

use weir_lab::{files, product};

/// Bound of every wait; nothing is measured against it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The address that the collector takes for a relay's: one of the lab's own stands in for
/// a Service that puts its address in place of the node's.
pub const RELAY: &str = "172.30.0.1";

/// The namespace that Weir is installed in, but for the node daemons.
pub const NAMESPACE: &str = "weir-system";

/// The namespace of the node daemons, and their account there.
pub const NODE_NAMESPACE: &str = "weir-node";
pub const NODE_ACCOUNT: &str = "weir-node";

/// Open vSwitch's tables of exporters, as `ovs-vsctl find` names them.
pub const TABLES: [&str; 3] = ["ipfix", "sflow", "netflow"];

/// The lab with Weir in it.
pub struct Stage {
    pub lab: Lab,
    pub kube: Arc<Kubernetes>,
    pub controllers: BTreeMap<String, Process>,
    pub daemons: BTreeMap<String, Process>,
    pub collector: Option<Process>,
}

impl Stage {
    /// Raises the lab and installs Weir the documented way; the programs run
    /// as processes under the ServiceAccounts of the manifests.
    pub fn raise(options: Options) -> Result<Self> {
        let lab = Lab::raise(options)?;
        let kube = lab.kubernetes()?;
        let mut stage = Self {
            lab,
            kube,
            controllers: BTreeMap::new(),
            daemons: BTreeMap::new(),
            collector: None,
        };
        stage.install()?;
        stage.start_controller("controller-1")?;
        let names: Vec<String> = stage.lab.nodes().map(|node| node.name().to_owned()).collect();
        names.iter().try_for_each(|name| stage.start_daemon(name))?;
        stage.start_collector()?;
        Ok(stage)
    }

    fn install(&self) -> Result<()> {
        let manifests = manifests().display().to_string();
        self.kube.kubectl(&["apply", "-k", &manifests])?;
        self.kube.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=30s",
        ])?;
        self.kube.apply(
            "{apiVersion: operator.openshift.io/v1, kind: Network, metadata: {name: cluster}, spec: {}}",
        )?;
        Ok(())
    }

    /// Starts a controller replica; two of them elect a leader.
    pub fn start_controller(&mut self, identity: &str) -> Result<()> {
        // No kubelet here: the daemons are processes.
        self.start_controller_with(identity, &["--daemon-pods", "none"])
    }

    /// The same with these options.
    pub fn start_controller_with(&mut self, identity: &str, options: &[&str]) -> Result<()> {
        let mut command = self.program("weir-controller", "weir-controller")?;
        command.args(["--namespace", NAMESPACE, "--identity", identity]);
        command.args(options);
        command.args([
            "--lease-duration",
            "4s",
            "--renew-deadline",
            "3s",
            "--retry-period",
            "500ms",
        ]);
        let process = self.lab.spawn(identity, &mut command)?;
        self.controllers.insert(identity.to_owned(), process);
        Ok(())
    }

    /// Starts the daemon of a node, in the node's namespace.
    pub fn start_daemon(&mut self, name: &str) -> Result<()> {
        let node = self.lab.node(name)?;
        let mut command = node
            .netns()
            .command(&product::path("weir-node")?.display().to_string())?;
        command.args([
            "--node-name",
            name,
            "--ovsdb",
            &node.ovsdb_remote(),
            "--http",
            "127.0.0.1:9090",
        ]);
        let kubeconfig = self.kube.pod_kubeconfig(NODE_NAMESPACE, NODE_ACCOUNT, name)?;
        command.env("KUBECONFIG", kubeconfig);
        let process = node.spawn("weir-node", &mut command)?;
        self.daemons.insert(name.to_owned(), process);
        Ok(())
    }

    /// Starts the collector on the underlay, on every documented port.
    pub fn start_collector(&mut self) -> Result<()> {
        self.start_collector_with(&[])?;
        wait_until("the collector to be ready", DEADLINE, || {
            Ok(self.http("127.0.0.1:8080", "/readyz").is_ok())
        })
    }

    /// The same with more options, whether it is ready or not.
    pub fn start_collector_with(&mut self, options: &[&str]) -> Result<()> {
        let mut command = self.program("weir-collector", "weir-collector")?;
        command.args(["--kube", "--http", "0.0.0.0:8080", "--relay", RELAY, "--data-dir"]);
        command.arg(self.lab.directory().join("flows"));
        for port in ["2055", "2056", "4739", "6343"] {
            command.args(["--listen", &format!("172.30.0.1:{port}")]);
        }
        command.args(options);
        self.collector = Some(self.lab.spawn("weir-collector", &mut command)?);
        Ok(())
    }

    /// A program of ours that runs in the underlay as a ServiceAccount.
    fn program(&self, name: &str, account: &str) -> Result<Command> {
        let mut command = Command::new(product::path(name)?);
        let kubeconfig = self.kube.service_account_kubeconfig(NAMESPACE, account)?;
        command.env("KUBECONFIG", kubeconfig);
        Ok(command)
    }

    /// Removes every collector by a merge patch and waits until no node has a
    /// row; the way every case begins.
    pub fn clear(&self) -> Result<()> {
        self.clear_without_waiting()?;
        self.wait_clean()
    }

    /// Removes every collector.
    pub fn clear_without_waiting(&self) -> Result<()> {
        self.patch(r#"{"spec":{"exportNetworkFlows":null}}"#).map(drop)
    }

    /// Waits until no node has a row of any exporter.
    pub fn wait_clean(&self) -> Result<()> {
        wait_until("every node to be clean", DEADLINE, || {
            let mut left = self
                .lab
                .nodes()
                .flat_map(|node| TABLES.map(|table| rows(node, table)));
            left.try_fold(true, |clean, rows| Ok(clean && rows?.is_empty()))
        })
    }

    /// `kubectl patch network.operator cluster --type merge`.
    pub fn patch(&self, patch: &str) -> Result<String> {
        self.kube.kubectl(&[
            "patch",
            "network.operator",
            "cluster",
            "--type",
            "merge",
            "-p",
            patch,
        ])
    }

    /// Patches the collectors of one protocol and leaves the others alone.
    pub fn export(&self, protocol: &str, collectors: &[&str]) -> Result<String> {
        let list = serde_json::to_string(collectors)?;
        self.patch(&format!(
            r#"{{"spec":{{"exportNetworkFlows":{{"{protocol}":{{"collectors":{list}}}}}}}}}"#
        ))
    }

    /// Waits until the exporters of a table have exactly these targets on
    /// every node.
    pub fn wait_targets(&self, table: &str, expected: &[&str]) -> Result<()> {
        self.lab
            .nodes()
            .try_for_each(|node| wait_targets(node, table, expected))
    }

    /// A condition of an object, as `status: reason: message`, when it is set.
    pub fn condition(&self, object: &[&str], kind: &str) -> Result<Option<Condition>> {
        let object = self.kube.object(object)?;
        let conditions = object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = conditions.into_iter().find(|condition| condition["type"] == kind);
        found
            .map(|condition| Ok(serde_json::from_value(condition)?))
            .transpose()
    }

    /// Waits until a condition has that status, and its message holds all of
    /// `words`.
    pub fn wait_condition(
        &self,
        object: &[&str],
        kind: &str,
        status: &str,
        words: &[&str],
    ) -> Result<Condition> {
        let what = format!("{kind}={status} {words:?} of {object:?}");
        wait_for(&what, DEADLINE, || {
            let Some(found) = self.condition(object, kind)? else {
                anyhow::bail!("the condition is not set")
            };
            let fits = found.status == status && words.iter().all(|word| found.text().contains(word));
            anyhow::ensure!(fits, "it is {found:?}");
            Ok(Some(found))
        })
    }

    /// Waits until every node reports that its daemon applied and exports.
    pub fn wait_exporting(&self) -> Result<()> {
        for node in self.lab.nodes() {
            self.wait_condition(&["nodeflowexport", node.name()], "Applied", "True", &[])?;
            self.wait_condition(&["nodeflowexport", node.name()], "Exporting", "True", &[])?;
        }
        Ok(())
    }

    /// The records that the collector printed until now.
    pub fn records(&self) -> Result<Vec<Value>> {
        let collector = self.collector.as_ref().context("the collector runs")?;
        let text = collector.stdout()?;
        // The last line may be written only in part.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
            .collect()
    }

    /// The body of a page of an HTTP server in the underlay.
    pub fn http(&self, address: &str, path: &str) -> Result<String> {
        http_get(self.lab.underlay().command("curl")?, address, path)
    }

    /// The same, with a bearer token.
    pub fn http_with(&self, token: &str, address: &str, path: &str) -> Result<String> {
        let mut curl = self.lab.underlay().command("curl")?;
        curl.args(["--header", &format!("Authorization: Bearer {token}")]);
        http_get(curl, address, path)
    }

    /// The metrics of a node's daemon.
    pub fn daemon_metrics(&self, name: &str) -> Result<String> {
        http_get(
            self.lab.node(name)?.netns().command("curl")?,
            "127.0.0.1:9090",
            "/metrics",
        )
    }
}

fn http_get(mut curl: Command, address: &str, path: &str) -> Result<String> {
    let url = format!("http://{address}{path}");
    program::read(curl.args(["--silent", "--show-error", "--fail", "--max-time", "5", &url]))
}

/// A condition as the API server shows it.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Condition {
    pub status: String,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: String,
}

impl Condition {
    /// Reason and message.
    pub fn text(&self) -> String {
        format!("{}: {}", self.reason, self.message)
    }
}

/// The folder of the manifests.
pub fn manifests() -> PathBuf {
    files::package().join("../manifests")
}

/// The uuids of a table's rows.
pub fn rows(node: &Node, table: &str) -> Result<Vec<String>> {
    let text = node.vsctl(&["--no-wait", "--bare", "--columns=_uuid", "find", table])?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// The targets of all of a table's rows.
pub fn targets(node: &Node, table: &str) -> Result<BTreeSet<String>> {
    let text = node.vsctl(&["--no-wait", "--bare", "--columns=targets", "find", table])?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// One column of the one row of a table, as `--bare` prints it.
pub fn column(node: &Node, table: &str, column: &str) -> Result<String> {
    let text = node.vsctl(&[
        "--no-wait",
        "--bare",
        &format!("--columns={column}"),
        "find",
        table,
    ])?;
    Ok(text.trim().to_owned())
}

/// Waits until a table's rows have exactly these targets.
pub fn wait_targets(node: &Node, table: &str, expected: &[&str]) -> Result<()> {
    let expected: BTreeSet<String> = expected.iter().map(|target| (*target).to_owned()).collect();
    wait_until(
        &format!("{table} of {} to have {expected:?}", node.name()),
        DEADLINE,
        || {
            let found = targets(node, table)?;
            anyhow::ensure!(found == expected, "it has {found:?}");
            Ok(true)
        },
    )
}

/// Waits until a column has that value.
pub fn wait_column(node: &Node, table: &str, name: &str, expected: &str) -> Result<()> {
    wait_until(
        &format!("{table}.{name} of {} to be {expected:?}", node.name()),
        DEADLINE,
        || {
            let found = column(node, table, name)?;
            anyhow::ensure!(found == expected, "it is {found:?}");
            Ok(true)
        },
    )
}

/// The value of a metric without labels, or the sum over its labels.
pub fn metric(text: &str, name: &str) -> u64 {
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.split_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.trim().parse::<f64>().ok().map(|value| value as u64)
    };
    text.lines().filter_map(of).sum()
}
