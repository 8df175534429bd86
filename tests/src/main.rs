//! `weir-lab`: raises a lab, runs a command in it and takes it down.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use weir_lab::{Lab, Options, PodSpec, environment, isolated, kubernetes};

/// A cluster of network namespaces with real Open vSwitch and kube-apiserver.
///
/// In the lab, `node-a COMMAND…` runs a command on node-a, `pod-NAMESPACE-NAME
/// COMMAND…` in a pod, `outside COMMAND…` beyond the cluster. It needs root and
/// leaves nothing behind.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Run a command in a new lab; its exit code is the program's.
    Run {
        #[command(flatten)]
        topology: Topology,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Open a shell in a new lab.
    Shell {
        #[command(flatten)]
        topology: Topology,
    },
    /// Build kube-apiserver and kubectl if need be, and print where they are.
    Kubernetes,
}

#[derive(Args, Clone)]
struct Topology {
    /// Number of nodes.
    #[arg(long, default_value_t = 2)]
    nodes: usize,
    /// Run a kube-apiserver with etcd.
    #[arg(long)]
    kube: bool,
    /// Send the pods' packets through connection tracking, as OVN does.
    #[arg(long)]
    conntrack: bool,
    /// Run a real OVN, laid as OVN-Kubernetes lays it.
    #[arg(long, conflicts_with = "conntrack")]
    ovn: bool,
    /// Let the host reach this port of the lab's loopback. The command finds the host's address
    /// in WEIR_LAB_PUBLISHED: the same port if it is free there.
    #[arg(long, value_name = "PORT")]
    publish: Option<u16>,
    /// Add a pod, as `NODE/NAMESPACE/NAME` or `NODE/NAMESPACE/WORKLOAD/NAME`.
    #[arg(long = "pod", value_name = "POD", value_parser = parse_pod)]
    pods: Vec<PodSpec>,
}

fn main() -> ExitCode {
    match Arguments::parse().action {
        Action::Run { topology, command } => run(topology, command),
        Action::Shell { topology } => {
            let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
            run(topology, vec![shell])
        }
        Action::Kubernetes => print_kubernetes(),
    }
}

fn run(topology: Topology, command: Vec<OsString>) -> ExitCode {
    let options = Options::default()
        .nodes(topology.nodes)
        .kubernetes(topology.kube)
        .conntrack(topology.conntrack)
        .ovn(topology.ovn)
        .publish(topology.publish);
    isolated(options, |options| {
        let mut lab = Lab::raise(options)?;
        lab.add_pods(topology.pods)?;
        replace_with(lab, &command)
    })
}

/// Becomes the command. The lab's processes stay its children, signals reach
/// it without a detour, and when it ends the enclosure ends all of them.
fn replace_with(lab: Lab, command: &[OsString]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command")?;
    let variables = environment::variables(&lab)?;
    // Not dropped: that would stop the lab under the command.
    std::mem::forget(lab);
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(variables)
        .env_remove("WEIR_LAB_STAGE");
    Err(command.exec()).with_context(|| format!("run {}", program.to_string_lossy()))
}

fn print_kubernetes() -> ExitCode {
    match kubernetes::binaries::ensure() {
        Ok(directory) => {
            println!("{}", directory.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("weir-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse_pod(text: &str) -> Result<PodSpec, String> {
    match text.split('/').collect::<Vec<_>>()[..] {
        [node, namespace, name] => Ok(PodSpec::new(node, namespace, name)),
        [node, namespace, workload, name] => Ok(PodSpec::new(node, namespace, name).workload(workload)),
        _ => Err("want NODE/NAMESPACE/NAME or NODE/NAMESPACE/WORKLOAD/NAME".to_owned()),
    }
}
