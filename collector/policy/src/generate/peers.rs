//! How a peer is written.

use std::collections::BTreeSet;

use super::Level;
use super::units::{UnitKey, Units, of_labels};
use crate::edges::short;
use crate::facts::NAMESPACE_NAME_LABEL;
use crate::policy::{IpBlock, NetworkPeer};
use crate::selector::{Labels, Selector};
use crate::words;

/// The order of peers: pods before addresses, by namespace and what is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PeerKey {
    kind: u8,
    namespace: String,
    text: String,
}

/// A peer as it is written.
#[derive(Debug, Clone)]
pub(super) struct WrittenPeer {
    pub key: PeerKey,
    pub peer: NetworkPeer,
    pub warnings: BTreeSet<String>,
}

const OWN_NAMESPACE: u8 = 0;
const OTHER_NAMESPACE: u8 = 1;
const ADDRESS: u8 = 2;

fn named(namespace: &str) -> Selector {
    of_labels(&Labels::from([(
        NAMESPACE_NAME_LABEL.to_owned(),
        namespace.to_owned(),
    )]))
}

/// A unit as a peer of pods in a namespace.
pub(super) fn of_unit(units: &Units<'_>, key: &UnitKey, own: &str, level: Level) -> WrittenPeer {
    let namespace = key.namespace();
    let is_wide = matches!(level, Level::Namespace | Level::NamespacePorts);
    let unit = units.unit(key).filter(|_| !is_wide);
    let pods = unit.and_then(|unit| unit.selector.clone());
    let text = pods.as_ref().map_or_else(String::new, words::selector);
    let peer = match (namespace == own, pods) {
        (true, pods) => NetworkPeer::Pods {
            namespaces: None,
            pods: Some(pods.unwrap_or_else(Selector::everything)),
        },
        (false, pods) => NetworkPeer::Pods {
            namespaces: Some(named(namespace)),
            pods,
        },
    };
    let kind = if namespace == own {
        OWN_NAMESPACE
    } else {
        OTHER_NAMESPACE
    };
    WrittenPeer {
        key: PeerKey {
            kind,
            namespace: namespace.to_owned(),
            text,
        },
        peer,
        warnings: unit.map(|unit| unit.warnings.clone()).unwrap_or_default(),
    }
}

/// A block as a peer.
pub(super) fn of_block(block: IpBlock) -> WrittenPeer {
    let key = PeerKey {
        kind: ADDRESS,
        namespace: String::new(),
        text: sortable(&block),
    };
    WrittenPeer {
        key,
        peer: NetworkPeer::Block(block),
        warnings: BTreeSet::new(),
    }
}

/// Addresses in the order of their numbers, IPv4 first.
fn sortable(block: &IpBlock) -> String {
    let bytes: Vec<String> = match block.cidr.network() {
        std::net::IpAddr::V4(v4) => v4.octets().iter().map(|byte| format!("{byte:02x}")).collect(),
        std::net::IpAddr::V6(v6) => v6.octets().iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let family = if bytes.len() == 4 { '4' } else { '6' };
    format!("{family} {} {}", bytes.concat(), short(&block.cidr))
}
