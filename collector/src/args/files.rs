//! The options of the files beside the store; `weir-collector` and `weir up` share them.

use std::path::PathBuf;

use clap::Args;
use weir_flowmetrics::{all_predefined, predefined};

use crate::flow_metrics::FlowMetricSources;

/// What is known from before, and from a file.
#[derive(Debug, Clone, Default, Args)]
pub struct FileArgs {
    /// Directory to keep templates of NetFlow v9 and IPFIX in, so that data decodes at
    /// once after a restart; made if it is not there [default: they are not kept]
    #[arg(long, value_name = "DIRECTORY")]
    pub state_dir: Option<PathBuf>,

    /// YAML file that gives networks names (`customLabels: [{name, cidrs}]`); read
    /// again when it changes
    #[arg(long, value_name = "FILE")]
    pub subnet_labels: Option<PathBuf>,

    /// YAML file of sinks: where records go besides the store (files, collectors of IPFIX); read
    /// again when it changes
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    pub sinks: Option<PathBuf>,

    /// File or folder of FlowMetrics (YAML or JSON): what is counted over records and shown
    /// at /flow-metrics; read again when it changes
    #[arg(long, value_name = "FILE|FOLDER")]
    pub flow_metrics: Option<PathBuf>,

    /// FlowMetrics that NetObserv predefines, by name without `netobserv_`, such as
    /// namespace_flows_total; several with commas, may be repeated
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = predefined_metric)]
    pub predefined_flow_metrics: Vec<String>,
}

fn predefined_metric(name: &str) -> Result<String, String> {
    if predefined(name).is_some() {
        return Ok(name.to_owned());
    }
    let names = all_predefined().map(|metric| metric.spec.metric_name);
    Err(format!("there is {}", names.collect::<Vec<_>>().join(", ")))
}

impl FileArgs {
    /// What says which metrics are counted, beside objects in a namespace.
    pub fn flow_metrics(&self) -> FlowMetricSources {
        FlowMetricSources {
            path: self.flow_metrics.clone(),
            predefined: self
                .predefined_flow_metrics
                .iter()
                .filter_map(|name| predefined(name))
                .collect(),
            ..FlowMetricSources::default()
        }
    }
}
