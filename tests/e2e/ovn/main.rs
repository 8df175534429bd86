//! Real OVN: the released programs on Debian's ovn-central and ovn-host, whose network
//! is laid as OVN-Kubernetes lays it. Names come from Kubernetes in one collector and
//! from the nodes' databases in another; both get the same datagrams.

mod cells;
mod cluster;
mod exactness;
mod fates;
mod network;
mod policies;
#[path = "../end_to_end/exactness/setting.rs"]
#[allow(dead_code, reason = "the other suite needs more of it")]
mod setting;
#[path = "../end_to_end/stage.rs"]
#[allow(dead_code, reason = "the other suite needs more of it")]
mod stage;
#[path = "../end_to_end/exactness/sum.rs"]
mod sum;
mod ways;

use std::process::ExitCode;

use weir_lab::{Options, harness::Suite};

use cluster::Cluster;

fn main() -> ExitCode {
    Suite::new("OVN", Cluster::raise)
        .cases(network::CASES)
        .cases(exactness::CASES)
        .cases(fates::CASES)
        .cases(policies::CASES)
        .run(Options::default().nodes(2).kubernetes(true).ovn(true))
}
