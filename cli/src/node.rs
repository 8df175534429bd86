//! The arguments that say which host is meant; `up` and `status` share them.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use ovsdb::Endpoint;
use weir_api::profile::is_bridge_name;
use weir_node::file_source::FileConfig;

/// Which Open vSwitch, and how its host is called: what a Network is compared with or
/// applied to.
#[derive(Debug, Clone, Args)]
pub struct NodeArgs {
    /// Where OVSDB listens: unix:PATH or tcp:HOST:PORT
    #[arg(long, default_value = "unix:/var/run/openvswitch/db.sock")]
    pub ovsdb: Endpoint,
    /// Name of this host [default: its host name]
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// This host's own address, for `:port` collectors and as sFlow's agent
    #[arg(long, value_name = "IP")]
    pub node_ip: Option<IpAddr>,
    /// Bridge to export from; may be repeated, and beats the profile's [default: br-int]
    #[arg(long = "bridge", value_name = "BRIDGE", value_parser = parse_bridge)]
    pub bridges: Vec<String>,
    /// The ExportProfile in this file
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
}

impl NodeArgs {
    /// The host's name.
    ///
    /// # Errors
    /// None was given, and the system has none.
    pub fn name(&self) -> Result<String> {
        if let Some(name) = &self.node_name {
            return Ok(name.clone());
        }
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
        Ok(name
            .context("this host has no name; give --node-name")?
            .trim()
            .to_owned())
    }

    /// The files to follow.
    ///
    /// # Errors
    /// As [`Self::name`].
    pub fn files(&self, network: PathBuf) -> Result<FileConfig> {
        Ok(FileConfig {
            node_name: self.name()?,
            node_ip: self.node_ip,
            network,
            profile: self.profile.clone(),
            bridges: self.bridges.clone(),
        })
    }
}

fn parse_bridge(name: &str) -> Result<String, String> {
    if is_bridge_name(name) {
        Ok(name.to_owned())
    } else {
        Err("the name of a bridge has 1 to 15 characters".to_owned())
    }
}
