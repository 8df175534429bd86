//! Which metrics there are: resources by who says them, and what became of each. Pure.
//!
//! A resource with a problem changes nothing: what its object said before goes on until the
//! object is removed. Who has a name first keeps it; who was refused for it gets it once it is
//! free.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use weir_flowmetrics::{Applied, FlowMetric, ObjectName, Problem, ProblemKind, Registry};

/// So many metrics are counted at most: each costs every record something.
const MAX_METRICS: usize = 256;

/// Who says what a metric counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DefinedBy {
    /// The command line, which names metrics that are predefined.
    CommandLine,
    /// A file.
    File(PathBuf),
    /// An object of Kubernetes.
    Cluster,
}

impl fmt::Display for DefinedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("the command line"),
            Self::File(path) => path.display().fmt(f),
            Self::Cluster => f.write_str("Kubernetes"),
        }
    }
}

/// What became of a resource: how it is applied, or all that is wrong with it.
pub type Outcome = Result<Applied, Vec<Problem>>;

/// Resources, what became of them, and what is counted because of them.
#[derive(Debug, Default)]
pub struct Definitions(BTreeMap<(DefinedBy, ObjectName), Definition>);

#[derive(Debug)]
struct Definition {
    /// As it was given last.
    resource: FlowMetric,
    outcome: Outcome,
    /// What is counted: the same, or what was good before.
    counted: Option<FlowMetric>,
}

impl Definitions {
    /// Takes resources, new or changed, and tells what became of each.
    pub fn apply(
        &mut self,
        registry: &mut Registry,
        by: &DefinedBy,
        resources: impl IntoIterator<Item = FlowMetric>,
    ) -> Vec<(ObjectName, Outcome)> {
        let mut apply = |resource| self.apply_one(registry, by, resource);
        let names: Vec<_> = resources.into_iter().map(&mut apply).collect();
        // Their names may have been other ones before.
        self.try_refused_again(registry);
        let told = names.into_iter().filter_map(|name| {
            let outcome = self.outcome(by, &name)?.clone();
            Some((name, outcome))
        });
        told.collect()
    }

    fn apply_one(&mut self, registry: &mut Registry, by: &DefinedBy, resource: FlowMetric) -> ObjectName {
        let name = ObjectName::of(&resource);
        let key = (by.clone(), name);
        let counted = self.0.get_mut(&key).and_then(|known| known.counted.take());
        let outcome = match self.obstacle(&key, counted.is_some()) {
            Some(problem) => Err(vec![problem]),
            None => registry.apply(&resource),
        };
        let counted = if outcome.is_ok() {
            Some(resource.clone())
        } else {
            counted
        };
        let definition = Definition {
            resource,
            outcome,
            counted,
        };
        let name = key.1.clone();
        self.0.insert(key, definition);
        name
    }

    /// The objects of this source are these alone: others are removed. Whether there were any.
    pub fn retain(
        &mut self,
        registry: &mut Registry,
        by: &DefinedBy,
        present: &BTreeSet<ObjectName>,
    ) -> bool {
        let gone: Vec<_> = self
            .0
            .keys()
            .filter(|(source, name)| source == by && !present.contains(name))
            .cloned()
            .collect();
        for key in &gone {
            let removed = self.0.remove(key);
            if removed.is_some_and(|removed| removed.counted.is_some()) {
                registry.remove(&key.1);
            }
        }
        if !gone.is_empty() {
            self.try_refused_again(registry);
        }
        !gone.is_empty()
    }

    /// What became of this object.
    pub fn outcome(&self, by: &DefinedBy, name: &ObjectName) -> Option<&Outcome> {
        let definition = self.0.get(&(by.clone(), name.clone()));
        definition.map(|definition| &definition.outcome)
    }

    /// What is counted, as resources.
    pub fn counted(&self) -> impl Iterator<Item = &FlowMetric> {
        self.0
            .values()
            .filter_map(|definition| definition.counted.as_ref())
    }

    /// How many resources are refused.
    pub fn refused(&self) -> usize {
        let outcomes = self.0.values().map(|definition| &definition.outcome);
        outcomes.filter(|outcome| outcome.is_err()).count()
    }

    /// What others are there that keep this object from being counted.
    fn obstacle(&self, key: &(DefinedBy, ObjectName), is_counted: bool) -> Option<Problem> {
        let elsewhere = self.defined_elsewhere(key);
        if elsewhere.is_some() || is_counted || self.counted().count() < MAX_METRICS {
            return elsewhere;
        }
        Some(Problem {
            field: "metadata.name".to_owned(),
            kind: ProblemKind::TooMany,
            message: format!("{MAX_METRICS} metrics are counted already"),
            remedy: "remove one of them".to_owned(),
        })
    }

    fn defined_elsewhere(&self, (by, name): &(DefinedBy, ObjectName)) -> Option<Problem> {
        let mut others = self.0.iter().filter(|((source, other), definition)| {
            source != by && other == name && definition.counted.is_some()
        });
        let ((source, _), _) = others.next()?;
        Some(Problem {
            field: "metadata.name".to_owned(),
            kind: ProblemKind::NameTaken,
            message: format!("{source} has an object {name} already"),
            remedy: "choose another name, or remove that object".to_owned(),
        })
    }

    /// Resources whose name or place another had may have it now.
    fn try_refused_again(&mut self, registry: &mut Registry) {
        let is_taken = |outcome: &Outcome| {
            let problems = outcome.as_ref().err();
            let mut problems = problems.into_iter().flatten();
            problems.any(|problem| matches!(problem.kind, ProblemKind::NameTaken | ProblemKind::TooMany))
        };
        let waiting: Vec<_> = self
            .0
            .iter()
            .filter(|(_, definition)| is_taken(&definition.outcome))
            .map(|(key, _)| key.clone())
            .collect();
        for key in waiting {
            let is_counted = self.0.get(&key).is_some_and(|known| known.counted.is_some());
            if self.obstacle(&key, is_counted).is_some() {
                continue;
            }
            let Some(definition) = self.0.get_mut(&key) else {
                continue;
            };
            definition.outcome = registry.apply(&definition.resource);
            if definition.outcome.is_ok() {
                definition.counted = Some(definition.resource.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
