//! The options of who exports, and whose word counts; `weir-collector` and `weir up`
//! share them.

use clap::Args;
use ipnet::IpNet;

use crate::allow::read_relay;
use crate::decode::ExporterPolicy;
use crate::roles::RoleRule;
use weir_identity::exporters::Trust;

/// What is said of exporters.
#[derive(Debug, Clone, Default, Args)]
pub struct ExporterArgs {
    /// A network or address from which a Service, NAT or relay passes on what nodes
    /// send, in place of their own; may be repeated. What comes from there is believed
    /// to be the node's whose observation domain, engine or agent it bears [default:
    /// none, a node is believed from its own addresses only]
    #[arg(long, value_name = "NETWORK", value_parser = read_relay)]
    pub relay: Vec<IpNet>,

    /// What exporters that are not Open vSwitch are there for: `edge` counts in sums,
    /// `core` is kept and never counts, `ignore` is let go; may be repeated, the
    /// narrowest network holds [default: each counts]
    #[arg(long, value_name = "NETWORK=edge|core|ignore")]
    pub exporter_role: Vec<RoleRule>,
}

impl ExporterArgs {
    /// What they mean.
    pub fn policy(self) -> ExporterPolicy {
        ExporterPolicy {
            trust: Trust {
                relays: self.relay,
                ..Trust::default()
            },
            roles: self.exporter_role.into_iter().collect(),
        }
    }
}

/// The DaemonSet of the node daemons, as `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDaemon {
    /// Its namespace.
    pub ns: String,
    /// Its name.
    pub name: String,
}

impl Default for NodeDaemon {
    fn default() -> Self {
        let (ns, name) = weir_identity::NODE_DAEMON;
        Self {
            ns: ns.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl std::fmt::Display for NodeDaemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.ns, self.name)
    }
}

impl std::str::FromStr for NodeDaemon {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((ns, name)) if !ns.is_empty() && !name.is_empty() && !name.contains('/') => Ok(Self {
                ns: ns.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(format!("{text:?} is not NAMESPACE/NAME")),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::roles::Role;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        exporters: ExporterArgs,
    }

    #[test]
    fn relays_and_roles_are_read_and_wrong_ones_refused() {
        let line = "w --relay 10.96.0.0/12 --relay 192.0.2.1 --exporter-role 192.0.2.7=core";
        let policy = Line::try_parse_from(line.split(' ')).unwrap().exporters.policy();
        let is_relay = |address: &str| policy.trust.is_relay(address.parse().unwrap());
        assert!(is_relay("10.96.3.4") && is_relay("192.0.2.1") && !is_relay("192.0.2.2"));
        assert_eq!(policy.roles.of([192, 0, 2, 7].into()), Some(Role::Core));
        for wrong in ["--relay all", "--exporter-role 192.0.2.7=router"] {
            let line = format!("w {wrong}");
            assert!(Line::try_parse_from(line.split(' ')).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_daemon_set_is_a_namespace_and_a_name() {
        let daemon: NodeDaemon = "flows/weir-node".parse().unwrap();
        assert_eq!((&*daemon.ns, &*daemon.name), ("flows", "weir-node"));
        assert_eq!(daemon.to_string(), "flows/weir-node");
        for wrong in ["weir-node", "/weir-node", "flows/", "a/b/c"] {
            assert!(wrong.parse::<NodeDaemon>().is_err(), "{wrong}");
        }
    }
}
