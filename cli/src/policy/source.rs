//! Where objects and policies come from: a cluster, or files that hold what one has.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use kube::Client;
use serde_json::{Value, json};
pub use weir_collector::args::ProfileName;
use weir_policy::parse::{self, Objects};
use weir_policy::{Engine, Policy, PolicyKey, Profile};

use crate::cluster::ClusterArgs;
use crate::dynamic::{self, Kind};
use crate::effect::refuse_without_effect;
use crate::terminal::say;

/// A file of objects may be so large.
const MOST_BYTES: u64 = 512 << 20;

/// What verdicts need. Kinds that the cluster does not know have no objects.
const FOR_VERDICTS: [Kind; 14] = [
    kind("v1", "Namespace"),
    kind("v1", "Pod"),
    kind("v1", "Node"),
    kind("v1", "Service"),
    kind("apps/v1", "ReplicaSet"),
    kind("batch/v1", "Job"),
    kind("networking.k8s.io/v1", "NetworkPolicy"),
    kind("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"),
    kind("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy"),
    // The later version last: of two that mean one object it counts.
    kind("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"),
    kind("policy.networking.k8s.io/v1beta1", "ClusterNetworkPolicy"),
    kind("k8s.ovn.org/v1", "EgressFirewall"),
    kind("crd.antrea.io/v1beta1", "ClusterNetworkPolicy"),
    kind("crd.antrea.io/v1beta1", "NetworkPolicy"),
];

/// What replay and generation need besides.
const FOR_REPLAY: [Kind; 7] = [
    kind("apps/v1", "Deployment"),
    kind("apps/v1", "StatefulSet"),
    kind("apps/v1", "DaemonSet"),
    kind("batch/v1", "CronJob"),
    kind("argoproj.io/v1alpha1", "Rollout"),
    kind("discovery.k8s.io/v1", "EndpointSlice"),
    kind("networking.k8s.io/v1", "ServiceCIDR"),
];

/// The kinds that verdicts need.
const VERDICTS: [&[Kind]; 1] = [&FOR_VERDICTS];
/// The kinds that replay and generation need.
pub const REPLAY: [&[Kind]; 2] = [&FOR_VERDICTS, &FOR_REPLAY];

const fn kind(api_version: &'static str, kind: &'static str) -> Kind {
    Kind { api_version, kind }
}

/// Which objects and policies count.
#[derive(Debug, Clone, Args)]
pub struct ObjectArgs {
    /// Policies beside those that are there, and instead of those with the same name: a file of
    /// YAML or JSON, a folder of them, or - for standard input; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The namespace of policies in files that name none [default: default]
    #[arg(short = 'n', long, value_name = "NAMESPACE", requires = "files")]
    pub namespace: Option<String>,
    /// Ask no cluster: its objects are in this file or folder, as
    /// `kubectl get pods,namespaces,nodes,networkpolicies -A -o yaml` writes them; may be repeated
    #[arg(long, value_name = "FILE")]
    pub objects: Vec<PathBuf>,
    /// The network plugin whose behaviour is assumed where the API leaves it open [default: the
    /// one that has annotated the nodes, else what the API says]
    #[arg(long, value_name = "NAME")]
    profile: Option<ProfileName>,
}

/// Which objects and policies count, and of which cluster.
#[derive(Debug, Clone, Args)]
pub struct AnySourceArgs {
    #[command(flatten)]
    pub objects: ObjectArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl AnySourceArgs {
    /// Reads all that verdicts need.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub async fn read(&self) -> Result<Source> {
        let without = !self.objects.objects.is_empty();
        let given = [
            ("--kubeconfig", without && self.cluster.kubeconfig.is_some()),
            ("--context", without && self.cluster.context.is_some()),
        ];
        refuse_without_effect(&given, "beside --objects")?;
        Source::read(&self.objects, &self.cluster, &VERDICTS).await
    }
}

/// All that counts.
#[derive(Debug)]
pub struct Source {
    /// What is there.
    pub objects: Objects,
    /// Policies of files.
    pub policies: Vec<Policy>,
    /// The CNI that is assumed.
    pub profile: Profile,
}

impl Source {
    /// Reads everything once.
    ///
    /// # Errors
    /// The cluster cannot be asked, or a file is not what it must be.
    pub async fn read(args: &ObjectArgs, cluster: &ClusterArgs, kinds: &[&[Kind]]) -> Result<Self> {
        let twice = is_standard_input(&args.files) + is_standard_input(&args.objects) > 1;
        refuse_without_effect(&[("a second -", twice)], "since standard input is read once")?;
        let policies = policies(args)?;
        let objects = match args.objects.is_empty() {
            true => of_cluster(&cluster.connect("give --kubeconfig or --objects").await?, kinds).await?,
            false => of_files(&args.objects)?,
        };
        for problem in &objects.problems {
            say(&format!(
                "note: {problem}; what cannot be understood allows nothing"
            ));
        }
        let cni = args.profile.map(ProfileName::cni).or(objects.cni);
        Ok(Self {
            profile: Profile::of(cni.unwrap_or_default()),
            objects,
            policies,
        })
    }

    /// All policies: those of files are there instead of those with the same name.
    pub fn all_policies(&self) -> Vec<Policy> {
        let all = self.objects.cluster.policies.iter().chain(&self.policies);
        let by_key: BTreeMap<PolicyKey, &Policy> = all.map(|policy| (policy.key(), policy)).collect();
        by_key.into_values().cloned().collect()
    }

    /// An engine that knows all of it.
    pub fn engine(&self) -> Engine {
        let mut cluster = self.objects.cluster.clone();
        cluster.policies = self.all_policies();
        Engine::compile(self.profile, cluster)
    }
}

fn is_standard_input(files: &[PathBuf]) -> usize {
    files.iter().filter(|file| file.as_os_str() == "-").count()
}

/// The policies of `-f`.
fn policies(args: &ObjectArgs) -> Result<Vec<Policy>> {
    let mut policies = Vec::new();
    for file in expand(&args.files)? {
        let documents = parse::file(&read(&file)?, args.namespace.as_deref().unwrap_or("default"));
        let documents = documents.with_context(|| format!("{} is not as it must be", file.display()))?;
        if documents.policies.is_empty() {
            let others: usize = documents.skipped.values().sum();
            say(&format!(
                "note: {} has no policy among {others} objects",
                file.display()
            ));
        }
        policies.extend(documents.policies);
    }
    Ok(policies)
}

fn of_files(files: &[PathBuf]) -> Result<Objects> {
    let mut objects = Objects::default();
    for file in expand(files)? {
        let added = objects.add_text(&read(&file)?);
        added.with_context(|| format!("{} is not as it must be", file.display()))?;
    }
    Ok(objects)
}

async fn of_cluster(client: &Client, kinds: &[&[Kind]]) -> Result<Objects> {
    let mut objects = Objects::default();
    for kind in kinds.iter().flat_map(|kinds| kinds.iter()) {
        let add = |mut object: Value| {
            // The items of a list need not say what they are.
            if let Value::Object(fields) = &mut object {
                fields.insert("apiVersion".to_owned(), json!(kind.api_version));
                fields.insert("kind".to_owned(), json!(kind.kind));
            }
            objects.add(&object);
        };
        dynamic::for_each(client, *kind, None, add).await?;
    }
    Ok(objects)
}

/// Files as they are, and of folders all that look like YAML or JSON, by name.
fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
        let entries = entries.with_context(|| format!("cannot read {}", path.display()))?;
        let is_ours = |path: &PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("yaml" | "yml" | "json")) && path.is_file()
        };
        let mut found: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).filter(is_ours).collect();
        if found.is_empty() {
            bail!("{} has no file that ends in .yaml, .yml or .json", path.display());
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    let taken = match file.as_os_str() == "-" {
        true => std::io::stdin().take(MOST_BYTES + 1).read_to_string(&mut text),
        false => File::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text)),
    };
    let bytes = taken.with_context(|| format!("cannot read {}", file.display()))?;
    if bytes as u64 > MOST_BYTES {
        bail!("{} is larger than {} MiB", file.display(), MOST_BYTES >> 20);
    }
    Ok(text)
}
