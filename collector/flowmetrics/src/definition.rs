//! A resource that was found good: what a metric counts, with fields instead of names.
//! Everything that is wrong with a resource is told here, none of it while counting.

use std::collections::BTreeMap;

use crate::filter::{Filter, Reading};
use crate::names::{self, Cardinality, Named};
use crate::numbers;
use crate::problem::{Problem, ProblemKind, Problems, Warning};
use crate::resource::{FlowMetric, FlowMetricSpec, MetricType};
use crate::source::{Derived, Source, SourceKind};
use crate::status::{Applied, MetricChange};

use exposed::names_of;
pub use exposed::{exposed_names, prometheus_name};

/// What stands before every name.
pub const PREFIX: &str = "netobserv_";
/// So many lists can be flattened together: their items are multiplied.
pub(crate) const MOST_LISTS: usize = 4;

/// So many filters and labels a metric may have.
const MOST_FILTERS: usize = 64;
const MOST_LABELS: usize = 64;

/// A metric as it is counted.
#[derive(Debug, Clone)]
pub struct Definition {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) help: String,
    pub(crate) labels: Vec<Label>,
    pub(crate) flatten: Vec<Source>,
    pub(crate) filters: Vec<Filter>,
    pub(crate) value: Option<Source>,
    pub(crate) divider: Option<f64>,
    /// It asks for other observations than the primary ones, by a filter on `primary`.
    pub(crate) all_observations: bool,
    pub(crate) max_series: Option<usize>,
    pub(crate) cardinality: Cardinality,
    /// It reads `Flags`, which say where connections start.
    pub(crate) reads_starts: bool,
    warnings: Vec<Warning>,
}

/// Type of a metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    /// Upper bounds of the buckets but the last, which has none.
    Histogram(Vec<f64>),
}

/// A label of a metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Label {
    pub name: String,
    pub reading: Reading,
}

impl Definition {
    /// Checks a resource. All that is wrong with it is told at once.
    pub fn new(metric: &FlowMetric) -> Result<Self, Vec<Problem>> {
        let spec = &metric.spec;
        let mut checker = Checker {
            spec,
            flatten: Vec::new(),
            problems: Problems::default(),
            warnings: Vec::new(),
            cardinality: Cardinality::Fine,
            reads_starts: false,
        };
        let name = checker.name(metric);
        checker.bounded();
        if !checker.problems.is_empty() {
            return Err(checker.problems.into_vec());
        }
        checker.flatten();
        let labels = checker.labels();
        let filters = checker.filters();
        let value = checker.value();
        let (bounds, divider) = (checker.bounds(), checker.divider());
        let max_series = numbers::max_series(&metric.metadata.annotations, &mut checker.problems);
        if !checker.problems.is_empty() {
            return Err(checker.problems.into_vec());
        }
        let primary = Reading::Record(Source::of("primary"));
        Ok(Self {
            name,
            kind: match spec.metric_type {
                MetricType::Counter => Kind::Counter,
                MetricType::Gauge => Kind::Gauge,
                MetricType::Histogram => Kind::Histogram(bounds),
            },
            help: spec.help.clone(),
            labels,
            flatten: checker.flatten,
            all_observations: filters.iter().any(|filter| filter.reading == primary),
            filters,
            value,
            divider,
            max_series,
            cardinality: checker.cardinality,
            reads_starts: checker.reads_starts,
            warnings: checker.warnings,
        })
    }

    /// Name in Prometheus.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What to know about it.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What becomes of its resource that is counted, where that means this for the series.
    pub fn applied(&self, change: MetricChange) -> Applied {
        Applied {
            prometheus_name: self.name.clone(),
            change,
            cardinality: self.cardinality,
            warnings: self.warnings.clone(),
        }
    }

    /// Names of its samples and of its family in both formats: no other metric may have one.
    pub(crate) fn exposed_names(&self) -> Vec<String> {
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram(_) => MetricType::Histogram,
        };
        names_of(&self.name, kind)
    }
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, with colons too where they are allowed.
fn is_name(name: &str, colons: bool) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    name.chars().all(word) && name.chars().next().is_some_and(|first| !first.is_ascii_digit())
}

struct Checker<'s> {
    spec: &'s FlowMetricSpec,
    flatten: Vec<Source>,
    problems: Problems,
    warnings: Vec<Warning>,
    /// Of the label that takes the most values.
    cardinality: Cardinality,
    reads_starts: bool,
}

impl Checker<'_> {
    fn warn(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Warning {
            field: field.into(),
            message: message.into(),
        });
    }

    /// What is many costs every record, or every series, something.
    fn bounded(&mut self) {
        let spec = self.spec;
        for (field, given, most) in [
            ("filters", spec.filters.len(), MOST_FILTERS),
            ("labels", spec.labels.len(), MOST_LABELS),
        ] {
            if given > most {
                let message = format!("{given} are more than {most}");
                let remedy = "leave some out, or make several metrics of it";
                let path = format!("spec.{field}");
                self.problems.add(path, ProblemKind::TooMany, message, remedy);
            }
        }
    }

    fn name(&mut self, metric: &FlowMetric) -> String {
        let given = &self.spec.metric_name;
        if !given.is_empty() && (!is_name(given, true) || given.starts_with(':')) {
            self.problems.add(
                "spec.metricName",
                ProblemKind::BadName,
                format!("{given:?} is no name of a metric"),
                "use letters, digits, _ and :, and no digit first",
            );
        }
        let name = prometheus_name(metric);
        if self.spec.metric_type == MetricType::Counter && !name.ends_with("_total") {
            let message = "a counter's name should end in _total; OpenMetrics shows this one with the type unknown, so that its name stays";
            self.warn("spec.metricName", message);
        }
        name
    }

    /// The field of a name, or what is wrong with the name.
    fn field(&mut self, path: &str, name: &str) -> Option<Named> {
        let Some(named) = names::find(name) else {
            let remedy = names::remedy_for(name);
            let message = format!("there is no field {name:?}");
            self.problems
                .add(path, ProblemKind::UnknownField, message, remedy);
            return None;
        };
        if named.source.kind() == SourceKind::Map {
            let message = format!("{name} holds texts by keys");
            let remedy = "use another field: a single key of it cannot be read";
            self.problems.add(path, ProblemKind::WrongField, message, remedy);
            return None;
        }
        self.reads_starts |= named.source == Source::Derived(Derived::Flags);
        if !named.source.is_available() {
            self.warn(
                path,
                format!("nothing fills {name} here: it is absent in every record"),
            );
        }
        Some(named)
    }

    /// The same for what has a text: no times of ours, which have no short text.
    fn text_field(&mut self, path: &str, name: &str) -> Option<Named> {
        let named = self.field(path, name)?;
        if named.source.kind() == SourceKind::Time {
            let message = format!("{name} is a time, which as a text is another one in each record");
            let remedy = "use TimeFlowStartMs, TimeFlowEndMs or TimeReceived, which are numbers";
            self.problems.add(path, ProblemKind::WrongField, message, remedy);
            return None;
        }
        Some(named)
    }

    fn flatten(&mut self) {
        for (at, name) in self.spec.flatten.iter().enumerate() {
            let path = format!("spec.flatten[{at}]");
            let Some(named) = self.field(&path, name) else {
                continue;
            };
            if named.key.is_some() || !named.source.is_list() {
                let message = format!("{name} is no list");
                let remedy = "flatten Flags, Interfaces or NetworkEvents; other fields need none";
                self.problems.add(path, ProblemKind::WrongField, message, remedy);
            } else if self.flatten.contains(&named.source) {
                let message = format!("{name} is flattened twice");
                self.problems
                    .add(path, ProblemKind::Contradiction, message, "name it once");
            } else if named.source.kind() != SourceKind::NumberList {
                self.flatten.push(named.source);
            }
        }
        if self.flatten.len() > MOST_LISTS {
            let message = format!("{} lists multiply", self.flatten.len());
            let remedy = format!("flatten {MOST_LISTS} at most");
            self.problems
                .add("spec.flatten", ProblemKind::Contradiction, message, remedy);
        }
    }

    /// Where a name reads: the item at hand if its list is flattened.
    fn reading(&mut self, path: &str, name: &str, named: Named) -> Option<Reading> {
        let list = self.flatten.iter().position(|list| *list == named.source);
        match (list, named.key) {
            (Some(_), None) if named.source.kind() == SourceKind::EventList => {}
            (Some(list), key) => return Some(Reading::Part { list, key }),
            (None, Some(_)) => {
                let (list, _) = name.split_once('>').unwrap_or((name, ""));
                let message = format!("{name} is of one item, and the list is not flattened");
                let remedy = format!("add {list} to spec.flatten");
                self.problems
                    .add(path, ProblemKind::Contradiction, message, remedy);
                return None;
            }
            (None, None) => {}
        }
        Some(Reading::Record(named.source))
    }

    fn labels(&mut self) -> Vec<Label> {
        let (mut labels, mut taken) = (Vec::new(), BTreeMap::new());
        for (at, field) in self.spec.labels.iter().enumerate() {
            let path = format!("spec.labels[{at}]");
            let Some(named) = self.text_field(&path, field) else {
                continue;
            };
            if named.source.kind() == SourceKind::EventList && named.key.is_none() {
                let message = format!("{field} is a list of events, which is no text");
                let remedy = format!("name a key, such as {field}>Name, and flatten {field}");
                self.problems.add(path, ProblemKind::WrongField, message, remedy);
                continue;
            }
            let Some(reading) = self.reading(&path, field, named) else {
                continue;
            };
            let name = self.spec.remap.get(field).unwrap_or(field).clone();
            self.label_name(&path, field, &name);
            if let Some(other) = taken.insert(name.clone(), field) {
                let message = format!("{other} and {field} are both the label {name:?}");
                let remedy = "give one of them another name in spec.remap, or leave it out";
                self.problems.add(path, ProblemKind::NameTaken, message, remedy);
                continue;
            }
            self.cardinality = self.cardinality.max(named.cardinality);
            match named.cardinality {
                Cardinality::Fine => {}
                Cardinality::Careful => self.warn(path, format!("{field} may take many values")),
                Cardinality::Avoid => {
                    self.warn(
                        path,
                        format!("{field} looks unsafe as a label: it takes very many values"),
                    );
                }
            }
            labels.push(Label { name, reading });
        }
        for field in self.spec.remap.keys() {
            if !self.spec.labels.contains(field) {
                let message = format!("{field} is no label of this metric");
                let remedy = "add it to spec.labels, spelled alike, or leave it out here";
                let path = format!("spec.remap.{field}");
                self.problems
                    .add(path, ProblemKind::Contradiction, message, remedy);
            }
        }
        labels
    }

    fn label_name(&mut self, path: &str, field: &str, name: &str) {
        let path = match self.spec.remap.contains_key(field) {
            true => format!("spec.remap.{field}"),
            false => path.to_owned(),
        };
        if !is_name(name, false) {
            let message = format!("{name:?} is no name of a label");
            let remedy = "give it a name of letters, digits and _ in spec.remap, no digit first";
            self.problems.add(path, ProblemKind::BadName, message, remedy);
        } else if name.starts_with("__") || (name == "le" && self.spec.metric_type == MetricType::Histogram) {
            let message = format!("the label {name:?} is Prometheus's own");
            let remedy = "give it another name in spec.remap";
            self.problems.add(path, ProblemKind::BadName, message, remedy);
        }
    }

    fn value(&mut self) -> Option<Source> {
        let name = &self.spec.value_field;
        if name.is_empty() {
            return None;
        }
        let named = self.field("spec.valueField", name)?;
        if named.source.kind() != SourceKind::Number {
            let message = format!("{name} is no number");
            let remedy = "name a field of numbers, such as Bytes, or leave it out to count flows";
            self.problems
                .add("spec.valueField", ProblemKind::WrongField, message, remedy);
            return None;
        }
        Some(named.source)
    }

    fn bounds(&mut self) -> Vec<f64> {
        if self.spec.metric_type != MetricType::Histogram {
            if !self.spec.buckets.is_empty() {
                self.warn("spec.buckets", "only a Histogram has buckets; these are not read");
            }
            return Vec::new();
        }
        numbers::bounds(&self.spec.buckets, &mut self.problems)
    }

    fn divider(&mut self) -> Option<f64> {
        let gauge = self.spec.metric_type == MetricType::Gauge;
        numbers::divider(&self.spec.divider, gauge, &mut self.problems)
    }
}

mod exposed;
mod filters;
#[cfg(test)]
mod tests;
