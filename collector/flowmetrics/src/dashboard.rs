//! Charts of FlowMetrics as dashboards of Grafana. Owns how a chart becomes panels and where these stand; which
//! metrics there are is whoever asked's.

use serde_json::{Value, json};

use crate::definition::prometheus_name;
use crate::resource::{Chart, ChartQuery, ChartType, ChartUnit, FlowMetric};

/// Grafana's grid is so wide.
const GRID: u32 = 24;
/// Version of the dashboards' schema (Grafana 10 and later).
const SCHEMA: u32 = 39;
/// What stands for the metric's name in a question.
const METRIC: &str = "$METRIC";
/// Panels ask the data source that is chosen above them.
const DATASOURCE: &str = "${datasource}";

/// A dashboard of Grafana.
#[derive(Debug, Clone, PartialEq)]
pub struct Dashboard {
    /// What charts call it.
    pub name: String,
    /// Its model, as Grafana imports it.
    pub model: Value,
}

/// The dashboards that the charts of these metrics name, in the order in which they are named first.
pub fn dashboards(metrics: &[FlowMetric]) -> Vec<Dashboard> {
    let mut drafts: Vec<Draft<'_>> = Vec::new();
    for metric in metrics {
        for chart in &metric.spec.charts {
            let draft = named(&mut drafts, &chart.dashboard_name);
            let panels = named(&mut draft.sections, &chart.section_name);
            panels.charts.push((metric, chart));
        }
    }
    drafts.iter().map(Draft::dashboard).collect()
}

/// What has a name, and may be empty.
trait Named<'m> {
    fn new(name: &'m str) -> Self;
    fn name(&self) -> &'m str;
}

/// The one of this name, at the end if there is none yet.
fn named<'l, 'm, T: Named<'m>>(list: &'l mut Vec<T>, name: &'m str) -> &'l mut T {
    let at = list.iter().position(|item| item.name() == name);
    let at = at.unwrap_or_else(|| {
        list.push(T::new(name));
        list.len() - 1
    });
    &mut list[at]
}

/// A dashboard that is being put together.
struct Draft<'m> {
    name: &'m str,
    sections: Vec<Section<'m>>,
}

/// Charts that stand under one heading.
struct Section<'m> {
    name: &'m str,
    charts: Vec<(&'m FlowMetric, &'m Chart)>,
}

impl<'m> Named<'m> for Draft<'m> {
    fn new(name: &'m str) -> Self {
        Self {
            name,
            sections: Vec::new(),
        }
    }

    fn name(&self) -> &'m str {
        self.name
    }
}

impl<'m> Named<'m> for Section<'m> {
    fn new(name: &'m str) -> Self {
        Self {
            name,
            charts: Vec::new(),
        }
    }

    fn name(&self) -> &'m str {
        self.name
    }
}

impl Draft<'_> {
    fn dashboard(&self) -> Dashboard {
        let mut grid = Grid::default();
        // Without a section is at the top.
        let (top, below): (Vec<_>, Vec<_>) =
            self.sections.iter().partition(|section| section.name.is_empty());
        for section in top.into_iter().chain(below) {
            if !section.name.is_empty() {
                grid.heading(section.name);
            }
            for (metric, chart) in &section.charts {
                panels(metric, chart)
                    .into_iter()
                    .for_each(|panel| grid.add(panel));
            }
        }
        let model = json!({
            "title": format!("NetObserv / {}", self.name),
            "uid": uid(self.name),
            "tags": ["netobserv", "weir"],
            "timezone": "browser",
            "schemaVersion": SCHEMA,
            "editable": true,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "templating": {"list": [{
                "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0,
            }]},
            "panels": grid.panels,
        });
        Dashboard {
            name: self.name.to_owned(),
            model,
        }
    }
}

/// The same for the same name each time, and at most 40 characters, as Grafana has it.
fn uid(name: &str) -> String {
    let word = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let short: String = name.chars().take(16).map(word).collect();
    // FNV-1a: names that look alike are told apart.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("weir-{short}-{hash:016x}")
}

/// Panels as they fill the grid from the left, row by row.
#[derive(Default)]
struct Grid {
    panels: Vec<Value>,
    x: u32,
    y: u32,
    /// Of the row at hand.
    height: u32,
}

impl Grid {
    fn heading(&mut self, title: &str) {
        self.next_row();
        let place = json!({"h": 1, "w": GRID, "x": 0, "y": self.y});
        self.y += 1;
        let id = self.panels.len() + 1;
        self.panels.push(json!({
            "id": id, "type": "row", "title": title, "collapsed": false, "gridPos": place, "panels": [],
        }));
    }

    fn add(&mut self, panel: Panel) {
        let (width, height) = panel.size;
        if self.x + width > GRID {
            self.next_row();
        }
        let mut model = panel.model;
        model["id"] = json!(self.panels.len() + 1);
        model["gridPos"] = json!({"h": height, "w": width, "x": self.x, "y": self.y});
        self.panels.push(model);
        self.x += width;
        self.height = self.height.max(height);
    }

    fn next_row(&mut self) {
        self.y += self.height;
        (self.x, self.height) = (0, 0);
    }
}

/// A panel without its place.
struct Panel {
    /// Width and height in the grid.
    size: (u32, u32),
    model: Value,
}

/// The panels of a chart: one, or one for each question where each shows a number.
fn panels(metric: &FlowMetric, chart: &Chart) -> Vec<Panel> {
    let all = chart.queries.as_slice();
    let stacked =
        json!({"drawStyle": "line", "fillOpacity": 60, "stacking": {"mode": "normal", "group": "A"}});
    let lines = json!({"drawStyle": "line", "fillOpacity": 0, "stacking": {"mode": "none", "group": "A"}});
    match chart.chart_type {
        ChartType::SingleStat => all.chunks(1).map(|query| stat(metric, chart, query)).collect(),
        ChartType::Line => vec![series(metric, chart, all, lines)],
        ChartType::StackArea => vec![series(metric, chart, all, stacked)],
    }
}

fn stat(metric: &FlowMetric, chart: &Chart, queries: &[ChartQuery]) -> Panel {
    let options = json!({
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
        "colorMode": "none", "graphMode": "none", "justifyMode": "auto", "textMode": "auto",
    });
    let targets = targets(metric, queries, |query| query.prom_ql.clone());
    Panel {
        size: (6, 4),
        model: panel(
            "stat",
            metric,
            chart,
            (json!({"unit": unit(chart.unit)}), options, targets),
        ),
    }
}

fn series(metric: &FlowMetric, chart: &Chart, queries: &[ChartQuery], custom: Value) -> Panel {
    let options = json!({
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi"},
    });
    let targets = targets(metric, queries, |query| {
        format!("topk({}, {})", query.top, query.prom_ql)
    });
    let defaults = json!({"unit": unit(chart.unit), "min": 0, "custom": custom});
    Panel {
        size: (12, 8),
        model: panel("timeseries", metric, chart, (defaults, options, targets)),
    }
}

fn panel(
    kind: &str,
    metric: &FlowMetric,
    chart: &Chart,
    (defaults, options, targets): (Value, Value, Value),
) -> Value {
    json!({
        "type": kind,
        "title": chart.title,
        "description": metric.spec.help,
        "datasource": {"type": "prometheus", "uid": DATASOURCE},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    })
}

fn targets(metric: &FlowMetric, queries: &[ChartQuery], ask: impl Fn(&ChartQuery) -> String) -> Value {
    let name = prometheus_name(metric);
    let targets = queries.iter().enumerate().map(|(at, query)| {
        json!({
            "refId": ref_id(at),
            "expr": ask(query).replace(METRIC, &name),
            "legendFormat": query.legend,
        })
    });
    targets.collect()
}

/// A, B, … Z, A1, B1, …
fn ref_id(at: usize) -> String {
    let letter = char::from(b'A' + (at % 26) as u8);
    match at / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

/// Grafana's word for a unit.
const fn unit(unit: ChartUnit) -> &'static str {
    match unit {
        ChartUnit::None => "short",
        ChartUnit::Bytes => "bytes",
        ChartUnit::Seconds => "s",
        ChartUnit::BytesPerSecond => "Bps",
        ChartUnit::PacketsPerSecond => "pps",
        ChartUnit::Percent => "percent",
    }
}
