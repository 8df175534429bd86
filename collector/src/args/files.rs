//! The options of the files beside the store; `weir-collector` and `weir up` share them.

use std::path::PathBuf;

use clap::Args;

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

    /// File or folder of FlowMetrics (YAML or JSON): what is counted over records and shown
    /// at /flow-metrics; read again when it changes
    #[arg(long, value_name = "FILE|FOLDER")]
    pub flow_metrics: Option<PathBuf>,
}
