//! End to end: the released programs against real Open vSwitch, a real API
//! server and real packets, driven with kubectl and ovs-vsctl as a user would.
//!
//! Cases share one stage (two nodes, controllers, node daemons and the
//! collector under their own ServiceAccounts) and begin with nothing exported.

mod admission;
mod control;
mod documents;
mod exactness;
mod export;
mod faults;
mod flow_metrics;
mod identity;
mod install;
mod interfaces;
mod ownership;
mod policies;
mod questions;
mod records;
mod stage;
mod standalone;

use std::process::ExitCode;

use weir_lab::{Options, harness::Suite};

use stage::Stage;

fn main() -> ExitCode {
    Suite::new("end to end", Stage::raise)
        .cases(install::CASES)
        .cases(admission::CASES)
        .cases(export::CASES)
        .cases(records::CASES)
        .cases(flow_metrics::CASES)
        .cases(questions::CASES)
        .cases(policies::CASES)
        .cases(interfaces::CASES)
        .cases(identity::CASES)
        .cases(ownership::CASES)
        .cases(faults::CASES)
        .cases(control::CASES)
        .cases(documents::CASES)
        .cases(standalone::CASES)
        .cases(exactness::CASES)
        .cases(install::command::LAST)
        .run(Options::default().nodes(2).kubernetes(true))
}
