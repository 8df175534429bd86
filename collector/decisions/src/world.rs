//! The cluster that is asked about, with policies of files in it, and the traffic that is
//! held against it.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_policy::edges::EdgeSet;
use weir_policy::parse::Objects;
use weir_policy::{Cluster, Engine, Policy, PolicyKey, Profile};

use crate::matrix::Part;
use crate::{DecisionError, Sight, profile_name};

/// All that verdicts rest on.
#[derive(Debug)]
pub struct World {
    /// What is there.
    pub objects: Arc<Objects>,
    /// Policies of files: there beside those of the objects, and instead of those with the
    /// same name.
    pub policies: Vec<Policy>,
    /// The network plugin that is assumed.
    pub profile: Profile,
    /// What may be told of it.
    pub sight: Sight,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Traffic {
    /// All of it.
    pub edges: EdgeSet,
    /// Which row of the matrix each is of, before they are added up; empty where nobody asked.
    pub parts: Vec<Part>,
    /// The hours that it is of: the start of the first, RFC 3339.
    pub since: String,
    /// The end of the last.
    pub until: String,
}

impl World {
    /// The word for the plugin that is assumed.
    pub fn profile_name(&self) -> &'static str {
        profile_name(self.profile.cni)
    }

    /// All policies: those of files are there instead of those with the same name.
    pub fn all_policies(&self) -> Vec<Policy> {
        let all = self.objects.cluster.policies.iter().chain(&self.policies);
        let by_key: BTreeMap<PolicyKey, &Policy> = all.map(|policy| (policy.key(), policy)).collect();
        by_key.into_values().cloned().collect()
    }

    /// The cluster with all policies.
    pub fn cluster(&self) -> Cluster {
        Cluster {
            policies: self.all_policies(),
            ..self.objects.cluster.clone()
        }
    }

    /// An engine that knows all of it.
    pub fn engine(&self) -> Engine {
        Engine::compile(self.profile, self.cluster())
    }

    /// Whether there is such a namespace, or a pod in it.
    pub fn has_namespace(&self, name: &str) -> bool {
        let cluster = &self.objects.cluster;
        cluster.pods.iter().any(|pod| pod.namespace == name)
            || cluster.namespaces.iter().any(|namespace| namespace.name == name)
    }

    /// Those that are named must be there: of one that is not there is nothing to tell, which
    /// would look as if all were well.
    ///
    /// # Errors
    /// The first that is not.
    pub fn require(&self, namespaces: &[String]) -> Result<(), DecisionError> {
        match namespaces.iter().find(|name| !self.has_namespace(name)) {
            Some(name) => Err(DecisionError::NoNamespace(name.clone())),
            None => Ok(()),
        }
    }
}
