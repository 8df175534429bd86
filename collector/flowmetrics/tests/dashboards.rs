//! Charts become dashboards that Grafana and Prometheus take: the models are read strictly by a schema of what
//! Grafana needs, and each question by Prometheus itself (`promtool`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use weir_flowmetrics::{Dashboard, all_predefined, dashboards, read_yaml};

use promtool::{folder, takes};

mod promtool;

/// A dashboard, with nothing that Grafana does not know.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Model {
    title: String,
    uid: String,
    tags: Vec<String>,
    timezone: String,
    schema_version: u32,
    editable: bool,
    refresh: String,
    time: Time,
    templating: Templating,
    panels: Vec<Panel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Time {
    from: String,
    to: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Templating {
    list: Vec<Variable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "they must be there")]
struct Variable {
    name: String,
    label: String,
    #[serde(rename = "type")]
    kind: String,
    query: String,
    hide: u32,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Panel {
    Row {
        id: u32,
        title: String,
        collapsed: bool,
        #[serde(rename = "gridPos")]
        place: Place,
        panels: Vec<Value>,
    },
    Timeseries(Chart),
    Stat(Chart),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Chart {
    id: u32,
    title: String,
    #[expect(dead_code, reason = "it must be there")]
    description: String,
    datasource: DataSource,
    grid_pos: Place,
    field_config: FieldConfig,
    #[expect(dead_code, reason = "it must be there")]
    options: serde_json::Map<String, Value>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DataSource {
    #[serde(rename = "type")]
    kind: String,
    uid: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    h: u32,
    w: u32,
    x: u32,
    y: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldConfig {
    defaults: Defaults,
    overrides: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    unit: String,
    #[serde(default)]
    custom: Option<Custom>,
    #[serde(default)]
    #[expect(dead_code, reason = "it may be there")]
    min: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Custom {
    draw_style: String,
    #[expect(dead_code, reason = "it must be there")]
    fill_opacity: u32,
    stacking: Stacking,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stacking {
    mode: String,
    #[expect(dead_code, reason = "it must be there")]
    group: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Target {
    ref_id: String,
    expr: String,
    legend_format: String,
}

const WRITTEN: &str = r#"
apiVersion: flows.netobserv.io/v1alpha1
kind: FlowMetric
metadata: {name: shop-latency}
spec:
  type: Histogram
  valueField: Bytes
  labels: [DstK8S_Namespace]
  charts:
  - dashboardName: Shop
    title: p99
    type: SingleStat
    unit: seconds
    queries:
    - {promQL: "histogram_quantile(0.99, sum(rate($METRIC_bucket[2m])) by (le)) > 0", legend: p99}
    - {promQL: "histogram_quantile(0.50, sum(rate($METRIC_bucket[2m])) by (le)) > 0", legend: p50}
  - dashboardName: Shop
    sectionName: By namespace
    title: Mean
    type: StackArea
    unit: percent
    queries:
    - {promQL: "sum(rate($METRIC_sum[2m])) by (DstK8S_Namespace)", legend: "{{DstK8S_Namespace}}", top: 3}
  - title: Elsewhere
    type: Line
    unit: pps
    queries:
    - {promQL: "sum(rate($METRIC_count[2m])) by (DstK8S_Namespace)", legend: "{{DstK8S_Namespace}}"}
"#;

fn read(dashboard: &Dashboard) -> Model {
    serde_json::from_value(dashboard.model.clone())
        .unwrap_or_else(|error| panic!("{}: {error}", dashboard.name))
}

impl Model {
    fn charts(&self) -> impl Iterator<Item = &Chart> {
        self.panels.iter().filter_map(|panel| match panel {
            Panel::Row { .. } => None,
            Panel::Timeseries(chart) | Panel::Stat(chart) => Some(chart),
        })
    }

    fn places(&self) -> Vec<(u32, Place)> {
        let place = |panel: &Panel| match panel {
            Panel::Row { id, place, .. } => (*id, *place),
            Panel::Timeseries(chart) | Panel::Stat(chart) => (chart.id, chart.grid_pos),
        };
        self.panels.iter().map(place).collect()
    }

    /// What Grafana would not show as it is meant.
    fn check(&self) {
        assert!(
            self.uid.len() <= 40 && !self.title.is_empty() && self.schema_version >= 39,
            "{self:?}"
        );
        assert!(
            self.editable && !self.tags.is_empty() && !self.timezone.is_empty() && !self.refresh.is_empty()
        );
        assert!(self.time.from.starts_with("now-") && self.time.to == "now");
        assert_eq!(self.templating.list.len(), 1);
        let places = self.places();
        let ids: BTreeSet<_> = places.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids.len(), places.len(), "each has an id of its own");
        for (at, (id, one)) in places.iter().enumerate() {
            assert!(one.x + one.w <= 24 && one.h > 0, "{id}");
            for (other_id, other) in places.iter().skip(at + 1) {
                let apart = one.x + one.w <= other.x
                    || other.x + other.w <= one.x
                    || one.y + one.h <= other.y
                    || other.y + other.h <= one.y;
                assert!(apart, "{id} and {other_id} are in one place");
            }
        }
        for panel in &self.panels {
            if let Panel::Row {
                title,
                collapsed,
                panels,
                ..
            } = panel
            {
                assert!(!title.is_empty() && !collapsed && panels.is_empty());
            }
        }
        for chart in self.charts() {
            assert!(!chart.title.is_empty() && !chart.targets.is_empty());
            assert_eq!(
                (chart.datasource.kind.as_str(), chart.datasource.uid.as_str()),
                ("prometheus", "${datasource}")
            );
            assert!(chart.field_config.overrides.is_empty());
            let ids: BTreeSet<_> = chart.targets.iter().map(|target| &target.ref_id).collect();
            assert_eq!(ids.len(), chart.targets.len());
            for target in &chart.targets {
                assert!(
                    target.expr.contains("netobserv_") && !target.expr.contains('$'),
                    "{}",
                    target.expr
                );
            }
        }
    }
}

#[test]
fn charts_become_panels_in_their_sections() {
    let metrics: Vec<_> = read_yaml(WRITTEN).into_iter().map(Result::unwrap).collect();
    let dashboards = dashboards(&metrics);
    let names: Vec<_> = dashboards
        .iter()
        .map(|dashboard| dashboard.name.as_str())
        .collect();
    assert_eq!(names, ["Shop", "Main"]);
    let shop = read(&dashboards[0]);
    shop.check();
    let [
        Panel::Stat(p99),
        Panel::Stat(p50),
        Panel::Row { title, .. },
        Panel::Timeseries(mean),
    ] = &shop.panels[..]
    else {
        panic!("{:?}", shop.panels)
    };
    assert_eq!(
        p99.targets[0].expr,
        "histogram_quantile(0.99, sum(rate(netobserv_shop_latency_bucket[2m])) by (le)) > 0"
    );
    assert_eq!(
        (p99.targets.len(), p50.targets[0].legend_format.as_str()),
        (1, "p50")
    );
    assert_eq!(p99.field_config.defaults.unit, "s");
    assert_eq!(title, "By namespace");
    assert_eq!(
        mean.targets[0].expr,
        "topk(3, sum(rate(netobserv_shop_latency_sum[2m])) by (DstK8S_Namespace))"
    );
    let custom = mean.field_config.defaults.custom.as_ref().unwrap();
    assert_eq!(
        (custom.stacking.mode.as_str(), custom.draw_style.as_str()),
        ("normal", "line")
    );
    assert_eq!(mean.field_config.defaults.unit, "percent");
    let main = read(&dashboards[1]);
    main.check();
    let elsewhere = main.charts().next().unwrap();
    assert!(elsewhere.targets[0].expr.starts_with("topk(7, "));
    assert_eq!(
        elsewhere
            .field_config
            .defaults
            .custom
            .as_ref()
            .unwrap()
            .stacking
            .mode,
        "none"
    );
}

#[test]
fn prometheus_takes_each_question_of_each_predefined_chart_and_no_other() {
    let metrics: Vec<_> = read_yaml(WRITTEN)
        .into_iter()
        .map(Result::unwrap)
        .chain(all_predefined())
        .collect();
    let mut rules = Vec::new();
    for dashboard in dashboards(&metrics) {
        let model = read(&dashboard);
        model.check();
        for target in model.charts().flat_map(|chart| &chart.targets) {
            rules.push(json!({"record": format!("question:{}", rules.len()), "expr": target.expr}));
        }
    }
    assert!(rules.len() > 30, "{}", rules.len());
    let folder = folder("questions");
    takes(
        &folder,
        &json!({"groups": [{"name": "questions", "rules": rules}]}),
    )
    .unwrap();
    let wrong = json!({"record": "wrong", "expr": "topk(7, sum(rate(netobserv_a[2m])"});
    assert!(
        takes(
            &folder,
            &json!({"groups": [{"name": "questions", "rules": [wrong]}]})
        )
        .is_err()
    );
}
