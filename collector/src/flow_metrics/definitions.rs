//! Which metrics there are: resources by who says them, and what became of each. Pure.
//!
//! Who gets a name or one of the places does not depend on who came first to this process, so
//! that replicas and restarts agree: the command line, then files by their paths, then objects
//! of Kubernetes by their age, and what is equal in that by name. A resource with a problem
//! changes nothing: what its object said before goes on, as long as nobody else needs its name,
//! until the object is removed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use weir_flowmetrics::{
    Applied, Definition, FlowMetric, MetricChange, ObjectName, Problem, ProblemKind, Registry, exposed_names,
    prometheus_name,
};

use super::kept_estimate::KeptEstimate;
use super::{CountedSeries, Estimate, ListedMetric, Unknown};

/// So many metrics are counted at most: each costs every record something.
const MAX_METRICS: usize = 256;
/// So many resources of files, and as many of Kubernetes, are known at most.
pub const MAX_RESOURCES: usize = 1_024;

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

impl DefinedBy {
    /// Whether both are files, or both Kubernetes, or the command line.
    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// What became of a resource: how it is applied, or all that is wrong with it.
pub type Outcome = Result<Applied, Vec<Problem>>;

/// Who says it, and the name of its object.
pub type Key = (DefinedBy, ObjectName);

/// A resource that was given.
#[derive(Debug)]
pub struct Taken {
    /// Its object.
    pub name: ObjectName,
    /// Why it is not even known.
    pub refused: Option<Problem>,
}

/// Resources, what became of them, and what is counted because of them.
#[derive(Debug, Default)]
pub struct Definitions {
    known: BTreeMap<Key, Known>,
    /// Was counted, and its resource is gone.
    gone: BTreeSet<ObjectName>,
}

#[derive(Debug)]
struct Known {
    /// As it was given last.
    resource: FlowMetric,
    /// What it means, once somebody had to know: expressions take a while.
    definition: Option<Result<Definition, Vec<Problem>>>,
    /// `None` until it was decided.
    outcome: Option<Outcome>,
    /// What is counted: the same, or what was good before.
    counted: Option<FlowMetric>,
    /// How many series it will have, once that was looked at.
    estimate: Option<KeptEstimate>,
    /// That is to be looked at apart from others.
    is_crowded: bool,
    place: Place,
}

/// A resource of which it is to be estimated how many series it will have.
#[derive(Debug, Clone)]
pub struct DueEstimate {
    key: Key,
    resource: FlowMetric,
    /// What it means.
    pub definition: Definition,
}

/// What a decision gave a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is counted.
    Counted,
    /// What its object said before is counted.
    AsBefore,
    None,
}

impl Definitions {
    /// Takes resources of a source, new or changed, and decides what is counted. Where `present` is
    /// told, other objects of the source are gone. Nothing changes in what is counted before
    /// [`Self::install`].
    pub fn take(
        &mut self,
        by: &DefinedBy,
        resources: impl IntoIterator<Item = FlowMetric>,
        present: Option<&BTreeSet<ObjectName>>,
    ) -> Vec<Taken> {
        if let Some(present) = present {
            self.retain(by, present);
        }
        let resources = resources.into_iter();
        let taken = resources.map(|resource| self.insert(by, resource)).collect();
        self.decide();
        taken
    }

    fn retain(&mut self, by: &DefinedBy, present: &BTreeSet<ObjectName>) {
        let gone = &mut self.gone;
        self.known.retain(|(source, name), known| {
            let stays = source != by || present.contains(name);
            if !stays && known.counted.is_some() {
                gone.insert(name.clone());
            }
            stays
        });
    }

    fn insert(&mut self, by: &DefinedBy, resource: FlowMetric) -> Taken {
        let name = ObjectName::of(&resource);
        let key = (by.clone(), name.clone());
        if let Some(known) = self.known.get_mut(&key) {
            if known.resource != resource {
                (known.definition, known.outcome) = (None, None);
                if known.resource.spec.counted() != resource.spec.counted() {
                    (known.estimate, known.is_crowded) = (None, false);
                }
                known.resource = resource;
            }
            return Taken { name, refused: None };
        }
        let alike = self.known.keys().filter(|(source, _)| source.is_like(by));
        if alike.count() >= MAX_RESOURCES {
            let refused = Some(too_many(format!("{MAX_RESOURCES} are known already")));
            return Taken { name, refused };
        }
        let known = Known {
            resource,
            definition: None,
            outcome: None,
            counted: None,
            estimate: None,
            is_crowded: false,
            place: Place::None,
        };
        self.known.insert(key, known);
        Taken { name, refused: None }
    }

    /// Gives names and places: first to what there is by its precedence, then to what was good
    /// before.
    fn decide(&mut self) {
        let mut names = Names::default();
        let mut all: Vec<_> = self.known.iter_mut().collect();
        all.sort_by_cached_key(|((by, name), known)| {
            let created = &known.resource.metadata.creation_timestamp;
            (by.clone(), created.clone(), name.clone())
        });
        for ((by, name), known) in &mut all {
            let outcome = match names.obstacle(by, name, &known.resource) {
                Some(problem) => Err(vec![problem]),
                None => known.applied(),
            };
            known.place = Place::None;
            if outcome.is_ok() {
                names.give(by, name, &known.resource);
                known.place = Place::Counted;
            }
            known.outcome = Some(outcome);
        }
        for ((by, name), known) in &mut all {
            if let (Place::None, Some(before)) = (known.place, &known.counted)
                && names.obstacle(by, name, before).is_none()
            {
                names.give(by, name, before);
                known.place = Place::AsBefore;
            }
        }
    }

    /// Lets the registry count what was decided; whether that is something else than before.
    pub fn install(&mut self, registry: &mut Registry) -> bool {
        let mut changed = false;
        for name in std::mem::take(&mut self.gone) {
            changed |= registry.remove(&name);
        }
        for ((_, name), known) in &mut self.known {
            if known.place == Place::None && known.counted.take().is_some() {
                changed |= registry.remove(name);
            }
        }
        for known in self.known.values_mut() {
            if known.place != Place::Counted || known.counted.as_ref() == Some(&known.resource) {
                continue;
            }
            if let Some(Ok(definition)) = &known.definition {
                known.outcome = Some(Ok(registry.put(&known.resource, definition.clone())));
                known.counted = Some(known.resource.clone());
                changed = true;
            }
        }
        changed
    }

    /// What became of this object.
    pub fn outcome(&self, by: &DefinedBy, name: &ObjectName) -> Option<&Outcome> {
        self.known.get(&(by.clone(), name.clone()))?.outcome.as_ref()
    }

    /// What became of the objects of this source.
    pub fn outcomes(&self, by: &DefinedBy) -> impl Iterator<Item = (&ObjectName, &Outcome)> {
        let of_source = self.known.iter().filter(move |((source, _), _)| source == by);
        of_source.filter_map(|((_, name), known)| Some((name, known.outcome.as_ref()?)))
    }

    /// All resources, with how those fare that are counted.
    pub fn list(&self, counted: &BTreeMap<&ObjectName, CountedSeries>) -> Vec<ListedMetric> {
        let listed = self.known.iter().filter_map(|((by, object), known)| {
            let counted = (known.place != Place::None).then(|| counted.get(object).copied());
            Some(ListedMetric {
                by: by.clone(),
                object: object.clone(),
                outcome: known.outcome.clone()?,
                estimate: known.estimate.as_ref().map(|kept| kept.estimate.clone()),
                counted: counted.flatten(),
            })
        });
        listed.collect()
    }

    /// Some of the good resources without an estimate, or with one that is to be made again, which are to be estimated
    /// together: so many at most, or one whose series others left no room for.
    pub fn without_estimate(&self, most: usize, now: Instant) -> Vec<DueEstimate> {
        let all = self.known.iter();
        let due = all.filter(|(_, known)| known.estimate.as_ref().is_none_or(|kept| kept.is_due(now)));
        let (alone, together): (Vec<_>, Vec<_>) = due.partition(|(_, known)| known.is_crowded);
        let of = |(key, known): (&Key, &Known)| {
            Some(DueEstimate {
                key: key.clone(),
                resource: known.resource.clone(),
                definition: known.good()?.clone(),
            })
        };
        let mut due: Vec<_> = together.into_iter().filter_map(of).take(most).collect();
        if due.is_empty() {
            due.extend(alone.into_iter().find_map(of));
        }
        due
    }

    /// Takes the estimate of a resource that was made now, unless it counts something else by now. Of a file, the log
    /// has it where it tells more than before.
    pub fn set_estimate(&mut self, due: &DueEstimate, estimate: Estimate, now: Instant) {
        let DueEstimate { key, resource, .. } = due;
        let Some(known) = self.known.get_mut(key) else {
            return;
        };
        if known.resource.spec.counted() != resource.spec.counted() {
            return;
        }
        if estimate == Estimate::Unknown(Unknown::Crowded) {
            known.is_crowded = true;
            return;
        }
        let before = known.estimate.take();
        let is_more = |before: &KeptEstimate| estimate.telling().is_more_than(before.estimate.telling());
        if let (DefinedBy::File(path), object) = key
            && before.as_ref().is_none_or(is_more)
        {
            let (file, metric) = (path.display(), prometheus_name(resource));
            tracing::info!(%file, %object, metric, "{estimate}");
        }
        known.estimate = Some(KeptEstimate::after(before, estimate, now));
    }

    /// What is estimated of the objects of this source.
    pub fn estimates(&self, by: &DefinedBy) -> impl Iterator<Item = (&ObjectName, &Estimate)> {
        let of_source = self.known.iter().filter(move |((source, _), _)| source == by);
        of_source.filter_map(|((_, name), known)| Some((name, &known.estimate.as_ref()?.estimate)))
    }

    /// What is counted, as resources.
    pub fn counted(&self) -> impl Iterator<Item = &FlowMetric> {
        self.known.values().filter_map(|known| known.counted.as_ref())
    }

    /// How many resources are refused.
    pub fn refused(&self) -> usize {
        let outcomes = self.known.values().filter_map(|known| known.outcome.as_ref());
        outcomes.filter(|outcome| outcome.is_err()).count()
    }
}

impl Known {
    /// What it means, if nothing is in its way.
    fn good(&self) -> Option<&Definition> {
        let is_good = self.outcome.as_ref().is_some_and(Result::is_ok);
        let definition = self.definition.as_ref().filter(|_| is_good)?;
        definition.as_ref().ok()
    }

    /// How it is applied as long as nothing changes.
    fn applied(&mut self) -> Outcome {
        let definition = self
            .definition
            .get_or_insert_with(|| Definition::new(&self.resource));
        match definition {
            Ok(definition) => Ok(definition.applied(MetricChange::Kept)),
            Err(problems) => Err(problems.clone()),
        }
    }
}

/// What is given away.
#[derive(Debug, Default)]
struct Names {
    /// Objects that are counted.
    objects: HashMap<ObjectName, DefinedBy>,
    /// Metric and object by each name that they show.
    shown: HashMap<String, (String, ObjectName)>,
}

impl Names {
    fn give(&mut self, by: &DefinedBy, object: &ObjectName, resource: &FlowMetric) {
        self.objects.insert(object.clone(), by.clone());
        let metric = prometheus_name(resource);
        for name in exposed_names(resource) {
            self.shown.insert(name, (metric.clone(), object.clone()));
        }
    }

    /// What keeps a resource from being counted that others have.
    fn obstacle(&self, by: &DefinedBy, object: &ObjectName, resource: &FlowMetric) -> Option<Problem> {
        if let Some(source) = self.objects.get(object)
            && source != by
        {
            return Some(Problem {
                field: "metadata.name".to_owned(),
                kind: ProblemKind::NameTaken,
                message: format!("{source} has an object {object} already"),
                remedy: "choose another name, or remove that object".to_owned(),
            });
        }
        let names = exposed_names(resource);
        let taken = names.iter().find_map(|name| Some((name, self.shown.get(name)?)));
        if let Some((name, (metric, other))) = taken {
            return Some(Problem::name_taken(name, metric, other));
        }
        let is_full = self.objects.len() >= MAX_METRICS;
        is_full.then(|| too_many(format!("{MAX_METRICS} metrics are counted already")))
    }
}

fn too_many(message: String) -> Problem {
    Problem {
        field: "metadata.name".to_owned(),
        kind: ProblemKind::TooMany,
        message,
        remedy: "remove one of them".to_owned(),
    }
}

#[cfg(test)]
mod tests;
