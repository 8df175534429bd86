//! What a command that runs in the lab finds: variables, and one small program
//! for each node, host and pod that runs a command there.

use std::{collections::BTreeMap, ffi::OsString, fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, Result};

use crate::{Lab, Netns};

/// Directory of the programs, below the lab's.
const PROGRAMS: &str = "bin";

/// The variables of a command in the lab:
///
/// | variable | value |
/// |---|---|
/// | `WEIR_LAB_DIR` | the lab's directory |
/// | `WEIR_LAB_NODES` | the nodes' names, separated by blanks |
/// | `WEIR_LAB_OVSDB_NODE_A` and so on | that node's database, `unix:PATH` |
/// | `KUBECONFIG`, `KUBECACHEDIR` | with a kube-apiserver: its administrator |
/// | `OVN_NB_DB`, `OVN_SB_DB` | with OVN: its databases, as `ovn-nbctl` and `ovn-sbctl` read them |
/// | `WEIR_LAB_PUBLISHED` | with [`Options::publish`](crate::Options::publish): where the host has that port |
/// | `PATH` | with kubectl and a program for each namespace: `node-a ovs-vsctl show`, `pod-shop-web-1 ip address`, `outside …` |
pub fn variables(lab: &Lab) -> Result<BTreeMap<String, OsString>> {
    let programs = lab.directory().join(PROGRAMS);
    write_programs(lab, &programs)?;
    let mut path = vec![programs];
    let mut variables = BTreeMap::new();
    let names: Vec<&str> = lab.nodes().map(|node| node.name()).collect();
    variables.insert("WEIR_LAB_DIR".to_owned(), lab.directory().into());
    variables.insert("WEIR_LAB_NODES".to_owned(), names.join(" ").into());
    for node in lab.nodes() {
        let key = format!("WEIR_LAB_OVSDB_{}", node.name().to_uppercase().replace('-', "_"));
        variables.insert(key, node.ovsdb_remote().into());
    }
    if let Ok(ovn) = lab.ovn() {
        variables.insert("OVN_NB_DB".to_owned(), ovn.northbound_remote().into());
        variables.insert("OVN_SB_DB".to_owned(), ovn.southbound_remote().into());
    }
    if let Ok(kubernetes) = lab.kubernetes() {
        path.push(kubernetes.binaries().to_owned());
        let pairs = kubernetes.environment();
        variables.extend(pairs.map(|(key, value)| (key.to_owned(), value.into())));
    }
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    variables.insert("PATH".to_owned(), std::env::join_paths(path)?);
    Ok(variables)
}

fn write_programs(lab: &Lab, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    for node in lab.nodes() {
        let run = node.directory().display();
        let exports = format!("export OVS_RUNDIR={run} OVS_DBDIR={run} OVS_LOGDIR={run}\n");
        write_program(directory, node.netns(), &exports)?;
    }
    for netns in lab.pods().iter().map(|pod| pod.netns()).chain([lab.outside()]) {
        write_program(directory, netns, "")?;
    }
    Ok(())
}

fn write_program(directory: &Path, netns: &Netns, setup: &str) -> Result<()> {
    let Some(name) = netns.name() else { return Ok(()) };
    let path = directory.join(name);
    fs::write(
        &path,
        format!("#!/bin/sh\n{setup}exec ip netns exec {name} \"$@\"\n"),
    )
    .with_context(|| format!("write {}", path.display()))?;
    Ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?)
}
