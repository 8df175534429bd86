//! `weir dashboards`: the charts of FlowMetrics as a dashboard of Grafana, and NetObserv's health templates as rules
//! of Prometheus. What they are is `weir_flowmetrics`' matter; this file owns where metrics come from.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use weir_collector::flow_metrics::files::read_metrics;
use weir_flowmetrics::{
    Dashboard, Definition, FlowMetric, ObjectName, all_predefined, asked_by_health_rules, dashboards,
    health_rules, predefined,
};

use crate::cluster::ClusterArgs;
use crate::dynamic::{self, Kind};
use crate::effect::refuse_without_effect;
use crate::terminal::say;

/// All of them, where names are asked for.
const ALL: &str = "all";

/// Arguments of `weir dashboards`.
#[derive(Debug, Args)]
pub struct DashboardsArgs {
    /// FlowMetrics out of a file or folder [default: those of the cluster]
    #[arg(long, value_name = "FILE|FOLDER")]
    flow_metrics: Option<PathBuf>,
    /// FlowMetrics that NetObserv predefines, by name without `netobserv_`, or all; several with commas
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = predefined_metric)]
    predefined_flow_metrics: Vec<String>,
    /// Which dashboard, where charts name several
    #[arg(long, value_name = "DASHBOARD")]
    name: Option<String>,
    /// Print rules of Prometheus instead: NetObserv's health templates, as far as flows of Open vSwitch answer them
    #[arg(long, conflicts_with_all = ["flow_metrics", "predefined_flow_metrics", "name", "kubeconfig", "context"])]
    rules: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

fn predefined_metric(name: &str) -> Result<String, String> {
    match name == ALL || predefined(name).is_some() {
        true => Ok(name.to_owned()),
        false => {
            let names = all_predefined().map(|metric| metric.spec.metric_name);
            Err(format!(
                "there is {ALL}, {}",
                names.collect::<Vec<_>>().join(", ")
            ))
        }
    }
}

/// Prints it.
///
/// # Errors
/// There are no metrics with charts, or several dashboards, or the metrics cannot be read.
pub async fn run(args: DashboardsArgs) -> Result<ExitCode> {
    if args.rules {
        print(&health_rules())?;
        let asked = asked_by_health_rules().join(",");
        say(&format!("The rules ask --predefined-flow-metrics {asked}"));
        return Ok(ExitCode::SUCCESS);
    }
    let (metrics, left_out) = args.metrics().await?;
    let dashboards = dashboards(&metrics);
    print(&chosen(&dashboards, args.name.as_deref())?.model)?;
    Ok(if left_out {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

impl DashboardsArgs {
    /// The metrics, and whether some could not be read, which was said.
    async fn metrics(&self) -> Result<(Vec<FlowMetric>, bool)> {
        let names = &self.predefined_flow_metrics;
        let named = |metric: &FlowMetric| {
            names
                .iter()
                .any(|name| *name == ALL || *name == metric.spec.metric_name)
        };
        let mut metrics: Vec<_> = all_predefined().filter(named).collect();
        let has_files = self.flow_metrics.is_some() || !names.is_empty();
        if has_files {
            refuse_without_effect(
                &[
                    ("--kubeconfig", self.cluster.kubeconfig.is_some()),
                    ("--context", self.cluster.context.is_some()),
                ],
                "beside --flow-metrics and --predefined-flow-metrics",
            )?;
        }
        let (more, left_out) = match &self.flow_metrics {
            Some(path) => of_files(path)?,
            None if has_files => (Vec::new(), false),
            None => self.of_cluster().await?,
        };
        metrics.extend(more);
        let read = metrics.len();
        // A chart of what is never counted, or whose name is no name, would be a wrong one.
        metrics.retain(is_counted);
        let left_out = left_out || metrics.len() < read;
        Ok((metrics, left_out))
    }

    async fn of_cluster(&self) -> Result<(Vec<FlowMetric>, bool)> {
        let client = self
            .cluster
            .connect("give --flow-metrics or --predefined-flow-metrics")
            .await?;
        let kind = Kind {
            api_version: weir_flowmetrics::API_VERSION,
            kind: weir_flowmetrics::KIND,
        };
        let objects = dynamic::list(&client, kind, None).await?;
        let (mut metrics, mut left_out) = (Vec::new(), false);
        for mut object in objects {
            // Items of a list do not say it.
            object["apiVersion"] = weir_flowmetrics::API_VERSION.into();
            object["kind"] = weir_flowmetrics::KIND.into();
            match FlowMetric::from_json(&object) {
                Ok(metric) => metrics.push(metric),
                Err(problem) => {
                    let name = object["metadata"]["name"].as_str().unwrap_or_default();
                    say(&format!("FlowMetric {name} is left out: {problem}"));
                    left_out = true;
                }
            }
        }
        Ok((metrics, left_out))
    }
}

/// Whether the collector takes it; why not, is said.
fn is_counted(metric: &FlowMetric) -> bool {
    let problems = Definition::new(metric).err().unwrap_or_default();
    for problem in &problems {
        say(&format!(
            "FlowMetric {} is left out: {problem}",
            ObjectName::of(metric)
        ));
    }
    problems.is_empty()
}

fn of_files(path: &Path) -> Result<(Vec<FlowMetric>, bool)> {
    let read = read_metrics(path).with_context(|| format!("cannot read {}", path.display()))?;
    for (file, problem) in &read.problems {
        say(&format!(
            "{}: a FlowMetric is left out: {problem}",
            file.display()
        ));
    }
    Ok((read.metrics, !read.problems.is_empty()))
}

/// The dashboard of this name, or the only one.
fn chosen<'d>(dashboards: &'d [Dashboard], name: Option<&str>) -> Result<&'d Dashboard> {
    let names = || {
        let names = dashboards.iter().map(|dashboard| dashboard.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    match (dashboards, name) {
        ([], _) => bail!("no FlowMetric has charts (spec.charts)"),
        (_, Some(name)) => {
            let named = dashboards.iter().find(|dashboard| dashboard.name == name);
            named.with_context(|| format!("there is no dashboard {name}; there is {}", names()))
        }
        ([only], None) => Ok(only),
        (_, None) => bail!(
            "charts name several dashboards, choose one with --name: {}",
            names()
        ),
    }
}

fn print(model: &Value) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, model)?;
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard(name: &str) -> Dashboard {
        Dashboard {
            name: name.to_owned(),
            model: Value::Null,
        }
    }

    #[test]
    fn one_dashboard_is_printed_and_of_several_the_one_that_is_named() {
        let (main, shop) = (dashboard("Main"), dashboard("Shop"));
        let both = [main.clone(), shop];
        assert_eq!(chosen(&both[..1], None).unwrap(), &main);
        assert_eq!(chosen(&both, Some("Main")).unwrap(), &main);
        let error = |dashboards: &[Dashboard], name| chosen(dashboards, name).unwrap_err().to_string();
        assert!(error(&both, None).contains("Main, Shop"));
        assert!(error(&both, Some("main")).contains("Main, Shop"));
        assert!(error(&[], None).contains("spec.charts"));
    }

    #[tokio::test]
    async fn metrics_come_from_files_and_what_is_predefined_and_what_is_wrong_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let good = "apiVersion: flows.netobserv.io/v1alpha1\nkind: FlowMetric\nmetadata: {name: a}\nspec: {type: Counter}\n";
        std::fs::write(folder.path().join("a.yaml"), format!("{good}---\nkind: Pod\n")).unwrap();
        let args = |names: &[&str]| DashboardsArgs {
            flow_metrics: Some(folder.path().to_owned()),
            predefined_flow_metrics: names.iter().map(|name| (*name).to_owned()).collect(),
            name: None,
            rules: false,
            cluster: ClusterArgs {
                kubeconfig: None,
                context: None,
            },
        };
        let (metrics, left_out) = args(&["node_flows_total"]).metrics().await.unwrap();
        let names: Vec<_> = metrics
            .iter()
            .map(|metric| metric.metadata.name.as_str())
            .collect();
        assert_eq!(names, ["predefined-node-flows-total", "a"]);
        assert!(left_out);
        let bad = good.replace("{name: a}", "{name: b}").replace(
            "{type: Counter}",
            "{type: Counter, metricName: 'x) or vector(1) #'}",
        );
        std::fs::write(folder.path().join("a.yaml"), format!("{good}---\n{bad}")).unwrap();
        let (metrics, left_out) = args(&[]).metrics().await.unwrap();
        assert_eq!(
            (metrics.len(), left_out),
            (1, true),
            "its charts would ask something else"
        );
        let (metrics, _) = args(&[ALL]).metrics().await.unwrap();
        assert_eq!(metrics.len(), all_predefined().count() + 1);
        let both = DashboardsArgs {
            cluster: ClusterArgs {
                kubeconfig: Some("k".into()),
                context: None,
            },
            ..args(&[])
        };
        assert!(
            both.metrics()
                .await
                .unwrap_err()
                .to_string()
                .contains("--kubeconfig")
        );
    }
}
