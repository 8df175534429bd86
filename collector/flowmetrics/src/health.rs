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

/// What a rule is about.
struct Subject {
    /// The group of predefined metrics of which it asks those that have its labels.
    group: &'static str,
    /// Side of the flows: `Src` or `Dst`.
    side: &'static str,
    /// Labels that name it, without the side.
    labels: &'static [&'static str],
    word: &'static str,
}

impl Subject {
    /// The labels that name it, as Prometheus lists them.
    fn by(&self) -> String {
        let labels = self.labels.iter();
        let labels: Vec<_> = labels.map(|label| format!("{}K8S_{label}", self.side)).collect();
        labels.join(", ")
    }

    /// Rates of a metric by subject over a time; what has no name, and nodes, are none. `more`: conditions on other
    /// labels.
    fn rate(&self, (group, metric): (&str, &str), more: &[&str], time: &str) -> String {
        let side = self.side;
        let mut labels: Vec<_> = self.labels.to_vec();
        labels.sort_unstable();
        let mut all: Vec<_> = labels
            .iter()
            .map(|label| format!("{side}K8S_{label}!=\"\""))
            .collect();
        if group == WORKLOAD {
            all.push(format!("{side}K8S_OwnerType!=\"Node\""));
        }
        all.extend(more.iter().map(|label| (*label).to_owned()));
        let (all, by) = (all.join(","), self.by());
        format!("sum(rate(netobserv_{group}_{metric}{{{all}}}{time})) by ({by})")
    }

    /// The same over five minutes, of its own group.
    fn lately(&self, metric: &str, more: &[&str]) -> String {
        self.rate((self.group, metric), more, "[5m]")
    }
}

/// A template: what is bad, in percent, above which a rule of each severity fires.
struct Template {
    name: &'static str,
    /// The side that it tells of.
    side: &'static str,
    /// Percent.
    percent: fn(&Subject) -> String,
    /// The least that there must be of it, so that little traffic is no alert.
    volume: fn(&Subject) -> String,
    /// In percent, by severity.
    thresholds: [(&'static str, u32); 3],
    summary: &'static str,
    /// The predefined metrics that it asks, of a subject's group or of this one.
    asks: (Option<&'static str>, &'static [&'static str]),
}

const WORKLOAD: &str = "workload";

const TEMPLATES: [Template; 4] = [
    Template {
        name: "PacketDropsByKernel",
        side: "Dst",
        percent: |subject| {
            let drops = subject.lately("drop_packets_total", &[]);
            let passed = subject.lately("ingress_packets_total", &[]);
            format!("100 * {drops} / ({drops} + {passed})")
        },
        volume: |subject| format!("{} > 5", subject.lately("ingress_packets_total", &[])),
        thresholds: [("info", 5), ("warning", 10), ("critical", 20)],
        summary: "of packets are dropped by Open vSwitch",
        asks: (None, &["drop_packets_total", "ingress_packets_total"]),
    },
    Template {
        name: "NetpolDenied",
        side: "Dst",
        percent: |subject| {
            let denied = subject.lately("network_policy_events_total", &["action=~\"drop|reject\""]);
            format!("100 * {denied} / {}", subject.lately("flows_total", &[]))
        },
        volume: |subject| format!("{} > 2", subject.lately("flows_total", &[])),
        thresholds: [("info", 5), ("warning", 10), ("critical", 25)],
        summary: "of flows are denied by network policies",
        asks: (None, &["network_policy_events_total", "flows_total"]),
    },
    // Metrics by namespace do not tell nodes, which have none, from what is outside.
    Template {
        name: "ExternalEgressHighTrend",
        side: "Src",
        percent: |subject| trend(|time| outgoing(subject, time)),
        volume: |subject| format!("{} > 1000", outgoing(subject, "[2h]")),
        thresholds: [("info", 100), ("warning", 200), ("critical", 500)],
        summary: "more goes out of the cluster than a day before",
        asks: (Some(WORKLOAD), &["egress_bytes_total"]),
    },
    Template {
        name: "ExternalIngressHighTrend",
        side: "Dst",
        percent: |subject| trend(|time| incoming(subject, time)),
        volume: |subject| format!("{} > 1000", incoming(subject, "[2h]")),
        thresholds: [("info", 100), ("warning", 200), ("critical", 500)],
        summary: "more comes into the cluster than a day before",
        asks: (Some(WORKLOAD), &["ingress_bytes_total"]),
    },
];

/// Bytes to what is no object of the cluster.
fn outgoing(subject: &Subject, time: &str) -> String {
    let outside = ["DstK8S_Namespace=\"\"", "DstK8S_OwnerType=\"\""];
    subject.rate((WORKLOAD, "egress_bytes_total"), &outside, time)
}

/// Bytes from what is no object of the cluster.
fn incoming(subject: &Subject, time: &str) -> String {
    let outside = ["SrcK8S_Namespace=\"\"", "SrcK8S_OwnerType=\"\""];
    subject.rate((WORKLOAD, "ingress_bytes_total"), &outside, time)
}

/// By how many percent it is more than a day before, over two hours; nothing where there was nothing.
fn trend(rate: impl Fn(&str) -> String) -> String {
    let (now, before) = (rate("[2h]"), rate("[2h] offset 1d"));
    format!("100 * ({now} - {before}) / ({before} > 0)")
}

/// Groups of the predefined metrics, and the labels by which a side of them is told.
const GROUPS: [(&str, &[&str], &str); 2] = [
    ("namespace", &["Namespace"], "Namespace"),
    (WORKLOAD, &["Namespace", "OwnerName"], "Workload"),
];

/// A file of rules of Prometheus, which is YAML written as JSON. Of each template, one alert by severity for each of
/// namespace and workload.
pub fn health_rules() -> Value {
    let groups = GROUPS.iter().map(|(group, labels, word)| {
        let rules = TEMPLATES.iter().flat_map(|template| {
            // What is denied and dropped is told of the side that it was for; what goes out, of the one that it comes
            // from.
            let side = template.side;
            let subject = Subject {
                group,
                side,
                labels,
                word,
            };
            rules(template, &subject)
        });
        json!({"name": format!("netobserv-health-{group}"), "rules": rules.collect::<Vec<_>>()})
    });
    json!({"groups": groups.collect::<Vec<_>>()})
}

fn rules(template: &Template, subject: &Subject) -> Vec<Value> {
    let (by, side, word) = (subject.by(), subject.side, subject.word);
    let names: Vec<_> = by
        .split(", ")
        .map(|label| format!("{{{{ $labels.{label} }}}}"))
        .collect();
    let thresholds = template.thresholds.iter().enumerate();
    let rule = |(at, (severity, least)): (usize, &(&str, u32))| {
        // A worse one speaks for those below it.
        let most = template.thresholds.get(at + 1);
        let percent = (template.percent)(subject);
        let below = most.map_or_else(String::new, |(_, most)| format!(" and ({percent}) < {most}"));
        let volume = (template.volume)(subject);
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
        let names = TEMPLATES.iter().flat_map(
            |Template {
                 asks: (of, names), ..
             }| {
                let group = of.unwrap_or(group);
                names.iter().map(move |name| format!("{group}_{name}"))
            },
        );
        names.collect::<Vec<_>>()
    };
    let mut names: Vec<_> = GROUPS.iter().flat_map(|(group, ..)| of_group(group)).collect();
    names.sort_unstable();
    names.dedup();
    names
}
