//! What the cases share: the API server with Weir's manifests, and one controller.

use std::{net::SocketAddr, path::Path, process::Command, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_lab::{
    Kubernetes, Lab, Options, Process, address::UNDERLAY, files, product, program, wait_for, wait_until,
};

/// Bound of every wait; nothing is measured against it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The namespace that Weir is installed in.
pub const NAMESPACE: &str = "weir-system";
/// Where the node daemon's pods are.
const NODE_NAMESPACE: &str = "weir-node";

/// The source by default.
pub const NETWORK: &[&str] = &["network.operator", "cluster"];

const HTTP: &str = "127.0.0.1:8081";

/// The API server and the controller.
pub struct Cluster {
    pub lab: Lab,
    pub kube: Arc<Kubernetes>,
    pub controller: Option<Process>,
}

impl Cluster {
    pub fn raise(options: Options) -> Result<Self> {
        let lab = Lab::raise(options)?;
        let kube = lab.kubernetes()?;
        let manifests = files::package().join("../manifests").display().to_string();
        kube.kubectl(&["apply", "-k", &manifests])?;
        let established = [
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=30s",
        ];
        kube.kubectl(&established)?;
        let cluster = Self {
            lab,
            kube,
            controller: None,
        };
        Ok(cluster)
    }

    /// A cluster with these nodes and a Network without collectors, and a controller with
    /// these options; the way every case begins.
    pub fn begin(&mut self, nodes: &[&str], options: &[&str]) -> Result<()> {
        self.stop()?;
        // Collections whole: one by one, a thousand objects of the case before take minutes.
        for collection in [
            "/api/v1/nodes",
            "/apis/weir.dev/v1alpha1/nodeflowexports",
            "/apis/weir.dev/v1alpha1/exportprofiles",
            "/apis/weir.dev/v1alpha1/exportrollouts",
            "/apis/weir.dev/v1alpha1/flowexports",
            "/apis/operator.openshift.io/v1/networks",
            "/api/v1/namespaces/weir-system/pods?gracePeriodSeconds=0",
            "/api/v1/namespaces/weir-node/pods?gracePeriodSeconds=0",
        ] {
            self.kube.kubectl(&["delete", "--raw", collection])?;
        }
        self.add_nodes(nodes.iter().map(|name| (*name).to_owned()))?;
        self.make_network()?;
        self.start(options)
    }

    pub fn make_network(&self) -> Result<()> {
        let network = json!({"apiVersion": "operator.openshift.io/v1", "kind": "Network",
            "metadata": {"name": "cluster"}, "spec": {}});
        self.kube.apply(&network.to_string()).map(drop)
    }

    pub fn add_nodes(&self, names: impl Iterator<Item = String>) -> Result<()> {
        let node = |name: String| {
            json!({"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}}})
        };
        self.apply_list(names.map(node).collect(), &[])
    }

    /// Applies many objects, or the status of many.
    pub fn apply_list(&self, items: Vec<Value>, options: &[&str]) -> Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        let mut command = self.kube.command();
        command
            .args([
                "apply",
                "--server-side",
                "--force-conflicts",
                "--validate=false",
                "-f",
                "-",
            ])
            .args(options);
        program::read_with_input(&mut command, &list.to_string()).map(drop)
    }

    /// Starts a controller that takes its leadership at once.
    pub fn start(&mut self, options: &[&str]) -> Result<()> {
        let kubeconfig = self
            .kube
            .service_account_kubeconfig(NAMESPACE, "weir-controller")?;
        self.start_through(&kubeconfig, options)
    }

    pub fn start_through(&mut self, kubeconfig: &Path, options: &[&str]) -> Result<()> {
        let mut command = Command::new(product::path("weir-controller")?);
        command.env("KUBECONFIG", kubeconfig);
        command.args(["--no-leader-election", "--namespace", NAMESPACE, "--http", HTTP]);
        command.args(["--daemon-namespace", NODE_NAMESPACE]);
        self.controller = Some(self.lab.spawn("weir-controller", command.args(options))?);
        wait_until("the controller to be ready", DEADLINE, || {
            Ok(self.page("/readyz").is_ok())
        })
    }

    pub fn stop(&mut self) -> Result<()> {
        match self.controller.take() {
            Some(controller) => controller.terminate(DEADLINE).map(drop),
            None => Ok(()),
        }
    }

    /// A kubeconfig of the controller's that goes to another address of the API server.
    pub fn kubeconfig_through(&self, address: SocketAddr) -> Result<std::path::PathBuf> {
        let path = self
            .kube
            .service_account_kubeconfig(NAMESPACE, "weir-controller")?;
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let cluster = &mut config["clusters"][0]["cluster"];
        cluster["server"] = json!(format!("https://{address}"));
        cluster["tls-server-name"] = json!(UNDERLAY.to_string());
        let path = path.with_extension("relayed");
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }

    /// Patches `spec.exportNetworkFlows` of an object.
    pub fn patch(&self, object: &[&str], flows: &Value) -> Result<()> {
        let patch = json!({"spec": {"exportNetworkFlows": flows}}).to_string();
        let mut arguments = vec!["patch"];
        arguments.extend(object);
        arguments.extend(["--type", "merge", "-p", &patch]);
        self.kube.kubectl(&arguments).map(drop)
    }

    pub fn export_to(&self, target: &str) -> Result<()> {
        self.patch(NETWORK, &json!({"netFlow": {"collectors": [target]}}))
    }

    /// Waits until a node is told to export to exactly that target, or nothing.
    pub fn wait_target(&self, node: &str, target: Option<&str>) -> Result<()> {
        let what = format!("{node} to be told {target:?}");
        wait_until(&what, DEADLINE, || {
            let export = self.kube.object(&["nodeflowexport", node])?;
            let found = &export["spec"]["bridges"][0]["netFlow"]["targets"];
            let expected = target.map_or(Value::Null, |target| json!([target]));
            ensure!(*found == expected, "it is told {found}");
            Ok(true)
        })
    }

    /// Reports for nodes as their daemons would, that all is as the spec wants it.
    pub fn report_well(&self, nodes: &[String]) -> Result<()> {
        let list = self.kube.object(&["nodeflowexports"])?;
        let objects = list["items"].as_array().context("a list")?;
        let status = |object: &Value| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            nodes.iter().any(|node| node == name).then(|| {
                let generation = object["metadata"]["generation"].clone();
                let condition = |kind: &str, status: &str, reason: &str| {
                    json!({"type": kind, "status": status, "reason": reason, "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"})
                };
                json!({"apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport", "metadata": {"name": name},
                    "status": {"observedGeneration": generation, "protocols": "NetFlow", "reason": "Exporting",
                    "conditions": [
                        condition("Applied", "True", "Applied"),
                        condition("Exporting", "True", "Exporting"),
                        condition("Conflict", "False", "NoConflict"),
                    ]}})
            })
        };
        let statuses: Vec<Value> = objects.iter().filter_map(status).collect();
        ensure!(
            statuses.len() == nodes.len(),
            "{} of {} exist",
            statuses.len(),
            nodes.len()
        );
        self.apply_list(statuses, &["--subresource=status", "--field-manager=weir-node"])
    }

    /// A pod of the daemon on a node, ready or not since long ago.
    pub fn add_daemon(&self, node: &str, ready: bool) -> Result<()> {
        let name = format!("weir-node-{node}");
        let metadata = json!({"name": name, "namespace": NODE_NAMESPACE, "labels": {"app.kubernetes.io/name": "weir-node"}});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"nodeName": node, "containers": [{"name": "weir-node", "image": "weir.invalid/weir-node"}]}});
        let status = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"conditions": [{
            "type": "Ready", "status": if ready { "True" } else { "False" },
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
        self.apply_list(vec![pod], &[])?;
        self.apply_list(vec![status], &["--subresource=status"])
    }

    /// Waits until a condition has that status and its text all of these words.
    pub fn wait_condition(&self, object: &[&str], kind: &str, status: &str, words: &[&str]) -> Result<Value> {
        self.wait_long(DEADLINE, object, kind, status, words)
    }

    /// The same, for as long as that.
    pub fn wait_long(
        &self,
        deadline: Duration,
        object: &[&str],
        kind: &str,
        status: &str,
        words: &[&str],
    ) -> Result<Value> {
        let what = format!("{kind}={status} {words:?} of {object:?}");
        wait_for(&what, deadline, || {
            let object = self.kube.object(object)?;
            let conditions = object["status"]["conditions"].as_array().context("conditions")?;
            let found = conditions.iter().find(|condition| condition["type"] == kind);
            let found = found.context("the condition is not set")?;
            let text = format!("{}: {}", found["reason"], found["message"]);
            let fits = found["status"] == status && words.iter().all(|word| text.contains(word));
            ensure!(fits, "it is {found}");
            Ok(Some(found.clone()))
        })
    }

    /// A page of the controller.
    pub fn page(&self, path: &str) -> Result<String> {
        let url = format!("http://{HTTP}{path}");
        program::read(Command::new("curl").args([
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "5",
            &url,
        ]))
    }

    /// How many writes the API server has answered, by its own count, of the kinds that
    /// the controller writes and with any result. Those of the tests count too.
    pub fn writes(&self) -> Result<u64> {
        let text = self.kube.kubectl(&["get", "--raw", "/metrics"])?;
        let kinds = ["nodeflowexports", "exportprofiles", "networks", "flowexports"];
        let verbs = ["POST", "PUT", "PATCH", "APPLY", "DELETE"];
        let has = |labels: &str, name: &str, values: &[&str]| {
            let mut values = values.iter();
            values.any(|value| labels.contains(&format!("{name}=\"{value}\"")))
        };
        let of = |line: &str| {
            let labels = line.strip_prefix("apiserver_request_total{")?;
            let (labels, value) = labels.rsplit_once("} ")?;
            let counts = has(labels, "resource", &kinds) && has(labels, "verb", &verbs);
            counts.then(|| value.parse::<f64>().ok())?
        };
        Ok(text.lines().filter_map(of).sum::<f64>() as u64)
    }
}
