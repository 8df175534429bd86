//! Self-tests of the lab: what the end-to-end cases take for granted.

use std::process::ExitCode;

use anyhow::Result;
use weir_lab::{
    Lab, Options, PodSpec,
    harness::{Case, Suite},
};

#[path = "lab/cluster.rs"]
mod cluster;
#[path = "lab/enclosure.rs"]
mod enclosure;
#[path = "lab/faults.rs"]
mod faults;
#[path = "lab/network.rs"]
mod network;

const CASES: &[Case<Lab>] = &[
    Case::new(
        "pods reach each other on one node and over the tunnel, in both families",
        network::pods_reach_each_other,
    ),
    Case::new(
        "a TCP transfer delivers exactly the bytes that were sent",
        network::transfers_are_exact,
    ),
    Case::new(
        "UDP datagrams arrive, all of them, in both families",
        network::datagrams_are_counted,
    ),
    Case::new(
        "iperf3 reports the throughput between two nodes",
        network::iperf_reports_throughput,
    ),
    Case::new(
        "a pod reaches the outside through br-ex and is seen under its own address",
        network::pod_reaches_outside,
    ),
    Case::new(
        "NetFlow, IPFIX and sFlow rows set by hand make OVS send datagrams",
        network::rows_make_datagrams,
    ),
    Case::new(
        "interfaces carry the external_ids of OVN-Kubernetes",
        cluster::interfaces_carry_external_ids,
    ),
    Case::new(
        "kubectl shows the nodes with their addresses",
        cluster::nodes_have_addresses,
    ),
    Case::new(
        "a pod's object leads to its Deployment, its Service and its address",
        cluster::pod_objects_are_complete,
    ),
    Case::new(
        "a ServiceAccount's kubeconfig has that account's rights and no others",
        cluster::account_has_its_rights,
    ),
    Case::new(
        "the API server comes back with its objects",
        cluster::apiserver_restarts,
    ),
    Case::new(
        "a killed ovsdb-server comes back with its database",
        faults::ovsdb_restarts,
    ),
    Case::new(
        "a killed ovs-vswitchd comes back with flows and tunnels",
        faults::vswitchd_restarts,
    ),
    Case::new(
        "an emptied database and a deleted bridge are built anew on request",
        faults::bridges_are_rebuilt,
    ),
    Case::new(
        "a node that is added later and removed again",
        cluster::node_comes_and_goes,
    ),
    Case::new(
        "a pod's address is reused by the next pod",
        cluster::address_is_reused,
    ),
    Case::new("two labs at once do not meet", enclosure::two_labs_do_not_meet),
    Case::new(
        "a lab killed with SIGKILL leaves no process, network or mount",
        enclosure::sigkill_leaves_nothing,
    ),
    Case::new(
        "two labs with OVN do not meet, and one killed with SIGKILL leaves nothing",
        enclosure::labs_with_ovn_end_alone,
    ),
    Case::new(
        "a command in the lab gets the signals and gives the exit code",
        enclosure::signals_and_exit_codes_pass,
    ),
    Case::new(
        "a port of the lab's loopback is had on the host's",
        enclosure::a_published_port_leads_into_the_lab,
    ),
    Case::new(
        "packets through connection tracking arrive, too",
        enclosure::tracked_packets_arrive,
    ),
    Case::new(
        "kube-apiserver and kubectl come from KUBEBUILDER_ASSETS when set",
        enclosure::assets_come_from_the_environment,
    ),
];

fn main() -> ExitCode {
    Suite::new("lab", raise)
        .cases(CASES)
        .run(Options::default().nodes(2).kubernetes(true))
}

fn raise(options: Options) -> Result<Lab> {
    let mut lab = Lab::raise(options)?;
    lab.add_pods(vec![
        PodSpec::new("node-a", "shop", "client").workload("client"),
        PodSpec::new("node-a", "shop", "near")
            .workload("web")
            .service("web")
            .port(8080),
        PodSpec::new("node-b", "shop", "far")
            .workload("web")
            .service("web")
            .port(8080),
    ])?;
    Ok(lab)
}
