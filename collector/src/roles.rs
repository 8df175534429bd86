//! What an exporter that is not Open vSwitch is there for. Two routers on one path see
//! the same packets, and nothing in their records tells: somebody has to say which of
//! them counts.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

use crate::allow::parse_network;

/// What an exporter is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sees what enters and leaves: its records count in sums.
    Edge,
    /// It sees what others count: its records are kept, and never primary.
    Core,
    /// Nobody wants its records: they are counted and let go.
    Ignore,
}

impl Role {
    const ALL: [Self; 3] = [Self::Edge, Self::Core, Self::Ignore];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Core => "core",
            Self::Ignore => "ignore",
        }
    }
}

/// The role of the exporters in one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleRule {
    network: IpNet,
    role: Role,
}

/// What is no such rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not ADDRESS=ROLE or NETWORK=ROLE, with edge, core or ignore as the role")]
pub struct NoRole(String);

impl FromStr for RoleRule {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        let rule = text.split_once('=').and_then(|(network, word)| {
            let role = Role::ALL.into_iter().find(|role| role.as_str() == word)?;
            let network = parse_network(network)?;
            Some(Self { network, role })
        });
        rule.ok_or_else(|| NoRole(text.to_owned()))
    }
}

/// The roles of all exporters that were given one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// The narrowest network first.
    rules: Vec<RoleRule>,
}

impl FromIterator<RoleRule> for Roles {
    fn from_iter<I: IntoIterator<Item = RoleRule>>(rules: I) -> Self {
        let mut rules: Vec<RoleRule> = rules.into_iter().collect();
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.network.prefix_len()));
        Self { rules }
    }
}

impl Roles {
    /// The role of the exporter with this address: that of the narrowest network it is
    /// in.
    pub fn of(&self, exporter: IpAddr) -> Option<Role> {
        let rule = self.rules.iter().find(|rule| rule.network.contains(&exporter))?;
        Some(rule.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_network_says_the_role() {
        let rules = ["10.0.0.0/8=core", "10.0.0.1=edge", "2001:db8::/32=ignore"];
        let roles: Roles = rules
            .iter()
            .map(|rule| rule.parse::<RoleRule>().unwrap())
            .collect();
        let role = |address: &str| roles.of(address.parse().unwrap());
        assert_eq!(role("10.0.0.1"), Some(Role::Edge));
        assert_eq!(role("10.0.0.2"), Some(Role::Core));
        assert_eq!(role("2001:db8::1"), Some(Role::Ignore));
        assert_eq!(role("192.0.2.1"), None);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["10.0.0.1", "10.0.0.1=", "10.0.0.1=access", "router=edge", "=edge"] {
            assert!(text.parse::<RoleRule>().is_err(), "{text}");
        }
    }
}
