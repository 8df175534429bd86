//! Rules of health, as Prometheus evaluates them: series in, alerts out (`promtool test rules`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_flowmetrics::{asked_by_health_rules, health_rules, predefined};

use promtool::{folder, run, takes};

mod promtool;

/// A day and three hours, in minutes.
const MINUTES: u64 = 27 * 60;
/// Of these, so many from the last two hours on.
const LAST: u64 = 120;

/// Labels of both sides of a flow: namespace, name and type of the owner.
type Sides = [[&'static str; 3]; 2];

const SHOP: [&str; 3] = ["shop", "web", "Deployment"];
const BANK: [&str; 3] = ["bank", "api", "StatefulSet"];
const NODE: [&str; 3] = ["", "node-a", "Node"];
const OUTSIDE: [&str; 3] = ["", "", ""];

/// A series of each group's metric, at so many a minute until the last two hours, and then.
fn series(metric: &str, more: &str, sides: Sides, (before, last): (u64, u64)) -> Vec<Value> {
    let [[ns, name, kind], [dst_ns, dst_name, dst_kind]] = sides;
    let until = MINUTES - LAST;
    let values = format!("0+{before}x{} {}+{last}x{LAST}", until - 1, before * until);
    let namespaces = format!("SrcK8S_Namespace=\"{ns}\",DstK8S_Namespace=\"{dst_ns}\"{more}");
    let owners = format!(
        "SrcK8S_OwnerName=\"{name}\",SrcK8S_OwnerType=\"{kind}\",DstK8S_OwnerName=\"{dst_name}\",DstK8S_OwnerType=\"{dst_kind}\""
    );
    [
        format!("netobserv_namespace_{metric}{{{namespaces}}}"),
        format!("netobserv_workload_{metric}{{{namespaces},{owners}}}"),
    ]
    .map(|series| json!({"series": series, "values": values}))
    .to_vec()
}

/// Each rule, by its name.
fn rules() -> Vec<Value> {
    let rules = health_rules();
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.cloned().collect()
}

/// These series, and the alerts that they make, with what each tells: no other rule fires.
fn fires(case: &str, series: &[Vec<Value>], alerts: &[(&str, &str)]) {
    let folder = folder(&format!("health-{case}"));
    takes(&folder, &health_rules()).unwrap();
    let names: BTreeSet<_> = alerts.iter().map(|(name, _)| *name).collect();
    let rules = rules();
    assert!(
        names
            .iter()
            .all(|name| rules.iter().any(|rule| rule["alert"] == **name))
    );
    let tests = rules.iter().map(|rule| {
        let name = rule["alert"].as_str().unwrap();
        let of_rule = alerts.iter().filter(|(alert, _)| *alert == name);
        let expected = of_rule.map(|(_, summary)| {
            let mut labels = rule["labels"].clone();
            let subject = summary.split(": ").next().unwrap();
            let side = if name.contains("PerSrc") { "Src" } else { "Dst" };
            for (label, value) in ["Namespace", "OwnerName"].iter().zip(subject.split('/')) {
                labels[format!("{side}K8S_{label}")] = json!(value);
            }
            let mut annotations = rule["annotations"].clone();
            annotations["summary"] = json!(summary);
            json!({"exp_labels": labels, "exp_annotations": annotations})
        });
        let expected: Vec<_> = expected.collect();
        json!({"eval_time": format!("{}m", MINUTES), "alertname": name, "exp_alerts": expected})
    });
    let test = json!({
        "rule_files": [folder.join("rules.yaml")],
        "evaluation_interval": "15m",
        "tests": [{"interval": "1m", "input_series": series.concat(), "alert_rule_test": tests.collect::<Vec<_>>()}],
    });
    run("test", &folder.join("test.yaml"), &test).unwrap_or_else(|said| panic!("{case}: {said}"));
}

const MEGABYTE: u64 = 1_000_000;

#[test]
fn much_more_traffic_with_the_outside_than_a_day_before_is_told_of_who_has_it() {
    let grown = (6 * MEGABYTE, 24 * MEGABYTE);
    let out = |src, dst, amounts| series("egress_bytes_total", "", [src, dst], amounts);
    fires(
        "egress",
        &[
            out(SHOP, OUTSIDE, grown),
            out(BANK, OUTSIDE, (6 * MEGABYTE, 9 * MEGABYTE)),
            out(BANK, SHOP, grown),
        ],
        &[
            (
                "ExternalEgressHighTrend_PerSrcNamespaceWarning",
                "shop: 300 % more goes out of the cluster than a day before",
            ),
            (
                "ExternalEgressHighTrend_PerSrcWorkloadWarning",
                "shop/web: 300 % more goes out of the cluster than a day before",
            ),
        ],
    );
    fires(
        "ingress",
        &[series(
            "ingress_bytes_total",
            "",
            [OUTSIDE, SHOP],
            (MEGABYTE, 8 * MEGABYTE),
        )],
        &[
            (
                "ExternalIngressHighTrend_PerDstNamespaceCritical",
                "shop: 700 % more comes into the cluster than a day before",
            ),
            (
                "ExternalIngressHighTrend_PerDstWorkloadCritical",
                "shop/web: 700 % more comes into the cluster than a day before",
            ),
        ],
    );
}

#[test]
fn nodes_are_not_outside_and_neither_they_nor_what_has_no_name_are_told_of() {
    let grown = (6 * MEGABYTE, 60 * MEGABYTE);
    let mut all = Vec::new();
    for (src, dst) in [
        (SHOP, NODE),
        (NODE, SHOP),
        (NODE, OUTSIDE),
        (OUTSIDE, NODE),
        (OUTSIDE, OUTSIDE),
    ] {
        all.push(series("egress_bytes_total", "", [src, dst], grown));
        all.push(series("ingress_bytes_total", "", [src, dst], grown));
    }
    for dst in [NODE, OUTSIDE] {
        let sides = [SHOP, dst];
        all.push(series("drop_packets_total", "", sides, (6_000, 6_000)));
        all.push(series("ingress_packets_total", "", sides, (6_000, 6_000)));
        all.push(series("flows_total", "", sides, (6_000, 6_000)));
        let denied = ",action=\"drop\"";
        all.push(series(
            "network_policy_events_total",
            denied,
            sides,
            (6_000, 6_000),
        ));
    }
    // Of one metric one series of these labels.
    let mut seen = BTreeSet::new();
    for series in &mut all {
        series.retain(|series| seen.insert(series["series"].to_string()));
    }
    fires("nodes", &all, &[]);
}

#[test]
fn what_was_not_there_a_day_before_is_no_trend() {
    let out = |src, amounts| series("egress_bytes_total", "", [src, OUTSIDE], amounts);
    let mut young = out(BANK, (0, 0));
    for series in &mut young {
        series["values"] = json!(format!("_x{} 0+{MEGABYTE}x{}", MINUTES - 240, 240));
    }
    fires("nothing-before", &[out(SHOP, (0, 24 * MEGABYTE)), young], &[]);
}

#[test]
fn drops_and_denials_are_told_of_who_they_were_for_by_the_worst_severity() {
    let sides = [SHOP, BANK];
    fires(
        "drops",
        &[
            series("drop_packets_total", "", sides, (9_000, 9_000)),
            series("ingress_packets_total", "", sides, (51_000, 51_000)),
        ],
        &[
            (
                "PacketDropsByKernel_PerDstNamespaceWarning",
                "bank: 15 % of packets are dropped by Open vSwitch",
            ),
            (
                "PacketDropsByKernel_PerDstWorkloadWarning",
                "bank/api: 15 % of packets are dropped by Open vSwitch",
            ),
        ],
    );
    let events = |action: &str, amount| {
        let action = format!(",action=\"{action}\"");
        series("network_policy_events_total", &action, sides, (amount, amount))
    };
    fires(
        "denials",
        &[
            events("drop", 12_000),
            events("reject", 6_000),
            events("allow", 40_000),
            series("flows_total", "", sides, (60_000, 60_000)),
        ],
        &[
            (
                "NetpolDenied_PerDstNamespaceCritical",
                "bank: 30 % of flows are denied by network policies",
            ),
            (
                "NetpolDenied_PerDstWorkloadCritical",
                "bank/api: 30 % of flows are denied by network policies",
            ),
        ],
    );
    fires(
        "little",
        &[
            series("drop_packets_total", "", sides, (60, 60)),
            series("ingress_packets_total", "", sides, (60, 60)),
        ],
        &[],
    );
}

#[test]
fn each_rule_of_health_is_one_for_prometheus_and_asks_metrics_that_are_predefined() {
    let rules = health_rules();
    takes(&folder("health"), &rules).unwrap();
    let asked = asked_by_health_rules();
    for name in &asked {
        assert!(predefined(name).is_some(), "{name}");
    }
    let groups = rules["groups"].as_array().unwrap();
    let rules: Vec<_> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    let names: BTreeSet<_> = rules.iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    assert_eq!(names.len(), rules.len());
    for rule in rules {
        let expr = rule["expr"].as_str().unwrap();
        for word in expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if let Some(name) = word.strip_prefix("netobserv_") {
                let metric = predefined(name).unwrap_or_else(|| panic!("{name}"));
                assert!(asked.iter().any(|asked| asked == name), "{name}");
                // Sums are by labels that the metric has.
                let by = expr
                    .split("by (")
                    .nth(1)
                    .and_then(|rest| rest.split(')').next())
                    .unwrap();
                for label in by.split(", ") {
                    assert!(
                        metric.spec.labels.iter().any(|known| known == label),
                        "{name} {label}"
                    );
                }
            }
        }
        let health = rule["annotations"]["netobserv_io_network_health"]
            .as_str()
            .unwrap();
        assert!(serde_json::from_str::<Value>(health).unwrap()["threshold"].is_string());
    }
}
