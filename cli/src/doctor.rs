//! `weir doctor`: what is wrong with an installation, and what to do. Facts are gathered
//! first ([`facts`], [`host`]), and judged by pure functions ([`cluster`], [`pods`], [`nodes`]).

mod cluster;
mod facts;
mod host;
mod nodes;
mod pods;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
pub use weir_exports::Level;

use crate::cluster::ClusterArgs;
use crate::effect::refuse_without_effect;
use crate::table::harmless_lines;
use crate::{cluster as clusters, terminal};

/// Arguments of `weir doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Look at this host, not at a cluster: the socket, the kernel's limits, SELinux
    #[arg(long, conflicts_with_all = ["kubeconfig", "context"])]
    host: bool,
    /// The socket of this host's Open vSwitch
    #[arg(long, value_name = "FILE", default_value = "/var/run/openvswitch/db.sock")]
    socket: PathBuf,
    /// With --host, a collector: whether what is sent there passes in one piece; may be repeated
    #[arg(long = "to", value_name = "ADDRESS:PORT")]
    collectors: Vec<SocketAddr>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// What was found, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is, a sentence.
    pub what: String,
    /// What to do; nothing where nothing is to be done.
    pub remedy: String,
}

impl Finding {
    fn fine(what: impl Into<String>) -> Self {
        Self::new(Level::Fine, what, "")
    }

    fn note(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Level::Note, what, remedy)
    }

    fn fault(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Level::Fault, what, remedy)
    }

    fn new(level: Level, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// Looks, judges, and says.
///
/// # Errors
/// There is nothing to look at.
pub async fn run(args: DoctorArgs) -> Result<ExitCode> {
    let mut whole = true;
    let findings = if args.host {
        host::examine(&args.socket, &args.collectors)
    } else {
        let without = [("--to", !args.collectors.is_empty())];
        refuse_without_effect(&without, "without --host")?;
        let config = clusters::announced(
            args.cluster.kubeconfig.as_deref(),
            args.cluster.context.as_deref(),
            "give --kubeconfig, or --host for this host",
        );
        let facts = facts::gather(config.await?).await?;
        whole = facts.unread.is_empty();
        [cluster::judge(&facts), nodes::judge(&facts)].concat()
    };
    show(&findings, whole)
}

/// `whole`: everything could be read.
fn show(findings: &[Finding], whole: bool) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    for finding in findings {
        let mark = match finding.level {
            Level::Fine => "ok   ",
            Level::Note => "note ",
            Level::Fault => "FAULT",
        };
        writeln!(out, "{}", for_eyes(&format!("{mark} {}", finding.what)))?;
        if !finding.remedy.is_empty() {
            writeln!(out, "{}", for_eyes(&format!("      do: {}", finding.remedy)))?;
        }
    }
    let faults = findings
        .iter()
        .filter(|finding| finding.level == Level::Fault)
        .count();
    writeln!(
        out,
        "{}",
        match faults {
            0 if !whole => "nothing is wrong with what could be read".to_owned(),
            0 => "nothing is wrong".to_owned(),
            1 => "1 thing is wrong".to_owned(),
            many => format!("{many} things are wrong"),
        }
    )?;
    Ok(if faults == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What others say in it does not steer a terminal.
fn for_eyes(text: &str) -> String {
    match terminal::width() {
        Some(_) => harmless_lines(text),
        None => text.to_owned(),
    }
}
