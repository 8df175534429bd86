//! FlowMetrics: resources of NetObserv's kind (`flows.netobserv.io/v1alpha1`) over flow
//! records become series for Prometheus. Pure: no I/O, no clock.
//!
//! The one-way street:
//!
//! ```text
//! YAML, JSON ── read_yaml, FlowMetric::from_json ──> FlowMetric ── Registry::apply ──> Applied | problems
//! flow record (trait Record) + time ── Registry::observe ──> series ── Registry::expose ──> text
//!                              time ── Registry::expire  ──> series that ended
//! ```
//!
//! What goes in: resources, records and the time. What comes out: text of either format,
//! problems with the field and the remedy, [`MetricStats`]. Who calls it owns threads (one
//! registry is one thread's, or behind a lock; [`Registry::replica`] counts apart, and
//! [`Registry::absorb`] brings together what several counted), the clock, the watch on
//! objects, the conditions of their status. How many series metrics would have is found by giving
//! stored records to [`LabelSets`].
//!
//! The record's type stays the collector's: it implements [`Record`], which gives values by
//! the column of the field table ([`weir_fields::Column`]). `docs/flow-metrics.md` says what
//! users see, and where the original is wrong.
#![deny(missing_docs)]

mod absorb;
mod admission;
mod columns;
mod dashboard;
mod definition;
mod direction;
mod exposition;
mod filter;
mod health;
mod identity_numbers;
mod items;
mod label_sets;
mod metric;
mod names;
mod numbers;
mod pair_cache;
mod parts;
mod predefined;
mod problem;
mod record;
mod registry;
mod resource;
mod scratch;
mod series;
mod shared;
mod source;
mod start;
mod status;
#[cfg(test)]
mod test_record;
mod word_choice;

pub use dashboard::{Dashboard, dashboards};
pub use definition::{Definition, PREFIX, exposed_names, prometheus_name};
pub use exposition::Exposition;
pub use health::{asked_by_health_rules, health_rules};
pub use identity_numbers::IdentityNumbers;
pub use label_sets::{LabelSetCount, LabelSets};
pub use names::Cardinality;
pub use predefined::{all_predefined, predefined};
pub use problem::{Problem, ProblemKind, Warning};
pub use record::{ControlBits, Identities, Record, Value};
pub use registry::{Limits, Registry};
pub use resource::{
    API_VERSION, Chart, ChartQuery, ChartType, ChartUnit, Direction, FlowMetric, FlowMetricSpec, KIND,
    MAX_SERIES, MatchType, Metadata, MetricFilter, MetricType, read_yaml,
};
pub use start::{ConnectionStart, ServerSide, StartEvidence};
pub use status::{Applied, MetricChange, MetricStats, ObjectName};
