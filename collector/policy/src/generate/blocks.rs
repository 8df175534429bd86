//! Addresses outside as blocks: networks with names, single addresses, and addresses put
//! together where there are too many.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Internet, LEAST_HITS, MOST_EXACT};
use crate::inventory::Inventory;
use crate::policy::IpBlock;

/// Not the internet: RFC 1918, RFC 3927, RFC 4193, RFC 4291.
const PRIVATE: [&str; 6] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

/// The networks that are not the internet, the cluster's own among them.
pub(super) fn private(inventory: &Inventory) -> Vec<IpNet> {
    let mut all: Vec<IpNet> = PRIVATE
        .iter()
        .filter_map(|network| network.parse().ok())
        .collect();
    for network in &inventory.cluster_networks {
        if !all.iter().any(|known| known.contains(network)) {
            all.push(network.trunc());
        }
    }
    all.sort();
    all
}

/// The smallest network that has all these addresses of one family.
pub(super) fn cover(addresses: impl IntoIterator<Item = IpAddr>) -> Option<IpNet> {
    let mut cover: Option<IpNet> = None;
    for address in addresses {
        let mut wider = cover.unwrap_or(IpNet::from(address));
        while !wider.contains(&address) {
            wider = wider.supernet()?;
        }
        cover = Some(wider);
    }
    cover
}

/// One block for addresses that were seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub block: IpBlock,
    /// Which of the networks that were seen it stands for.
    pub of: BTreeSet<IpNet>,
    /// It is wider than they are.
    pub is_wider: bool,
}

fn exact(network: IpNet) -> Block {
    Block {
        block: IpBlock {
            cidr: network.trunc(),
            except: Vec::new(),
        },
        of: BTreeSet::from([network]),
        is_wider: false,
    }
}

/// The networks that were seen on one port, as blocks.
pub(super) fn blocks(
    seen: &BTreeSet<IpNet>,
    internet: Internet,
    private: &[IpNet],
    cluster: &[IpNet],
) -> Vec<Block> {
    let is_many = seen.len() > MOST_EXACT;
    match internet {
        Internet::Exact => seen.iter().copied().map(exact).collect(),
        Internet::Aggregate if !is_many => seen.iter().copied().map(exact).collect(),
        Internet::Aggregate => {
            let folded = folded(seen, cluster);
            let is_public = |block: &&Block| !is_within(&block.block.cidr, private);
            match folded.iter().filter(is_public).count() > MOST_EXACT {
                true => with_internet(folded, private),
                false => folded,
            }
        }
        Internet::Any => with_internet(seen.iter().copied().map(exact).collect(), private),
    }
}

fn is_within(network: &IpNet, networks: &[IpNet]) -> bool {
    networks.iter().any(|around| around.contains(network))
}

/// The network of /24 or /48 around a network.
fn around(network: &IpNet) -> Option<IpNet> {
    let length = match network.addr() {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 48,
    };
    (network.prefix_len() > length)
        .then(|| IpNet::new(network.addr(), length).ok())
        .flatten()
        .map(|network| network.trunc())
}

/// Networks of /24 and /48 for those that hold many addresses; never within the cluster,
/// where they would be pods.
fn folded(seen: &BTreeSet<IpNet>, cluster: &[IpNet]) -> Vec<Block> {
    let mut groups: BTreeMap<IpNet, BTreeSet<IpNet>> = BTreeMap::new();
    for network in seen {
        let wider = around(network).filter(|wider| {
            !cluster
                .iter()
                .any(|own| own.contains(wider) || wider.contains(own))
        });
        groups
            .entry(wider.unwrap_or(*network))
            .or_default()
            .insert(*network);
    }
    let block = |(network, of): (IpNet, BTreeSet<IpNet>)| match of.len() >= LEAST_HITS {
        true => vec![Block {
            block: exact(network).block,
            of,
            is_wider: true,
        }],
        false => of.into_iter().map(exact).collect(),
    };
    groups.into_iter().flat_map(block).collect()
}

/// The internet in the stead of all that is public.
fn with_internet(blocks: Vec<Block>, private: &[IpNet]) -> Vec<Block> {
    let (mut kept, public): (Vec<Block>, Vec<Block>) = blocks
        .into_iter()
        .partition(|block| is_within(&block.block.cidr, private));
    for all in ["0.0.0.0/0", "::/0"] {
        let Ok(all) = all.parse::<IpNet>() else {
            continue;
        };
        let of: BTreeSet<IpNet> = public
            .iter()
            .filter(|block| all.contains(&block.block.cidr))
            .flat_map(|block| block.of.iter().copied())
            .collect();
        if !of.is_empty() {
            let except = private
                .iter()
                .filter(|network| all.contains(*network))
                .copied()
                .collect();
            kept.push(Block {
                block: IpBlock { cidr: all, except },
                of,
                is_wider: true,
            });
        }
    }
    kept
}
