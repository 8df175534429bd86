//! Charts of the predefined metrics whose values our records have: what most is of, over time, and the sum of all.

use crate::resource::{Chart, ChartQuery, ChartType, ChartUnit};

/// The dashboard of all of them.
const DASHBOARD: &str = "Main";

/// Charts of a metric of this group (`node`, `namespace`, `workload`): `what` is counted, in this unit a second.
pub(super) fn of_group(group: &str, what: &str, unit: ChartUnit) -> Vec<Chart> {
    let (labels, names) = match group {
        "node" => (["HostName"].as_slice(), "node"),
        "namespace" => (["Namespace"].as_slice(), "namespace"),
        _ => (["Namespace", "OwnerName"].as_slice(), "workload"),
    };
    let side = |side: &str, word: &str| {
        let fields: Vec<_> = labels.iter().map(|label| format!("{side}K8S_{label}")).collect();
        let legend: Vec<_> = fields.iter().map(|field| format!("{{{{{field}}}}}")).collect();
        // What is outside of the cluster has no names.
        let known = fields
            .first()
            .map(|field| format!("{{{field}!=\"\"}}"))
            .unwrap_or_default();
        Chart {
            dashboard_name: DASHBOARD.to_owned(),
            section_name: format!("Traffic by {names}"),
            title: format!("Top {what} by {word} {names}"),
            unit,
            chart_type: ChartType::StackArea,
            queries: vec![ChartQuery {
                prom_ql: format!("sum(rate($METRIC{known}[2m])) by ({})", fields.join(", ")),
                legend: legend.join(" / "),
                top: 7,
            }],
        }
    };
    vec![
        side("Src", "source"),
        side("Dst", "destination"),
        sum(what, unit, &format!("Traffic by {names}")),
    ]
}

/// One number: the sum of all.
fn sum(what: &str, unit: ChartUnit, section: &str) -> Chart {
    Chart {
        dashboard_name: DASHBOARD.to_owned(),
        section_name: section.to_owned(),
        title: format!("All {what}"),
        unit,
        chart_type: ChartType::SingleStat,
        queries: vec![ChartQuery {
            prom_ql: "sum(rate($METRIC[2m]))".to_owned(),
            legend: String::new(),
            top: 7,
        }],
    }
}

/// Charts of flows between nodes.
pub(super) fn between_nodes() -> Vec<Chart> {
    vec![Chart {
        dashboard_name: DASHBOARD.to_owned(),
        section_name: "Traffic by node".to_owned(),
        title: "Top flows between nodes".to_owned(),
        unit: ChartUnit::None,
        chart_type: ChartType::Line,
        queries: vec![ChartQuery {
            prom_ql: "sum(rate($METRIC[2m])) by (SrcK8S_HostName, DstK8S_HostName)".to_owned(),
            legend: "{{SrcK8S_HostName}} to {{DstK8S_HostName}}".to_owned(),
            top: 7,
        }],
    }]
}
