//! `simulated-nodes`: many nodes in one process, steered by files.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use weir_process::kubernetes;
use weir_process::log::{self, LogFormat};
use weir_process::signals::Signals;
use weir_simulated::member::{RowSeen, accounts, line, mode, run};
use weir_simulated::schema::{INSTALLED, Schema};
use weir_simulated::server::Mode;

/// Runs the code of weir-node for many nodes, each over a database in memory.
///
/// The nodes' objects and the pods of their daemons are there already. FOLDER/mode is read
/// twice a second: "up" (as without it), "down" (no node has a database), "flap" (the
/// databases come and go every half period), "hang" (the switches take nothing over).
/// FOLDER/rows gets a line for each row that is written: node, target, time in nanoseconds.
#[derive(Debug, Parser)]
struct Args {
    /// Names of the nodes, a line each
    #[arg(long, value_name = "FILE")]
    nodes: PathBuf,
    /// Where sockets and the two files are
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// An administrator's kubeconfig, by which the daemons' tokens are made
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Half a period of "flap", in seconds
    #[arg(long, default_value_t = 3)]
    flap_seconds: u64,
}

/// Rows that wait to be written down: several changes of a thousand nodes.
const ROWS: usize = 16_384;
/// How often the mode is read.
const LOOK: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    log::start(LogFormat::Text, "warn,weir_node=error,kube_client=off");
    match simulate(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => log::failure(error.as_ref()),
    }
}

async fn simulate(args: Args) -> Result<()> {
    let mut signals = Signals::install()?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?;
    let config = kubernetes::config(Some(&args.kubeconfig), None).await?;
    let accounts = accounts(config.clone())?;
    let schema = Schema::read(INSTALLED.as_ref())?;
    let names = std::fs::read_to_string(&args.nodes).context("--nodes")?;
    let (steered, wanted) = watch::channel(Mode::Up);
    let (rows, seen) = mpsc::channel(ROWS);
    let mut members = JoinSet::new();
    for name in names.lines() {
        let (name, folder) = (name.to_owned(), args.folder.clone());
        let api = (config.clone(), accounts.clone());
        let (schema, wanted, rows) = (schema.clone(), wanted.clone(), rows.clone());
        members.spawn(async move { run(name, api, (schema, &folder), wanted, rows).await });
    }
    tokio::select! {
        ended = write_down(seen, args.folder.join("rows")) => ended,
        () = steer(&args, &steered) => Ok(()),
        Some(ended) = members.join_next() => ended?.context("a node ended"),
        _ = signals.next() => Ok(()),
    }
}

async fn write_down(mut seen: mpsc::Receiver<RowSeen>, path: PathBuf) -> Result<()> {
    let mut file = File::create(path)?;
    while let Some(row) = seen.recv().await {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        file.write_all(line(&row, now.as_nanos()).as_bytes())?;
    }
    Ok(())
}

async fn steer(args: &Args, steered: &watch::Sender<Mode>) {
    let begun = tokio::time::Instant::now();
    loop {
        let text = std::fs::read_to_string(args.folder.join("mode")).unwrap_or_default();
        let tick = begun.elapsed().as_secs() / args.flap_seconds.max(1);
        let wanted = mode(&text, tick);
        steered.send_if_modified(|mode| std::mem::replace(mode, wanted) != wanted);
        tokio::time::sleep(LOOK).await;
    }
}
