//! Which columns of a record a metric reads, for whoever has to fetch them first: records that are
//! stored have many, and a metric asks for few.

use std::collections::BTreeSet;

use weir_fields::Column;

use crate::definition::Definition;
use crate::filter::{Filter, Reading};
use crate::source::{Derived, Source};

impl Definition {
    /// The columns that a record must give so that it is counted as it should be, in no order that means
    /// something. [`crate::Record::connection_start`] is asked beside them where
    /// [`Self::reads_connection_starts`].
    pub fn columns(&self) -> Vec<Column> {
        let of_labels = self.labels.iter().map(|label| label.reading);
        let of_filters = self.filters.iter().flat_map(Filter::readings);
        let of_record = of_labels.chain(of_filters).filter_map(|reading| match reading {
            Reading::Record(source) => Some(source),
            // It is an item of a list of `flatten`.
            Reading::Part { .. } => None,
        });
        let more = [Source::of("primary")].into_iter().chain(self.value);
        let sources = of_record.chain(self.flatten.iter().copied()).chain(more);
        let names: BTreeSet<_> = sources
            .flat_map(|source| source.columns().to_vec())
            .map(Column::name)
            .collect();
        names.into_iter().filter_map(Column::find).collect()
    }

    /// Whether it asks where connections start.
    pub const fn reads_connection_starts(&self) -> bool {
        self.reads_starts
    }
}

impl Source {
    /// The columns that its value is made of.
    fn columns(&self) -> Vec<Column> {
        let names: &[&str] = match self {
            Self::Column(column) => return vec![*column],
            Self::Derived(derived) => match derived {
                Derived::FlowStartMs => &["start"],
                Derived::FlowEndMs => &["end"],
                Derived::ReceivedSeconds => &["time"],
                Derived::DropBytes => &["dropped_bytes"],
                Derived::DropPackets => &["dropped_packets"],
                Derived::SrcOwnerType => &["workload_kind"],
                Derived::DstOwnerType => &["dst_workload_kind"],
                Derived::FlowDirection => &[
                    "node_name",
                    "dst_node_name",
                    "exporter_node",
                    "flow_direction",
                    "direction",
                    "primary",
                ],
                Derived::EtherType => &["addr"],
                Derived::Flags => &["tcp_flags"],
                Derived::Interfaces => &["if_name", "dst_if_name"],
                Derived::InterfaceDirections => &["direction"],
                Derived::NetworkEvents => &[
                    "ingress_policy",
                    "ingress_policy_action",
                    "egress_policy",
                    "egress_policy_action",
                    "policy_reason",
                ],
                Derived::RecordType | Derived::NoText | Derived::NoNumber | Derived::NoList => &[],
            },
        };
        names.iter().filter_map(|name| Column::find(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::names::NETOBSERV;
    use crate::{ConnectionStart, FlowMetric, FlowMetricSpec, Limits, MetricFilter, Record, Registry, Value};

    /// Remembers what it was asked for.
    #[derive(Default)]
    struct Asked(RefCell<Vec<&'static str>>, Option<&'static str>);

    impl Record for Asked {
        fn value(&self, column: Column) -> Value<'_> {
            self.0.borrow_mut().push(column.name());
            match column.name() {
                "primary" => Value::Bool(true),
                // What is asked next may depend on what was there.
                name if Some(name) == self.1 => Value::Absent,
                name if name.ends_with("policy") => Value::Text("shop/allow"),
                _ => Value::Text("a"),
            }
        }

        fn connection_start(&self) -> ConnectionStart {
            ConnectionStart::Client
        }
    }

    #[test]
    fn a_metric_reads_no_column_that_it_does_not_name_whatever_it_counts() {
        let fields = NETOBSERV.iter().map(|(name, ..)| *name);
        for field in fields.chain(["SrcK8S_OwnerType", "verdict", "ns"]) {
            let named = |spec: FlowMetricSpec| {
                let metric = FlowMetric::new("m", spec);
                let definition = Definition::new(&metric).ok()?;
                Some((metric, definition))
            };
            let specs = [
                FlowMetricSpec {
                    labels: vec![field.to_owned()],
                    ..FlowMetricSpec::default()
                },
                FlowMetricSpec {
                    value_field: field.to_owned(),
                    ..FlowMetricSpec::default()
                },
                FlowMetricSpec {
                    labels: vec![field.to_owned()],
                    flatten: vec![field.to_owned()],
                    remap: [(field.to_owned(), "item".to_owned())].into(),
                    ..FlowMetricSpec::default()
                },
                FlowMetricSpec {
                    filters: vec![MetricFilter {
                        field: "SrcK8S_Zone".to_owned(),
                        value: format!("$({field})"),
                        ..MetricFilter::default()
                    }],
                    direction: crate::Direction::Ingress,
                    ..FlowMetricSpec::default()
                },
            ];
            let mut tried = 0;
            for (metric, definition) in specs.into_iter().filter_map(named) {
                let columns: Vec<_> = definition.columns().into_iter().map(Column::name).collect();
                for missing in [
                    None,
                    Some("node_name"),
                    Some("dst_node_name"),
                    Some("flow_direction"),
                ] {
                    let mut registry = Registry::new(Limits::default());
                    registry.apply(&metric).unwrap();
                    let record = Asked(RefCell::default(), missing);
                    registry.observe(&record, 1);
                    for asked in record.0.take() {
                        assert!(columns.contains(&asked), "{field}: {asked} is not in {columns:?}");
                    }
                }
                tried += 1;
            }
            assert!(tried > 0, "{field}");
        }
    }
}
