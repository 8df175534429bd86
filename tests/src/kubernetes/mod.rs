//! A real kube-apiserver on a real etcd, and kubectl as a user would call it.
//!
//! Nothing else of a control plane runs: no controller-manager (a deleted
//! node's dependants stay, a deleted namespace stays `Terminating`), no
//! scheduler, no kubelet (a pod is deleted with `--grace-period=0 --force`).

mod annotations;
pub mod binaries;
mod credentials;
pub(crate) mod inventory;
pub mod objects;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Process, address::UNDERLAY, program, switch::unpoisoned};

const START_DEADLINE: Duration = Duration::from_secs(60);
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";
/// The manager of the fields that the lab itself writes.
const FIELD_MANAGER: &str = "--field-manager=weir-lab";

/// Requests of our programs are logged, and those to the collector's API, with nothing of what is
/// in them.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users:
  - system:serviceaccount:weir-system:weir-controller
  - system:serviceaccount:weir-system:weir-collector
  - system:serviceaccount:weir-node:weir-node
- level: Metadata
  resources: [{group: flows.weir.dev}]
- level: None
";

/// The API server of the lab.
#[derive(Debug)]
pub struct Kubernetes {
    directory: PathBuf,
    binaries: PathBuf,
    // Dropped in this order: the API server goes before its store.
    apiserver: Mutex<Option<Process>>,
    _etcd: Process,
}

impl Kubernetes {
    /// Starts etcd and kube-apiserver with their files in `directory`, and
    /// waits until the API is ready.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        credentials::create(directory)?;
        fs::write(directory.join("audit-policy.yaml"), AUDIT_POLICY)?;
        let etcd = Process::spawn("etcd", directory, &mut etcd(directory)?)?;
        let kubernetes = Self {
            directory: directory.to_owned(),
            binaries: binaries::ensure()?,
            apiserver: Mutex::default(),
            _etcd: etcd,
        };
        kubernetes.write_kubeconfig("admin", credentials::ADMIN_TOKEN)?;
        kubernetes.start_apiserver()?;
        Ok(kubernetes)
    }

    /// Starts the API server and waits until it is ready.
    pub fn start_apiserver(&self) -> Result<()> {
        let mut command = apiserver(&self.binaries.join("kube-apiserver"), &self.directory);
        let mut apiserver = Process::spawn("kube-apiserver", &self.directory, &mut command)?;
        apiserver.wait_until("be ready", START_DEADLINE, |_| {
            self.kubectl(&["get", "--raw", "/readyz"]).map(|_| true)
        })?;
        *self.apiserver() = Some(apiserver);
        Ok(())
    }

    /// Kills the API server with SIGKILL; its store stays.
    pub fn kill_apiserver(&self) -> Result<()> {
        self.apiserver().take().map_or(Ok(()), Process::kill)
    }

    /// The URL of the API, which answers in the underlay and on every node.
    pub fn url(&self) -> String {
        format!("https://{UNDERLAY}:6443")
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_path("admin")
    }

    /// The directory that holds kubectl.
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// A kubectl command with the administrator's rights.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.binaries.join("kubectl"));
        command.envs(self.environment());
        command
    }

    /// The variables by which kubectl and other clients find the API server
    /// and keep their files out of the user's home.
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("KUBECONFIG", self.kubeconfig()),
            ("KUBECACHEDIR", self.directory.join("cache")),
        ]
    }

    /// Runs kubectl and returns what it prints.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        program::read(self.command().args(arguments))
    }

    /// Runs `kubectl apply -f -` on YAML or JSON.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        program::read_with_input(self.command().args(["apply", "-f", "-"]), manifest)
    }

    /// Runs `kubectl get … -o json` and parses the answer.
    pub fn object(&self, arguments: &[&str]) -> Result<Value> {
        let text = program::read(self.command().arg("get").args(arguments).args(["-o", "json"]))?;
        serde_json::from_str(&text).context("`kubectl get -o json` prints JSON")
    }

    /// A kubeconfig with exactly the rights of a ServiceAccount, which must
    /// exist; its token is one that the API server issued for it.
    pub fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.kubectl(&["create", "token", name, "-n", namespace, "--duration=24h"])?;
        self.write_kubeconfig(&format!("{namespace}-{name}"), token.trim())
    }

    /// A kubeconfig as a kubelet gives it to a pod on `node`: its token names the pod and
    /// the node. The pod, `ACCOUNT-NODE`, is made where there is none.
    pub fn pod_kubeconfig(&self, namespace: &str, account: &str, node: &str) -> Result<PathBuf> {
        let name = format!("{account}-{node}");
        self.apply_objects(vec![objects::account_pod(namespace, account, node)])?;
        let token = self.kubectl(&[
            "create",
            "token",
            account,
            "-n",
            namespace,
            "--duration=24h",
            "--bound-object-kind=Pod",
            "--bound-object-name",
            &name,
        ])?;
        self.write_kubeconfig(&format!("{namespace}-{name}"), token.trim())
    }

    /// The pods of an account on many nodes, as [`Self::pod_kubeconfig`] makes one.
    pub fn add_account_pods(&self, namespace: &str, account: &str, nodes: &[String]) -> Result<()> {
        let pods = nodes
            .iter()
            .map(|node| objects::account_pod(namespace, account, node));
        self.apply_objects(pods.collect()).map(drop)
    }

    /// What the accounts of our programs have asked of the API server, an event of its
    /// audit log a line.
    pub fn audit_log(&self) -> Result<String> {
        fs::read_to_string(self.directory.join("audit.log")).context("the audit log")
    }

    /// Applies objects of the lab (server side), and returns them as the API
    /// server has them, in the same order.
    pub(crate) fn apply_objects(&self, objects: Vec<Value>) -> Result<Vec<Value>> {
        self.apply_list(objects, &[])
    }

    /// Applies the `status` of objects of the lab.
    pub(crate) fn apply_status(&self, objects: Vec<Value>) -> Result<()> {
        self.apply_list(objects, &["--subresource=status"]).map(drop)
    }

    fn apply_list(&self, objects: Vec<Value>, options: &[&str]) -> Result<Vec<Value>> {
        if objects.is_empty() {
            return Ok(objects);
        }
        let mut command = self.command();
        command.args([
            "apply",
            "--server-side",
            "--force-conflicts",
            FIELD_MANAGER,
            "-o",
            "json",
            "-f",
            "-",
        ]);
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        let text = program::read_with_input(command.args(options), &list.to_string())?;
        let mut answer: Value = serde_json::from_str(&text).context("`kubectl apply -o json` prints JSON")?;
        // kubectl prints a single object bare, several as a List.
        match answer.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Ok(vec![answer]),
        }
    }

    fn write_kubeconfig(&self, name: &str, token: &str) -> Result<PathBuf> {
        let path = self.kubeconfig_path(name);
        let config = credentials::kubeconfig(&self.url(), &self.directory.join("ca.crt"), token);
        fs::write(&path, config).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    fn kubeconfig_path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.kubeconfig"))
    }

    fn apiserver(&self) -> MutexGuard<'_, Option<Process>> {
        unpoisoned(&self.apiserver)
    }
}

fn etcd(directory: &Path) -> Result<Command> {
    let mut command = program::command("etcd")?;
    command
        .arg("--data-dir")
        .arg(directory.join("etcd"))
        .args(["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD])
        .args([
            "--listen-peer-urls",
            ETCD_PEER,
            "--initial-advertise-peer-urls",
            ETCD_PEER,
        ])
        .args(["--initial-cluster", &format!("default={ETCD_PEER}")])
        .args(["--logger", "zap", "--log-level", "warn"]);
    Ok(command)
}

fn apiserver(program: &Path, directory: &Path) -> Command {
    let file = |option: &str, name: &str| format!("--{option}={}", directory.join(name).display());
    let mut command = Command::new(program);
    command
        .arg(format!("--etcd-servers={ETCD}"))
        .arg(format!("--advertise-address={UNDERLAY}"))
        .args([
            "--secure-port=6443",
            "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112",
        ])
        .args(["--authorization-mode=RBAC", "--allow-privileged=true"])
        // Without a controller-manager no namespace has a default account.
        .arg("--disable-admission-plugins=ServiceAccount")
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(file("service-account-key-file", "service-account.pub"))
        .arg(file("service-account-signing-key-file", "service-account.key"))
        .arg(file("tls-cert-file", "apiserver.crt"))
        .arg(file("tls-private-key-file", "apiserver.key"))
        .arg(file("token-auth-file", "tokens.csv"))
        // Requests to an APIService go to where its Service's endpoints are.
        .arg("--enable-aggregator-routing=true")
        .args(["--requestheader-allowed-names=front-proxy-client"])
        .args([
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        ])
        .arg(file("requestheader-client-ca-file", "front-proxy-ca.crt"))
        .arg(file("proxy-client-cert-file", "front-proxy-client.crt"))
        .arg(file("proxy-client-key-file", "front-proxy-client.key"))
        .arg(file("audit-policy-file", "audit-policy.yaml"))
        .arg(file("audit-log-path", "audit.log"))
        .arg(file("cert-dir", "certificates"));
    command
}
