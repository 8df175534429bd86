//! Where objects and policies come from: a cluster, or files that hold what one has.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use kube::Client;
use serde_json::{Value, json};
use weir_collector::args::ProfileName;
use weir_decisions::{Sight, World, profile_name};
use weir_policy::parse::{self, Objects};
use weir_policy::{Policy, Profile};

use crate::dynamic::{self, Kind};
use crate::effect::refuse_without_effect;
use crate::server::Server;
use crate::source::SourceArgs;
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

/// Which objects and policies count, and of which cluster or collector.
#[derive(Debug, Clone, Args)]
pub struct AnySourceArgs {
    #[command(flatten)]
    pub objects: ObjectArgs,
    #[command(flatten)]
    pub source: SourceArgs,
}

impl AnySourceArgs {
    /// Reads all that verdicts need.
    ///
    /// # Errors
    /// As [`read_world`].
    pub async fn read(&self) -> Result<World> {
        let without = !self.objects.objects.is_empty();
        let given = [
            ("--kubeconfig", without && self.source.kubeconfig.is_some()),
            ("--context", without && self.source.context.is_some()),
        ];
        refuse_without_effect(&given, "beside --objects")?;
        read_world(&self.objects, &self.source, &VERDICTS).await
    }

    /// The collector to ask instead, see [`ObjectArgs::collector`].
    ///
    /// # Errors
    /// It cannot be asked, or files of records are meant, which tell nothing here.
    pub fn collector(&self) -> Result<Option<Server>> {
        let data_dir = [("--data-dir", self.source.data_dir.is_some())];
        refuse_without_effect(&data_dir, "here: no traffic is looked at")?;
        self.objects.collector(&self.source, false)
    }
}

impl ObjectArgs {
    /// The collector that knows the policies: the one that is named, where nothing says that
    /// objects come from elsewhere. Files of policies it takes only where they are what is
    /// checked.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn collector(&self, source: &SourceArgs, takes_files: bool) -> Result<Option<Server>> {
        let is_elsewhere = !self.objects.is_empty()
            || (!takes_files && !self.files.is_empty())
            || source.data_dir.is_some()
            || source.kubeconfig.is_some()
            || source.context.is_some();
        match &source.server {
            Some(url) if !is_elsewhere => Server::at(url, source.token.clone()).map(Some),
            _ => Ok(None),
        }
    }

    /// The plugin that is asked for.
    pub fn profile_pair(&self) -> Option<(&'static str, String)> {
        let name = self.profile.map(|profile| profile_name(profile.cni()).to_owned());
        name.map(|name| ("profile", name))
    }

    /// All that `-f` names, as one text of documents.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn text(&self) -> Result<String> {
        let texts: Result<Vec<String>> = expand(&self.files)?.iter().map(|file| read(file)).collect();
        Ok(texts?.join("\n---\n"))
    }

    /// The namespace of policies in files that name none.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }
}

/// Reads everything once.
///
/// # Errors
/// The cluster cannot be asked, or a file is not what it must be.
pub async fn read_world(args: &ObjectArgs, source: &SourceArgs, kinds: &[&[Kind]]) -> Result<World> {
    let twice = is_standard_input(&args.files) + is_standard_input(&args.objects) > 1;
    refuse_without_effect(&[("a second -", twice)], "since standard input is read once")?;
    let policies = policies(&args.files, args.namespace())?;
    let objects = match args.objects.is_empty() {
        true => of_cluster(&source.kubernetes("give --kubeconfig or --objects").await?, kinds).await?,
        false => of_files(&args.objects)?,
    };
    for problem in &objects.problems {
        say(&format!(
            "note: {problem}; what cannot be understood allows nothing"
        ));
    }
    let cni = args.profile.map(ProfileName::cni).or(objects.cni);
    Ok(World {
        profile: Profile::of(cni.unwrap_or_default()),
        objects: Arc::new(objects),
        policies,
        sight: Sight::EVERYTHING,
    })
}

fn is_standard_input(files: &[PathBuf]) -> usize {
    files.iter().filter(|file| file.as_os_str() == "-").count()
}

/// The policies of a file or folder.
///
/// # Errors
/// A file is not what it must be.
pub fn policies_of(path: &Path) -> Result<Vec<Policy>> {
    policies(&[path.to_owned()], "default")
}

/// The policies of files. Those that name no namespace are in this one.
fn policies(files: &[PathBuf], namespace: &str) -> Result<Vec<Policy>> {
    let mut policies = Vec::new();
    for file in expand(files)? {
        let documents = parse::file(&read(&file)?, namespace);
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
///
/// # Errors
/// A folder cannot be read, or has none.
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

/// The text of a file, or of standard input.
///
/// # Errors
/// It cannot be read, or is too long.
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
