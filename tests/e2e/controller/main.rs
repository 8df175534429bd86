//! The controller against a real API server, without switches: nodes are objects, what
//! their daemons would report is written by the cases.

use std::process::ExitCode;

use weir_lab::{Options, harness::Suite};

mod cluster;
mod faults;
mod received;
mod rollouts;
mod sources;
mod states;
mod upgrade;

fn main() -> ExitCode {
    let options = Options::default().nodes(0).kubernetes(true);
    Suite::new("controller", cluster::Cluster::raise)
        .cases(states::CASES)
        .cases(sources::CASES)
        .cases(rollouts::CASES)
        .cases(faults::CASES)
        .cases(received::CASES)
        .cases(upgrade::CASES)
        .run(options)
}
