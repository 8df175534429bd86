//! Parameters of the page that makes policies.

use std::collections::BTreeSet;

use clap::ValueEnum;
use serde::{Deserialize, Deserializer, de::Error};
use utoipa::{IntoParams, ToSchema};
use weir_decisions::{Peer, generate};
use weir_policy::edges::WorkloadKey;
use weir_policy::generate::{GenerateOptions, Internet, Level, Nodes};
use weir_query::{Since, Until};

use super::list::Words;
use super::policy::{TrafficAsked, parsed};
use crate::api::format::GeneratedForm;
use crate::api::problem::Problem;
use crate::args::ProfileName;

/// How wide generated policies are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LevelName {
    /// Labels that tell the replicas of a workload apart count, too.
    Pods,
    /// From workload to workload.
    #[default]
    Workload,
    /// Peers by namespace, ports as seen.
    Namespace,
    /// Peers by namespace, all ports.
    NamespacePorts,
}

/// How addresses outside are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InternetName {
    /// Each address.
    Exact,
    /// Each address up to 16 for a port, then networks.
    #[default]
    Aggregate,
    /// All that is outside.
    Any,
}

/// How nodes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodesName {
    /// Each by its addresses.
    #[default]
    Addresses,
    /// All by the smallest network that has them and no pods.
    Cidr,
    /// By role, or all nodes: in the egress of ClusterNetworkPolicies.
    Labels,
}

/// Kind of generated policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KindName {
    /// NetworkPolicies.
    #[default]
    Np,
    /// ClusterNetworkPolicies.
    Cnp,
}

impl From<LevelName> for Level {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::Pods => Self::Pods,
            LevelName::Workload => Self::Workload,
            LevelName::Namespace => Self::Namespace,
            LevelName::NamespacePorts => Self::NamespacePorts,
        }
    }
}

impl From<InternetName> for Internet {
    fn from(name: InternetName) -> Self {
        match name {
            InternetName::Exact => Self::Exact,
            InternetName::Aggregate => Self::Aggregate,
            InternetName::Any => Self::Any,
        }
    }
}

impl From<NodesName> for Nodes {
    fn from(name: NodesName) -> Self {
        match name {
            NodesName::Addresses => Self::Addresses,
            NodesName::Cidr => Self::Cidr,
            NodesName::Labels => Self::Labels,
        }
    }
}

/// Parameters of `policy/generate`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GenerateParams {
    /// Namespaces whose pods get policies; these or `workload` must be named.
    #[param(required = false, style = Form, explode = false, value_type = Vec<String>)]
    pub ns: Words,
    /// Only this workload: `namespace/kind/name`.
    #[param(example = "shop/deploy/web")]
    pub workload: Option<String>,
    /// How wide the policies are.
    #[param(required = false, inline)]
    pub level: LevelName,
    /// How addresses outside of the cluster are written.
    #[param(required = false, inline)]
    pub internet: InternetName,
    /// How nodes are written.
    #[param(required = false, inline)]
    pub nodes: NodesName,
    /// Kind of the policies.
    #[param(required = false, inline)]
    pub kind: KindName,
    /// Of ClusterNetworkPolicies: the priority of rules that accept; those that deny have the
    /// next one. 500 when left out.
    #[param(minimum = 0, maximum = 999)]
    #[serde(deserialize_with = "some_priority")]
    pub priority: Option<u16>,
    /// What hand-written policies allow is not repeated.
    #[param(required = false)]
    pub on_top: bool,
    /// Learn also where it is weakly known who called.
    #[param(required = false)]
    pub weak: bool,
    /// Learn also what nobody answered.
    #[param(required = false)]
    pub unanswered: bool,
    /// Learn also what policies deny.
    #[param(required = false)]
    pub denied: bool,
    /// Let every pod whose egress is isolated ask the cluster's DNS, seen or not.
    #[param(required = false)]
    pub assume_dns: bool,
    /// Write four ports in a row or more as a range.
    #[param(required = false)]
    pub ranges: bool,
    /// Leave out the policy that denies what no other allows.
    #[param(required = false)]
    pub no_default_deny: bool,
    /// Leave out comments.
    #[param(required = false)]
    pub plain: bool,
    /// Only traffic that fits this, in the filter language of `matrix`.
    #[param(required = false, example = "dst_port == 443")]
    pub filter: String,
    /// Traffic from when on; seven days ago when left out. The hour that it is in counts whole.
    #[param(value_type = Option<Since>, example = "7d")]
    pub since: Option<Since>,
    /// Until when; now when left out.
    #[param(required = false, example = "now")]
    pub until: Until,
    /// The network plugin that is assumed; the one that the collector knows of when left out.
    #[param(inline)]
    pub profile: Option<ProfileName>,
    /// Form of the answer; beats `Accept`.
    #[param(inline)]
    pub format: Option<GeneratedForm>,
}

fn some_priority<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let number = u16::deserialize(deserializer)?;
    match number < 1_000 {
        true => Ok(Some(number)),
        false => Err(D::Error::custom(format!("{number} is not between 0 and 999"))),
    }
}

impl GenerateParams {
    /// Which traffic.
    pub fn traffic(&self) -> TrafficAsked {
        TrafficAsked::of(self.filter.clone(), self.since, self.until)
    }

    /// What is wanted.
    ///
    /// # Errors
    /// Parameters have no effect together, or nobody gets policies.
    pub fn wanted(&self) -> Result<generate::Wanted, Problem> {
        let is_np = self.kind == KindName::Np;
        let useless = match self {
            _ if is_np && self.priority.is_some() => Some("priority has no effect without kind=cnp"),
            _ if is_np && self.nodes == NodesName::Labels => Some(
                "nodes=labels has no effect without kind=cnp: NetworkPolicies name nodes by address alone",
            ),
            _ if self.workload.is_some() && self.no_default_deny => {
                Some("no_default_deny has no effect with workload, which makes none")
            }
            _ if self.workload.is_some() && !self.ns.0.is_empty() => Some("ns has no effect beside workload"),
            _ if self.workload.is_none() && self.ns.0.is_empty() => Some("name ns or workload"),
            _ => None,
        };
        if let Some(useless) = useless {
            return Err(Problem::parameter(useless));
        }
        let (namespaces, workload) = match &self.workload {
            None => (self.ns.0.iter().cloned().collect(), None),
            Some(text) => match parsed::<Peer>("workload", text)? {
                Peer::Workload(key) => (BTreeSet::from([key.namespace.clone()]), Some(key)),
                other => {
                    let why = format!("workload: {other}: write namespace/kind/name");
                    return Err(Problem::parameter(why));
                }
            },
        };
        Ok(generate::Wanted {
            options: self.options(namespaces, workload),
            priority: (!is_np).then(|| self.priority.unwrap_or(generate::PRIORITY)),
            is_plain: self.plain,
        })
    }

    fn options(&self, namespaces: BTreeSet<String>, workload: Option<WorkloadKey>) -> GenerateOptions {
        GenerateOptions {
            namespaces,
            workload,
            level: self.level.into(),
            internet: self.internet.into(),
            nodes: self.nodes.into(),
            default_deny: !self.no_default_deny,
            on_top: self.on_top,
            weak: self.weak,
            unanswered: self.unanswered,
            denied: self.denied,
            assume_dns: self.assume_dns,
            ranges: self.ranges,
        }
    }
}
