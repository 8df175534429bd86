//! `bench-change`: how long a change takes from `kubectl patch` to the rows in
//! OVSDB, on many nodes at once, and what a node daemon costs at rest.
//!
//! Real parts: one kube-apiserver with etcd, one controller, and for each node
//! a `weir-node` and an ovsdb-server of its own. There is no ovs-vswitchd: the
//! row in OVSDB is what is waited for. Nodes beyond `--real` are simulated: the code of
//! `weir-node`, many in one process, over databases in memory. It measures; it judges
//! nothing.

mod fleet;
mod report;
mod watcher;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;
use weir_lab::{Lab, Options, isolated};

use fleet::Fleet;

/// Time from `kubectl patch` to the row in OVSDB, on many nodes at once.
#[derive(Parser, Clone)]
struct Arguments {
    /// Number of nodes.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=5000))]
    nodes: u16,
    /// So many of them have an ovsdb-server and a weir-node; the others are simulated.
    #[arg(long, default_value_t = 100)]
    real: u16,
    /// How many changes are measured.
    #[arg(long, default_value_t = 10)]
    rounds: u16,
    /// Seconds at rest over which the daemons' CPU time is taken.
    #[arg(long, default_value_t = 30)]
    idle_seconds: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    isolated(Options::default().kubernetes(true), |options| {
        let lab = Lab::raise(options)?;
        measure(&lab, &arguments)?;
        Ok(ExitCode::SUCCESS)
    })
}

fn measure(lab: &Lab, arguments: &Arguments) -> Result<()> {
    eprintln!("raising {} nodes", arguments.nodes);
    let mut fleet = Fleet::raise(lab, arguments.nodes, arguments.real)?;
    let mut rounds = Vec::new();
    // The first change fills caches and creates rows; the others change them.
    for round in 0..=arguments.rounds {
        let delays = fleet.change(round)?;
        eprintln!("round {round}: {}", report::line(&delays));
        if round > 0 {
            rounds.push(delays);
        }
    }
    fleet.wait_rest()?;
    let cost = fleet.cost(Duration::from_secs(arguments.idle_seconds))?;
    report::print(arguments.nodes, &rounds, &cost);
    Ok(())
}
