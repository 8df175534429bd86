//! Rules of Prometheus that follow NetObserv's health templates, as far as our records answer them: drops, denied
//! policies, and traffic with the outside that is far more than a day before. Each asks a metric that is predefined.
//!
//! `TLS`, `IPsec`, `DNS`, latency and `Ingress` templates of the original ask for what no exporter of ours gives, or
//! for metrics of others.

use serde_json::{Value, json};

/// NetObserv's label of rules that its console shows.
const NETOBSERV: &str = "netobserv";
/// For so long it must hold.
const FOR: &str = "5m";

/// A template: what is bad, in percent, above which a rule of each severity fires.
struct Template {
    name: &'static str,
    /// Percent for each `by` of a side.
    percent: fn(side: &str, by: &str) -> String,
    /// The least that there must be of it, so that little traffic is no alert.
    volume: fn(side: &str, by: &str) -> String,
    /// In percent, by severity.
    thresholds: [(&'static str, u32); 3],
    summary: &'static str,
    /// The predefined metrics that it asks, without their group.
    asks: &'static [&'static str],
}

const TEMPLATES: [Template; 4] = [
    Template {
        name: "PacketDropsByKernel",
        percent: |_, by| {
            format!(
                "100 * sum(rate(netobserv_GROUP_drop_packets_total[5m])) by ({by}) / \
                 (sum(rate(netobserv_GROUP_drop_packets_total[5m])) by ({by}) + \
                 sum(rate(netobserv_GROUP_ingress_packets_total[5m])) by ({by}))"
            )
        },
        volume: |_, by| format!("sum(rate(netobserv_GROUP_ingress_packets_total[5m])) by ({by}) > 5"),
        thresholds: [("info", 5), ("warning", 10), ("critical", 20)],
        summary: "of packets are dropped by Open vSwitch",
        asks: &["drop_packets_total", "ingress_packets_total"],
    },
    Template {
        name: "NetpolDenied",
        percent: |_, by| {
            format!(
                "100 * sum(rate(netobserv_GROUP_network_policy_events_total{{action=~\"drop|reject\"}}[5m])) by ({by}) / \
                 sum(rate(netobserv_GROUP_flows_total[5m])) by ({by})"
            )
        },
        volume: |_, by| format!("sum(rate(netobserv_GROUP_flows_total[5m])) by ({by}) > 2"),
        thresholds: [("info", 5), ("warning", 10), ("critical", 25)],
        summary: "of flows are denied by network policies",
        asks: &["network_policy_events_total", "flows_total"],
    },
    Template {
        name: "ExternalEgressHighTrend",
        percent: |_, by| trend("netobserv_GROUP_egress_bytes_total{DstK8S_Namespace=\"\"}", by),
        volume: |_, by| {
            format!(
                "sum(rate(netobserv_GROUP_egress_bytes_total{{DstK8S_Namespace=\"\"}}[2h])) by ({by}) > 1000"
            )
        },
        thresholds: [("info", 100), ("warning", 200), ("critical", 500)],
        summary: "more goes out of the cluster than a day before",
        asks: &["egress_bytes_total"],
    },
    Template {
        name: "ExternalIngressHighTrend",
        percent: |_, by| trend("netobserv_GROUP_ingress_bytes_total{SrcK8S_Namespace=\"\"}", by),
        volume: |_, by| {
            format!(
                "sum(rate(netobserv_GROUP_ingress_bytes_total{{SrcK8S_Namespace=\"\"}}[2h])) by ({by}) > 1000"
            )
        },
        thresholds: [("info", 100), ("warning", 200), ("critical", 500)],
        summary: "more comes into the cluster than a day before",
        asks: &["ingress_bytes_total"],
    },
];

/// By how many percent it is more than a day before, over two hours.
fn trend(series: &str, by: &str) -> String {
    format!(
        "100 * (sum(rate({series}[2h])) by ({by}) - sum(rate({series}[2h] offset 1d)) by ({by})) / \
         sum(rate({series}[2h] offset 1d)) by ({by})"
    )
}

/// Groups of the predefined metrics, and the label by which a side of them is told.
const GROUPS: [(&str, &str, &str); 2] = [
    ("namespace", "Namespace", "Namespace"),
    ("workload", "Namespace, OwnerName", "Workload"),
];

/// A file of rules of Prometheus, which is YAML written as JSON. Of each template, one alert by severity for each of
/// namespace and workload.
pub fn health_rules() -> Value {
    let groups = GROUPS.iter().map(|(group, by, word)| {
        let rules = TEMPLATES
            .iter()
            .flat_map(|template| rules(template, group, by, word));
        json!({"name": format!("netobserv-health-{group}"), "rules": rules.collect::<Vec<_>>()})
    });
    json!({"groups": groups.collect::<Vec<_>>()})
}

fn rules(template: &Template, group: &str, by: &str, word: &str) -> Vec<Value> {
    // What is denied and dropped is told of the side that it was for; what goes out, of the one that it comes from.
    let side = if template.name == "ExternalEgressHighTrend" {
        "Src"
    } else {
        "Dst"
    };
    let by: Vec<_> = by.split(", ").map(|label| format!("{side}K8S_{label}")).collect();
    let names: Vec<_> = by
        .iter()
        .map(|label| format!("{{{{ $labels.{label} }}}}"))
        .collect();
    let by = by.join(", ");
    let ask = |text: String| text.replace("GROUP", group);
    let thresholds = template.thresholds.iter().enumerate();
    let rule = |(at, (severity, least)): (usize, &(&str, u32))| {
        // A worse one speaks for those below it.
        let most = template.thresholds.get(at + 1);
        let percent = ask((template.percent)(side, &by));
        let below = most.map_or_else(String::new, |(_, most)| format!(" and ({percent}) < {most}"));
        let volume = ask((template.volume)(side, &by));
        json!({
            "alert": format!("{}_Per{side}{word}{}", template.name, capital(severity)),
            "expr": format!("({percent}) >= {least}{below} and ({volume})"),
            "for": FOR,
            "labels": {"severity": severity, NETOBSERV: "true", "template": template.name},
            "annotations": {
                "summary": format!("{}: {{{{ $value | printf \"%.0f\" }}}} % {}", names.join("/"), template.summary),
                "netobserv_io_network_health": json!({
                    "unit": "%",
                    "upperBound": "100",
                    format!("{}Labels", word.to_lowercase()): by.split(", ").collect::<Vec<_>>(),
                    "threshold": least.to_string(),
                }).to_string(),
            },
        })
    };
    thresholds.map(rule).collect()
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// The predefined metrics that the rules ask, by name without `netobserv_`, in order.
pub fn asked_by_health_rules() -> Vec<String> {
    let of_group = |group: &str| {
        let names = TEMPLATES.iter().flat_map(|template| template.asks);
        names.map(|name| format!("{group}_{name}")).collect::<Vec<_>>()
    };
    let mut names: Vec<_> = GROUPS.iter().flat_map(|(group, ..)| of_group(group)).collect();
    names.sort_unstable();
    names.dedup();
    names
}
