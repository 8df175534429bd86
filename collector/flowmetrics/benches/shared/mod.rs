//! What the benchmarks of FlowMetrics share: the metrics, and numbers that look random.

use weir_flowmetrics::{FlowMetric, FlowMetricSpec, MetricFilter, predefined};

/// The predefined metrics that our records answer, and two more.
pub fn twenty() -> Vec<FlowMetric> {
    let of_group = [
        "ingress_bytes_total",
        "egress_bytes_total",
        "ingress_packets_total",
        "egress_packets_total",
        "flows_total",
        "sampling",
    ];
    let groups = ["node", "namespace", "workload"].into_iter();
    let names = groups.flat_map(|group| of_group.map(|metric| format!("{group}_{metric}")));
    let more = [
        predefined("node_to_node_ingress_flows_total").unwrap(),
        connections(),
    ];
    names.map(|name| predefined(&name).unwrap()).chain(more).collect()
}

/// The flow matrix: flattened, one label set for each pair and port.
pub fn connections() -> FlowMetric {
    let labels = [
        "SrcSubnetLabel",
        "SrcK8S_Namespace",
        "SrcK8S_OwnerName",
        "DstSubnetLabel",
        "DstK8S_Namespace",
        "DstK8S_OwnerName",
        "DstPort",
        "Flags",
    ];
    let spec = FlowMetricSpec {
        labels: labels.map(str::to_owned).to_vec(),
        flatten: vec!["Flags".to_owned()],
        filters: vec![MetricFilter {
            field: "Flags".to_owned(),
            value: "SYN".to_owned(),
            ..MetricFilter::default()
        }],
        ..FlowMetricSpec::default()
    };
    FlowMetric::new("connections", spec)
}

/// Numbers that look random and are the same each time.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}
