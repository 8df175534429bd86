//! Pods as policies can name them: by labels that last.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{GenerateInput, Level};
use crate::classes::owners;
use crate::edges::{PodEnd, WorkloadKey};
use crate::facts::Pod;
use crate::inventory::{Inventory, Workload, is_generated, stable_labels};
use crate::selector::{Labels, Operator, Requirement, Selector};

/// What pods have in common that are named together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum UnitKey {
    Workload(WorkloadKey),
    /// Pods of a namespace with exactly these labels, but for generated ones.
    Labels(String, Labels),
}

impl std::fmt::Display for UnitKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            UnitKey::Workload(key) => write!(f, "{key}"),
            UnitKey::Labels(namespace, labels) => {
                write!(f, "{namespace}")?;
                labels
                    .iter()
                    .try_for_each(|(key, value)| write!(f, " {key}={value}"))
            }
        }
    }
}

impl UnitKey {
    pub fn namespace(&self) -> &str {
        match self {
            UnitKey::Workload(key) => &key.namespace,
            UnitKey::Labels(namespace, _) => namespace,
        }
    }
}

/// A unit and how it is written.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// Kind and name of what stands behind: for the name of its policy.
    pub kind: String,
    pub name: String,
    pub workload: Option<WorkloadKey>,
    /// `None`: no label lasts, so that only the whole namespace can be named.
    pub selector: Option<Selector>,
    pub warnings: BTreeSet<String>,
}

/// All units of a cluster.
pub(super) struct Units<'a> {
    level: Level,
    inventory: &'a Inventory,
    /// By namespace and name; finished ones too.
    pods: HashMap<(&'a str, &'a str), &'a Pod>,
    owners: HashMap<(&'a str, &'a str), &'a WorkloadKey>,
    workloads: HashMap<&'a WorkloadKey, &'a Workload>,
    /// By namespace, sorted by name.
    by_namespace: BTreeMap<&'a str, Vec<&'a Pod>>,
    units: BTreeMap<UnitKey, Unit>,
}

impl<'a> Units<'a> {
    pub fn of(input: &GenerateInput<'a>) -> Self {
        let mut by_namespace: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
        for pod in &input.cluster.pods {
            by_namespace.entry(&pod.namespace).or_default().push(pod);
        }
        by_namespace
            .values_mut()
            .for_each(|pods| pods.sort_by(|one, other| one.name.cmp(&other.name)));
        let pods = input.cluster.pods.iter();
        Units {
            level: input.options.level,
            inventory: input.inventory,
            pods: pods
                .map(|pod| ((pod.namespace.as_str(), pod.name.as_str()), pod))
                .collect(),
            owners: owners(input.inventory),
            workloads: input
                .inventory
                .workloads
                .iter()
                .map(|workload| (&workload.key, workload))
                .collect(),
            by_namespace,
            units: BTreeMap::new(),
        }
    }

    fn all_of(&self, namespace: &str) -> impl Iterator<Item = &'a Pod> {
        self.by_namespace.get(namespace).into_iter().flatten().copied()
    }

    /// Those that policies can select: on the pod network, and not finished.
    fn running(&self, namespace: &str) -> impl Iterator<Item = &'a Pod> {
        self.all_of(namespace)
            .filter(|pod| !pod.finished && !pod.host_network)
    }

    pub fn unit(&self, key: &UnitKey) -> Option<&Unit> {
        self.units.get(key)
    }

    pub fn pod(&self, namespace: &str, name: &str) -> Option<&'a Pod> {
        self.pods.get(&(namespace, name)).copied()
    }

    pub fn inventory(&self) -> &'a Inventory {
        self.inventory
    }

    /// The unit of a pod of an edge; `None` where nothing is known of it any more.
    pub fn of_end(&mut self, end: &PodEnd) -> Option<UnitKey> {
        let pod = self.pod(&end.namespace, &end.name);
        let owner = pod.and_then(|pod| self.owner(pod)).or(end.workload.as_ref());
        let owner = owner.filter(|key| self.workloads.contains_key(key)).cloned();
        let key = match (self.level, owner, pod) {
            (Level::Pods, owner, None) => self.only_labels(owner.as_ref()?)?,
            (Level::Pods, _, Some(pod)) | (_, None, Some(pod)) => {
                UnitKey::Labels(pod.namespace.clone(), stable_labels(&pod.labels))
            }
            (_, Some(owner), _) => UnitKey::Workload(owner),
            (_, None, None) => return None,
        };
        self.enter(&key);
        Some(key)
    }

    /// The unit of a pod that is there.
    pub fn of_pod(&mut self, namespace: &str, name: &str) -> Option<UnitKey> {
        self.of_end(&PodEnd {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            address: None,
            node: String::new(),
            workload: None,
        })
    }

    /// The key that a pod has, if a unit with it is there.
    pub fn key_of(&self, pod: &Pod) -> UnitKey {
        match self.owner(pod).filter(|_| self.level != Level::Pods) {
            Some(owner) => UnitKey::Workload(owner.clone()),
            None => UnitKey::Labels(pod.namespace.clone(), stable_labels(&pod.labels)),
        }
    }

    fn owner(&self, pod: &Pod) -> Option<&'a WorkloadKey> {
        self.owners
            .get(&(pod.namespace.as_str(), pod.name.as_str()))
            .copied()
    }

    /// The labels of a workload's pods if all of them have the same, else its template's.
    fn only_labels(&self, key: &WorkloadKey) -> Option<UnitKey> {
        let workload = self.workloads.get(key)?;
        let own = self.own_pods(workload);
        let labels: BTreeSet<Labels> = own.iter().map(|pod| stable_labels(&pod.labels)).collect();
        let labels = match labels.len() {
            1 => labels.into_iter().next()?,
            _ => stable_labels(&workload.template),
        };
        Some(UnitKey::Labels(key.namespace.clone(), labels))
    }

    fn own_pods(&self, workload: &Workload) -> Vec<&'a Pod> {
        let pods = self.running(&workload.key.namespace);
        pods.filter(|pod| workload.pods.contains(&pod.name)).collect()
    }

    fn enter(&mut self, key: &UnitKey) {
        if self.units.contains_key(key) {
            return;
        }
        let unit = match key {
            UnitKey::Workload(owner) => self.of_workload(owner),
            UnitKey::Labels(namespace, labels) => Some(self.of_labels(namespace, labels)),
        };
        if let Some(unit) = unit {
            self.units.insert(key.clone(), unit);
        }
    }

    fn of_workload(&self, key: &WorkloadKey) -> Option<Unit> {
        let workload = *self.workloads.get(key)?;
        let selector: Labels = match workload.selector.is_empty() {
            false => stable_labels(&workload.selector),
            true => stable_labels(&workload.template),
        };
        let mut unit = Unit {
            kind: key.kind.to_lowercase(),
            name: key.name.clone(),
            workload: Some(key.clone()),
            selector: None,
            warnings: BTreeSet::new(),
        };
        if selector.is_empty() {
            unit.warnings.insert(format!(
                "{key} has no labels that last: its whole namespace is meant"
            ));
            return Some(unit);
        }
        let (selector, others) = self.narrowed(workload, selector);
        if !others.is_empty() {
            unit.warnings.insert(also_selects(&key.to_string(), &others));
        }
        unit.selector = Some(of_labels(&selector));
        Some(unit)
    }

    /// With labels of the template, as long as these leave fewer pods of others. Gives
    /// back who else is selected.
    fn narrowed(&self, workload: &Workload, mut selector: Labels) -> (Labels, BTreeSet<String>) {
        let pods: Vec<&Pod> = self.running(&workload.key.namespace).collect();
        let own = self.own_pods(workload);
        let has = |pod: &Pod, (key, value): (&String, &String)| pod.labels.get(key) == Some(value);
        let others = |selector: &Labels| -> Vec<&Pod> {
            let selected = pods
                .iter()
                .filter(|pod| selector.iter().all(|label| has(pod, label)));
            selected
                .filter(|pod| !workload.pods.contains(&pod.name))
                .copied()
                .collect()
        };
        let mut left = others(&selector);
        for (key, value) in &workload.template {
            let fits = !is_generated(key, value) && own.iter().all(|pod| has(pod, (key, value)));
            if left.is_empty() || selector.contains_key(key) || !fits {
                continue;
            }
            let mut narrower = selector.clone();
            narrower.insert(key.clone(), value.clone());
            let still = others(&narrower);
            if still.len() < left.len() {
                (selector, left) = (narrower, still);
            }
        }
        let names = self.names(&left);
        (selector, names)
    }

    /// The pods with these labels; at the level of pods none that have more: a key of
    /// theirs must be absent.
    fn of_labels(&self, namespace: &str, labels: &Labels) -> Unit {
        let running = self.running(namespace);
        let has_all = |pod: &&Pod| {
            labels
                .iter()
                .all(|(key, value)| pod.labels.get(key) == Some(value))
        };
        let wider: Vec<&Pod> = running
            .filter(has_all)
            .filter(|pod| stable_labels(&pod.labels) != *labels)
            .collect();
        let mut unit = self.named_by_labels(namespace, labels);
        let pod = format!("{namespace}/{}", unit.name);
        let mut requirements: Vec<Requirement> = labels.iter().map(|(key, value)| is(key, value)).collect();
        if self.level == Level::Pods {
            let other_key = |pod: &&Pod| {
                let labels_of = stable_labels(&pod.labels);
                labels_of.into_keys().find(|key| !labels.contains_key(key))
            };
            let absent: BTreeSet<String> = wider.iter().filter_map(other_key).collect();
            requirements.extend(absent.into_iter().map(|key| Requirement {
                key,
                operator: Operator::DoesNotExist,
            }));
        } else if labels.is_empty() {
            unit.warnings.insert(format!(
                "{pod} has no labels that last: its whole namespace is meant"
            ));
            return unit;
        } else if !wider.is_empty() {
            unit.warnings.insert(also_selects(&pod, &self.names(&wider)));
        }
        unit.selector = Some(Selector::Requirements(requirements));
        unit
    }

    /// Named after the workload of the first pod with these labels, or after that pod.
    fn named_by_labels(&self, namespace: &str, labels: &Labels) -> Unit {
        let mut pods = self.all_of(namespace);
        let first = pods.find(|pod| stable_labels(&pod.labels) == *labels);
        let owner = first.and_then(|pod| self.owner(pod));
        let (kind, name) = match (owner, first) {
            (Some(owner), _) => (owner.kind.to_lowercase(), owner.name.clone()),
            (None, Some(pod)) => ("pod".to_owned(), pod.name.clone()),
            (None, None) => ("pod".to_owned(), "gone".to_owned()),
        };
        Unit {
            kind,
            name,
            workload: owner.cloned(),
            selector: None,
            warnings: BTreeSet::new(),
        }
    }

    /// The workloads of pods, or the pods themselves.
    fn names(&self, pods: &[&Pod]) -> BTreeSet<String> {
        let name = |pod: &&Pod| match self.owner(pod) {
            Some(owner) => owner.to_string(),
            None => format!("{}/{}", pod.namespace, pod.name),
        };
        pods.iter().map(name).collect()
    }
}

fn also_selects(what: &str, others: &BTreeSet<String>) -> String {
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    format!("what selects {what} also selects {}", others.join(", "))
}

fn is(key: &str, value: &str) -> Requirement {
    Requirement {
        key: key.to_owned(),
        operator: Operator::In(vec![value.to_owned()]),
    }
}

/// What `matchLabels` of these labels says.
pub(super) fn of_labels(labels: &Labels) -> Selector {
    Selector::Requirements(labels.iter().map(|(key, value)| is(key, value)).collect())
}
