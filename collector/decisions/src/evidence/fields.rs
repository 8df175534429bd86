//! What rows say: who is at their ends, on which port, how much.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::Value;
use weir_policy::edges::{EdgeEnd, PodEnd, Strength, WorkloadKey};

use super::Row;
use crate::called::PINGS;

/// What the matrix calls an end outside: its kind and subnet label.
pub(super) fn outside_name(row: &Row, side: &str) -> (String, String) {
    let field = |name: &str| text(row, &format!("{side}{name}"));
    (field("workload_kind"), field("subnet_label"))
}

/// That of an end in the cluster; empty of a node.
pub(super) fn namespace(end: &EdgeEnd) -> &str {
    match end {
        EdgeEnd::Pod(pod) => &pod.namespace,
        EdgeEnd::Service { namespace, .. } => namespace,
        EdgeEnd::Node { .. } | EdgeEnd::Outside { .. } | EdgeEnd::Unknown => "",
    }
}

/// The end of a row of records, which have its address.
pub(super) fn end_with_address(row: &Row, side: &str) -> EdgeEnd {
    let seen = text(row, &format!("{side}addr")).parse::<IpAddr>().ok();
    match (end(row, side), seen) {
        (Some(EdgeEnd::Pod(pod)), address) => EdgeEnd::Pod(PodEnd { address, ..pod }),
        (Some(EdgeEnd::Node { name, .. }), address) => EdgeEnd::Node { name, address },
        (Some(known), _) => known,
        (None, Some(address)) => EdgeEnd::Outside {
            network: IpNet::from(address),
            subnet_label: text(row, &format!("{side}subnet_label")),
        },
        (None, None) => EdgeEnd::Unknown,
    }
}

/// What stands before the names of fields of the end in the cluster, and of the one outside.
pub(super) const fn sides(is_client: bool) -> (&'static str, &'static str) {
    if is_client { ("", "dst_") } else { ("dst_", "") }
}

/// The end of a row; none where it is outside of the cluster.
pub(super) fn end(row: &Row, side: &str) -> Option<EdgeEnd> {
    let text = |name: &str| text(row, &format!("{side}{name}"));
    let (namespace, kind, workload) = (text("ns"), text("workload_kind"), text("workload_name"));
    if namespace.is_empty() {
        return (kind == "Node").then_some(EdgeEnd::Node {
            name: workload,
            address: None,
        });
    }
    if kind == "Service" {
        return Some(EdgeEnd::Service {
            namespace,
            name: workload,
        });
    }
    let owner = WorkloadKey {
        namespace: namespace.clone(),
        kind,
        name: workload,
    };
    let is_bare = owner.kind.is_empty() || owner.kind == "Pod";
    let name = match text("pod_name") {
        // A pod that nobody controls is its own workload.
        name if name.is_empty() && is_bare => owner.name.clone(),
        name => name,
    };
    Some(EdgeEnd::Pod(PodEnd {
        namespace,
        name,
        address: None,
        node: String::new(),
        workload: (!is_bare).then_some(owner),
    }))
}

/// The server's port, or what is written for one of ICMP; none where many were put together.
pub(super) fn port(row: &Row, protocol: u8) -> Option<u16> {
    let echo = PINGS.iter().find(|(_, ping)| ping.protocol == protocol);
    echo.map(|(_, ping)| ping.port)
        .or_else(|| text(row, "dst_port").parse().ok())
}

/// A value as it is written; what is not there is empty.
pub(crate) fn text(row: &Row, name: &str) -> String {
    match row.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

pub(super) fn number(row: &Row, name: &str) -> u64 {
    row.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// A time of RFC 3339 in nanoseconds since 1970; 0 if it is none.
pub(super) fn time(row: &Row, name: &str) -> u64 {
    let time: Option<Timestamp> = text(row, name).parse().ok();
    time.and_then(|time| u64::try_from(time.as_nanosecond()).ok())
        .unwrap_or_default()
}

pub(super) fn protocol(name: &str) -> u8 {
    let numbers = 0..=u8::MAX;
    numbers
        .into_iter()
        .find(|number| weir_flow::protocol_name(*number) == name)
        .unwrap_or_default()
}

pub(super) fn strength(word: &str) -> Strength {
    let all = [Strength::Proven, Strength::Likely, Strength::Weak];
    let known = all.into_iter().find(|strength| strength.name() == word);
    known.unwrap_or(Strength::Unknown)
}
