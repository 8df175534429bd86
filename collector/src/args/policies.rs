//! The options of policies; `weir-collector` and `weir up` share them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use utoipa::ToSchema;
use weir_policy::Cni;

use crate::policies::PolicySources;

/// Which policies flows are judged by.
#[derive(Debug, Clone, Default, Args)]
pub struct PolicyArgs {
    /// File or folder of policies and of what they select, YAML or JSON as `kubectl get
    /// pods,namespaces,nodes,networkpolicies -A -o yaml` writes it; read again when it changes;
    /// may be repeated [default: those of the cluster that names come from]
    #[arg(long, value_name = "FILE|FOLDER")]
    pub policies: Vec<PathBuf>,

    /// The network plugin whose behaviour is assumed where the API of policies leaves it open
    /// [default: the one that has annotated the nodes, else what the API says]
    #[arg(long, value_name = "NAME")]
    pub policy_profile: Option<ProfileName>,
}

impl PolicyArgs {
    /// What they mean.
    pub fn sources(&self) -> PolicySources {
        PolicySources {
            paths: self.policies.clone(),
            cni: self.policy_profile.map(ProfileName::cni),
        }
    }
}

/// The word for a [`Cni`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileName {
    /// What the API says, and no more.
    Spec,
    /// ovn-kubernetes.
    OvnKubernetes,
    /// Antrea.
    Antrea,
    /// Kube-OVN.
    KubeOvn,
}

impl ProfileName {
    /// What it stands for.
    pub fn cni(self) -> Cni {
        match self {
            Self::Spec => Cni::Spec,
            Self::OvnKubernetes => Cni::OvnKubernetes,
            Self::Antrea => Cni::Antrea,
            Self::KubeOvn => Cni::KubeOvn,
        }
    }
}
