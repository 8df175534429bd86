//! NetObserv's predefined metrics, by name, as the resources that one would write.

use std::collections::BTreeMap;

use crate::resource::{
    ChartUnit, Direction, FlowMetric, FlowMetricSpec, MatchType, MetricFilter, MetricType,
};

mod charts;

/// Labels of a group of metrics, with its name in theirs.
const GROUPS: [(&str, &[&str]); 3] = [("node", NODE), ("namespace", NAMESPACE), ("workload", WORKLOAD)];

const NODE: &[&str] = &[
    "K8S_ClusterName",
    "SrcK8S_Zone",
    "DstK8S_Zone",
    "SrcK8S_HostName",
    "DstK8S_HostName",
];
const NAMESPACE: &[&str] = &[
    "K8S_ClusterName",
    "SrcK8S_Zone",
    "DstK8S_Zone",
    "SrcK8S_Namespace",
    "DstK8S_Namespace",
    "K8S_FlowLayer",
    "SrcSubnetLabel",
    "DstSubnetLabel",
];
const WORKLOAD: &[&str] = &[
    "K8S_ClusterName",
    "SrcK8S_Zone",
    "DstK8S_Zone",
    "SrcK8S_Namespace",
    "DstK8S_Namespace",
    "K8S_FlowLayer",
    "SrcSubnetLabel",
    "DstSubnetLabel",
    "SrcK8S_NetworkName",
    "DstK8S_NetworkName",
    "SrcK8S_OwnerName",
    "DstK8S_OwnerName",
    "SrcK8S_OwnerType",
    "DstK8S_OwnerType",
    "SrcK8S_Type",
    "DstK8S_Type",
];
const LATENCY_BUCKETS: [&str; 10] = [
    ".005", ".01", ".02", ".03", ".04", ".05", ".075", ".1", ".25", "1",
];
/// Labels of an event of a policy, and what they are called.
const POLICY_LABELS: [(&str, &str); 5] = [
    ("NetworkEvents>Type", "type"),
    ("NetworkEvents>Namespace", "namespace"),
    ("NetworkEvents>Name", "name"),
    ("NetworkEvents>Action", "action"),
    ("NetworkEvents>Direction", "direction"),
];

/// The predefined metric of this name, without `netobserv_`.
pub fn predefined(name: &str) -> Option<FlowMetric> {
    all_predefined().find(|metric| metric.spec.metric_name == name)
}

/// All of them.
pub fn all_predefined() -> impl Iterator<Item = FlowMetric> {
    let specs = GROUPS
        .into_iter()
        .flat_map(|(group, labels)| of_group(group, labels));
    specs.chain([between_nodes()]).map(|spec| {
        let object = format!("predefined-{}", spec.metric_name.replace('_', "-"));
        FlowMetric::new(object, spec)
    })
}

fn of_group(group: &str, labels: &[&str]) -> Vec<FlowMetricSpec> {
    let with = |more: &[&str]| -> Vec<String> {
        let labels = labels.iter().chain(more);
        labels.map(|label| (*label).to_owned()).collect()
    };
    let mut specs = traffic(group, &with(&[]));
    specs.push(FlowMetricSpec {
        metric_type: MetricType::Gauge,
        value_field: "Sampling".to_owned(),
        ..counter(
            format!("{group}_sampling"),
            format!("Sampling per {group}"),
            with(&[]),
        )
    });
    let (name, help) = (format!("{group}_flows_total"), format!("Total flows per {group}"));
    specs.push(FlowMetricSpec {
        charts: charts::of_group(group, "flows", ChartUnit::None),
        ..counter(name, help, with(&[]))
    });
    let dropped = with(&["PktDropLatestState", "PktDropLatestDropCause"]);
    for (unit, field) in [("packets", "PktDropPackets"), ("bytes", "PktDropBytes")] {
        let help = format!("Total dropped {unit} per {group}");
        specs.push(FlowMetricSpec {
            value_field: field.to_owned(),
            filters: vec![present(field)],
            charts: charts::of_group(group, &format!("dropped {unit}"), a_second(unit)),
            ..counter(format!("{group}_drop_{unit}_total"), help, dropped.clone())
        });
    }
    let rtt = format!("Round-trip time latency in seconds per {group}");
    let rtt = counter(format!("{group}_rtt_seconds"), rtt, with(&[]));
    specs.push(latency(rtt, "TimeFlowRttNs", "TimeFlowRttNs", "1000000000"));
    let dns = format!("DNS latency in seconds per {group}");
    let dns = counter(
        format!("{group}_dns_latency_seconds"),
        dns,
        with(&["DnsFlagsResponseCode"]),
    );
    specs.push(latency(dns, "DnsLatencyMs", "DnsId", "1000"));
    specs.push(policy_events(group, with(&POLICY_LABELS.map(|(field, _)| field))));
    let help = format!("Total IPsec encrypted flows per {group}");
    specs.push(FlowMetricSpec {
        filters: vec![present("IPSecStatus")],
        ..counter(format!("{group}_ipsec_flows_total"), help, with(&["IPSecStatus"]))
    });
    specs
}

fn traffic(group: &str, labels: &[String]) -> Vec<FlowMetricSpec> {
    let mut specs = Vec::new();
    for (unit, field) in [("bytes", "Bytes"), ("packets", "Packets")] {
        for (word, direction) in [("egress", Direction::Egress), ("ingress", Direction::Ingress)] {
            let help = format!("Total {unit} per {group} in {word} direction");
            specs.push(FlowMetricSpec {
                value_field: field.to_owned(),
                direction,
                charts: charts::of_group(group, &format!("{word} {unit}"), a_second(unit)),
                ..counter(format!("{group}_{word}_{unit}_total"), help, labels.to_vec())
            });
        }
    }
    specs
}

/// Bytes or packets in a second.
fn a_second(unit: &str) -> ChartUnit {
    match unit {
        "bytes" => ChartUnit::BytesPerSecond,
        _ => ChartUnit::PacketsPerSecond,
    }
}

fn counter(metric_name: String, help: String, labels: Vec<String>) -> FlowMetricSpec {
    FlowMetricSpec {
        metric_name,
        help,
        labels,
        ..FlowMetricSpec::default()
    }
}

fn latency(spec: FlowMetricSpec, value: &str, presence: &str, divider: &str) -> FlowMetricSpec {
    FlowMetricSpec {
        metric_type: MetricType::Histogram,
        value_field: value.to_owned(),
        filters: vec![present(presence)],
        divider: divider.to_owned(),
        buckets: LATENCY_BUCKETS.map(str::to_owned).to_vec(),
        ..spec
    }
}

fn policy_events(group: &str, labels: Vec<String>) -> FlowMetricSpec {
    let remap = POLICY_LABELS.map(|(field, label)| (field.to_owned(), label.to_owned()));
    FlowMetricSpec {
        filters: vec![MetricFilter {
            field: "NetworkEvents>Feature".to_owned(),
            value: "acl".to_owned(),
            match_type: MatchType::Equal,
        }],
        flatten: vec!["NetworkEvents".to_owned()],
        charts: charts::of_group(group, "network policy events", ChartUnit::None),
        remap: BTreeMap::from(remap),
        ..counter(
            format!("{group}_network_policy_events_total"),
            format!("Total network policy events per {group}"),
            labels,
        )
    }
}

fn between_nodes() -> FlowMetricSpec {
    let labels = NODE.iter().map(|label| (*label).to_owned()).collect();
    FlowMetricSpec {
        filters: vec![
            MetricFilter {
                field: "FlowDirection".to_owned(),
                value: "2".to_owned(),
                match_type: MatchType::NotEqual,
            },
            present("SrcK8S_HostName"),
            present("DstK8S_HostName"),
        ],
        charts: charts::between_nodes(),
        ..counter(
            "node_to_node_ingress_flows_total".to_owned(),
            "Total ingress flows between nodes".to_owned(),
            labels,
        )
    }
}

fn present(field: &str) -> MetricFilter {
    MetricFilter {
        field: field.to_owned(),
        value: String::new(),
        match_type: MatchType::Presence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Definition;

    #[test]
    fn every_predefined_metric_is_a_good_resource_and_has_a_name_of_its_own() {
        let mut names: Vec<_> = all_predefined()
            .map(|metric| {
                let definition = Definition::new(&metric);
                definition
                    .unwrap_or_else(|problems| panic!("{problems:?}"))
                    .name()
                    .to_owned()
            })
            .collect();
        assert_eq!(names.len(), 37);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 37);
        assert!(names.contains(&"netobserv_workload_network_policy_events_total".to_owned()));
        assert_eq!(predefined("nobody"), None);
    }

    #[test]
    fn a_predefined_metric_has_the_labels_and_buckets_of_the_original() {
        let rtt = predefined("namespace_rtt_seconds").unwrap().spec;
        assert_eq!(rtt.labels, NAMESPACE);
        assert_eq!(rtt.buckets.len(), 10);
        assert_eq!(
            (&*rtt.divider, &*rtt.value_field),
            ("1000000000", "TimeFlowRttNs")
        );
        let ingress = predefined("workload_ingress_bytes_total").unwrap().spec;
        assert_eq!(ingress.direction, Direction::Ingress);
        assert_eq!(ingress.labels.len(), 16);
    }
}
