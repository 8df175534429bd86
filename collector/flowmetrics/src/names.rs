//! Names of fields in resources: NetObserv's, and those of our field table.

use weir_fields::{Column, FieldKind, Side};

use crate::parts::EventKey;
use crate::source::{Derived, Source};

/// How many values a field takes, as advice for labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Cardinality {
    /// Few.
    #[default]
    Fine,
    /// It depends on the cluster.
    Careful,
    /// As many as there are flows, or peers.
    Avoid,
}

impl Cardinality {
    /// NetObserv's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Careful => "careful",
            Self::Avoid => "avoid",
        }
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    pub source: Source,
    /// `F>key` of a list of events.
    pub key: Option<EventKey>,
    pub cardinality: Cardinality,
}

use Cardinality::{Avoid, Careful, Fine};

const fn column(
    name: &'static str,
    ours: &str,
    cardinality: Cardinality,
) -> (&'static str, Source, Cardinality) {
    (name, Source::of(ours), cardinality)
}

const fn derived(
    name: &'static str,
    source: Derived,
    cardinality: Cardinality,
) -> (&'static str, Source, Cardinality) {
    (name, Source::Derived(source), cardinality)
}

/// NetObserv's fields (its flows-format reference), with its advice for labels, and those
/// that its ingest of IPFIX adds.
#[rustfmt::skip]
pub(crate) const NETOBSERV: &[(&str, Source, Cardinality)] = &[
    derived("TimeFlowStartMs", Derived::FlowStartMs, Avoid),
    derived("TimeFlowEndMs", Derived::FlowEndMs, Avoid),
    derived("TimeReceived", Derived::ReceivedSeconds, Avoid),
    column("SrcAddr", "addr", Avoid),
    column("DstAddr", "dst_addr", Avoid),
    column("SrcPort", "port", Careful),
    column("DstPort", "dst_port", Careful),
    column("SrcMac", "mac", Avoid),
    column("DstMac", "dst_mac", Avoid),
    column("Proto", "proto", Fine),
    column("Dscp", "dscp", Fine),
    column("IcmpType", "icmp_type", Fine),
    column("IcmpCode", "icmp_code", Fine),
    derived("Flags", Derived::Flags, Careful),
    column("Bytes", "bytes", Avoid),
    column("Packets", "packets", Avoid),
    column("Sampling", "sampling", Fine),
    derived("FlowDirection", Derived::FlowDirection, Fine),
    derived("IfDirections", Derived::InterfaceDirections, Fine),
    derived("Interfaces", Derived::Interfaces, Careful),
    derived("Udns", Derived::NoList, Careful),
    column("SrcK8S_Name", "name", Careful),
    column("DstK8S_Name", "dst_name", Careful),
    column("SrcK8S_Type", "kind", Fine),
    column("DstK8S_Type", "dst_kind", Fine),
    column("SrcK8S_OwnerName", "workload_name", Fine),
    column("DstK8S_OwnerName", "dst_workload_name", Fine),
    derived("SrcK8S_OwnerType", Derived::SrcOwnerType, Fine),
    derived("DstK8S_OwnerType", Derived::DstOwnerType, Fine),
    column("SrcK8S_Namespace", "ns", Fine),
    column("DstK8S_Namespace", "dst_ns", Fine),
    column("SrcK8S_HostIP", "node_addr", Fine),
    column("DstK8S_HostIP", "dst_node_addr", Fine),
    column("SrcK8S_HostName", "node_name", Fine),
    column("DstK8S_HostName", "dst_node_name", Fine),
    column("SrcK8S_Zone", "zone", Fine),
    column("DstK8S_Zone", "dst_zone", Fine),
    column("SrcK8S_NetworkName", "network", Fine),
    column("DstK8S_NetworkName", "dst_network", Fine),
    column("SrcSubnetLabel", "subnet_label", Fine),
    column("DstSubnetLabel", "dst_subnet_label", Fine),
    column("K8S_ClusterName", "cluster", Fine),
    column("K8S_FlowLayer", "layer", Fine),
    derived("TimeFlowRttNs", Derived::NoNumber, Avoid),
    derived("DnsId", Derived::NoNumber, Avoid),
    derived("DnsLatencyMs", Derived::NoNumber, Avoid),
    derived("DnsFlags", Derived::NoNumber, Fine),
    derived("DnsErrno", Derived::NoNumber, Fine),
    derived("DnsFlagsResponseCode", Derived::NoText, Fine),
    column("DnsName", "domain", Careful),
    derived("PktDropBytes", Derived::DropBytes, Avoid),
    derived("PktDropPackets", Derived::DropPackets, Avoid),
    derived("PktDropLatestState", Derived::NoText, Fine),
    derived("PktDropLatestDropCause", Derived::NoText, Fine),
    derived("PktDropLatestFlags", Derived::NoNumber, Fine),
    derived("NetworkEvents", Derived::NetworkEvents, Avoid),
    column("XlatSrcAddr", "nat_addr", Avoid),
    column("XlatDstAddr", "dst_nat_addr", Avoid),
    column("XlatSrcPort", "nat_port", Careful),
    column("XlatDstPort", "dst_nat_port", Careful),
    derived("ZoneId", Derived::NoNumber, Avoid),
    derived("XlatSrcK8S_Name", Derived::NoText, Careful),
    derived("XlatDstK8S_Name", Derived::NoText, Careful),
    derived("XlatSrcK8S_Type", Derived::NoText, Fine),
    derived("XlatDstK8S_Type", Derived::NoText, Fine),
    derived("XlatSrcK8S_Namespace", Derived::NoText, Fine),
    derived("XlatDstK8S_Namespace", Derived::NoText, Fine),
    derived("IPSecStatus", Derived::NoText, Fine),
    derived("TLSVersion", Derived::NoText, Fine),
    derived("TLSCipherSuite", Derived::NoText, Careful),
    derived("TLSCurve", Derived::NoText, Careful),
    derived("TLSTypes", Derived::NoList, Careful),
    derived("_HashId", Derived::NoText, Avoid),
    derived("_RecordType", Derived::RecordType, Fine),
    column("AgentIP", "exporter", Careful),
    column("SamplerAddress", "exporter", Careful),
    derived("Etype", Derived::EtherType, Fine),
    column("InIf", "if_index", Careful),
    column("OutIf", "dst_if_index", Careful),
    column("VlanId", "vlan_id", Fine),
];

/// What the name stands for; `None`: no such field.
pub(crate) fn find(name: &str) -> Option<Named> {
    if let Some((list, key)) = name.split_once('>') {
        let list = find(list).filter(|list| list.source == Source::Derived(Derived::NetworkEvents))?;
        let (_, key) = EventKey::ALL.into_iter().find(|(name, _)| *name == key)?;
        return Some(Named {
            key: Some(key),
            cardinality: Fine,
            ..list
        });
    }
    let netobserv = NETOBSERV.iter().find(|(theirs, ..)| *theirs == name);
    if let Some(&(_, source, cardinality)) = netobserv {
        return Some(Named {
            source,
            key: None,
            cardinality,
        });
    }
    let ours = Column::find(name).or_else(|| {
        let bare = Column::find(name.strip_prefix("src_")?)?;
        (bare.side() == Side::Src).then_some(bare)
    })?;
    Some(Named {
        source: Source::Column(ours),
        key: None,
        cardinality: cardinality_of(ours),
    })
}

/// Columns that NetObserv has too have its advice; of the others, their kind tells.
fn cardinality_of(column: Column) -> Cardinality {
    let theirs = NETOBSERV
        .iter()
        .find(|(_, source, _)| *source == Source::Column(column));
    if let Some((_, _, cardinality)) = theirs {
        return *cardinality;
    }
    match column.kind() {
        FieldKind::Address | FieldKind::Mac | FieldKind::Unsigned(32..) | FieldKind::Timestamp => Avoid,
        FieldKind::Enum | FieldKind::Bool | FieldKind::Unsigned(..=8) => Fine,
        _ if column.field().identity && !matches!(column.field().name, "pod_name" | "name") => Fine,
        _ => Careful,
    }
}

/// What to do about a name that stands for nothing.
pub(crate) fn remedy_for(name: &str) -> String {
    if let Some((list, _)) = name.split_once('>') {
        let keys = EventKey::ALL.map(|(key, _)| key).join(", ");
        return match find(list) {
            Some(_) if list == "NetworkEvents" => format!("the keys of {list} are {keys}"),
            Some(_) => format!("{list} has no keys: leave out what follows it"),
            None => "of NetworkEvents alone a key can be named".to_owned(),
        };
    }
    match nearest(name) {
        Some(near) => format!("did you mean {near}?"),
        None => "see docs/flow-metrics.md for the fields".to_owned(),
    }
}

/// The name of a field that looks most like this one.
fn nearest(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let ours = Column::all().map(Column::name);
    let theirs = NETOBSERV.iter().map(|(name, ..)| *name);
    let known = theirs
        .chain(ours)
        .map(|known| (distance(&lower, &known.to_ascii_lowercase()), known));
    let (far, known) = known.min_by_key(|(far, _)| *far)?;
    (far <= 1 + name.len() / 4).then_some(known)
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, b) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_of_netobserv_in_the_field_table_is_known_and_means_that_column() {
        for field in weir_fields::FIELDS {
            let listed = field.netobserv.split(['/', ' ']).next().unwrap_or_default();
            if listed.is_empty() {
                continue;
            }
            assert!(find(listed).is_some(), "{listed}");
        }
        assert_eq!(find("SrcK8S_Namespace"), find("ns"));
        assert_eq!(find("src_ns"), find("ns"));
        assert_eq!(find("src_dst_ns"), None);
        assert_eq!(find("src_bytes"), None);
    }

    #[test]
    fn every_field_of_the_table_is_known_by_its_own_name() {
        for column in Column::all() {
            let named = find(column.name()).unwrap();
            assert_eq!(named.source, Source::Column(column));
            assert!(named.source.index() < Source::COUNT);
        }
    }

    #[test]
    fn names_are_unique_and_nested_ones_have_known_keys() {
        let names: HashSet<_> = NETOBSERV.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), NETOBSERV.len());
        assert!(find("NetworkEvents>Name").unwrap().key.is_some());
        assert_eq!(find("NetworkEvents>Nom"), None);
        assert_eq!(find("Flags>Name"), None);
    }

    #[test]
    fn a_misspelt_name_has_a_hint_and_nonsense_has_none() {
        assert_eq!(nearest("SrcK8S_NameSpace"), Some("SrcK8S_Namespace"));
        assert_eq!(nearest("dst_prot"), Some("dst_port"));
        assert_eq!(nearest("xyzzyquux"), None);
    }
}
