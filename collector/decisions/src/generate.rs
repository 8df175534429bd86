//! Policies that let pass what was seen, and what one should know of them.

mod difference;
mod said;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use weir_policy::Cluster;
use weir_policy::edges::EdgeEnd;
use weir_policy::generate::{
    GenerateInput, GenerateOptions, Level, cluster_object, cluster_policies, cluster_yaml, generate, object,
    yaml,
};
use weir_policy::policy::Tier;

pub use difference::differences;

use crate::{DecisionError, Traffic, World};

/// Of rules that accept, unless another is asked for.
pub const PRIORITY: u16 = 500;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How policies are made.
    pub options: GenerateOptions,
    /// As ClusterNetworkPolicies whose rules that accept have this priority; NetworkPolicies
    /// where there is none.
    pub priority: Option<u16>,
    /// Without comments.
    pub is_plain: bool,
}

/// Policies, and what one should know of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = GeneratedPolicies)]
pub struct Made {
    /// The hours of the traffic: the start of the first, RFC 3339.
    pub since: String,
    /// The end of the last.
    pub until: String,
    /// The network plugin that is assumed.
    pub profile: String,
    /// The policies as the API server takes them; none: nothing was to be learnt.
    #[schema(value_type = Vec<Object>)]
    pub objects: Vec<Value>,
    /// The same as YAML, with comments that say on what each rule rests.
    pub yaml: String,
    /// What was learnt and what not, what is wider than what was seen, and what may break later.
    pub report: Vec<String>,
}

/// Generates policies, and proves them.
///
/// # Errors
/// There is nothing to learn from, or what was learnt cannot be proved.
pub fn made(world: &World, traffic: &Traffic, wanted: &Wanted) -> Result<Made, DecisionError> {
    let pods = &world.objects.cluster.pods;
    let options = &wanted.options;
    for namespace in &options.namespaces {
        if !pods.iter().any(|pod| pod.namespace == *namespace) {
            return Err(DecisionError::NoPodIn(namespace.clone()));
        }
    }
    let (cluster, inventory) = (world.cluster(), world.objects.inventory(Vec::new()));
    let input = GenerateInput {
        edges: &traffic.edges,
        cluster: &cluster,
        inventory: &inventory,
        profile: world.profile,
        managed: &world.objects.managed,
        options,
    };
    let generated = generate(&input)?;
    let header = header(traffic, options);
    let mut report = Vec::new();
    let (yaml, objects) = match wanted.priority {
        None => {
            let made = generated.policies.iter().map(|made| &made.policy);
            (
                yaml(&generated, &header, wanted.is_plain),
                made.map(object).collect(),
            )
        }
        Some(priority) => {
            let of_cluster = cluster_policies(&input, &generated, Tier::Admin, priority)?;
            report.extend(of_cluster.notes.iter().map(|note| format!("note: {note}")));
            let made = of_cluster.policies.iter().map(|made| &made.policy);
            (
                cluster_yaml(&of_cluster, &header, wanted.is_plain),
                made.map(cluster_object).collect(),
            )
        }
    };
    report.extend(said::lines(&generated, traffic));
    Ok(Made {
        since: traffic.since.clone(),
        until: traffic.until.clone(),
        profile: world.profile_name().to_owned(),
        objects,
        yaml,
        report,
    })
}

fn header(traffic: &Traffic, options: &GenerateOptions) -> Vec<String> {
    let whom: Vec<String> = match &options.workload {
        Some(key) => vec![key.to_string()],
        None => options.namespaces.iter().cloned().collect(),
    };
    vec![format!(
        "weir policy generate: {}, from traffic of {} until {}",
        whom.join(", "),
        traffic.since,
        traffic.until
    )]
}

/// The namespaces whose pods generated policies select or name by their labels: those that get
/// policies, and those of their peers, which wider levels name as a whole.
pub fn touched(traffic: &Traffic, cluster: &Cluster, options: &GenerateOptions) -> BTreeSet<String> {
    let mut touched = options.namespaces.clone();
    if matches!(options.level, Level::Namespace | Level::NamespacePorts) {
        return touched;
    }
    if options.assume_dns {
        let has_dns = cluster
            .namespaces
            .iter()
            .any(|namespace| namespace.name == "kube-system");
        touched.extend(has_dns.then(|| "kube-system".to_owned()));
    }
    let namespace = |end: &EdgeEnd| match end {
        EdgeEnd::Pod(pod) => Some(pod.namespace.clone()),
        EdgeEnd::Service { namespace, .. } => Some(namespace.clone()),
        EdgeEnd::Node { .. } | EdgeEnd::Outside { .. } | EdgeEnd::Unknown => None,
    };
    for edge in traffic.edges.edges() {
        let ends = [edge.client, edge.server].map(|end| namespace(traffic.edges.at(end)));
        let is_of_ours = ends
            .iter()
            .flatten()
            .any(|namespace| options.namespaces.contains(namespace));
        if is_of_ours {
            touched.extend(ends.into_iter().flatten());
        }
    }
    touched
}
