//! Who called whom, as policies are held against it: out of rows of the matrix, and for ends
//! outside of the cluster, of which the matrix keeps no addresses, out of sums over records.
//!
//! ```text
//! rows of the matrix -> take -.          .-> outside_of: which sums over records to ask for
//!                             +-> calls -+-> take_addresses <- their rows
//!                             '          '-> finish: what is left is of nobody known
//! ```

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::{Map, Value};
use weir_policy::edges::{Edge, EdgeEnd, EdgeSet, PodEnd, Strength, WorkloadKey};

use crate::called::PINGS;

/// Kinds of ends that no cluster knows.
const OUTSIDE: &str = r#"["internet", "private", ""]"#;

/// A row of an answer: names and values; what is not known is left out.
pub type Row = Map<String, Value>;

/// What a call to or from outside is told by: the end in the cluster, whether that is the
/// client, and protocol and port.
type OutsideCall = (EdgeEnd, bool, u8, u16);

/// Rows on their way to edges.
#[derive(Debug, Default)]
pub struct Gathering {
    edges: EdgeSet,
    /// Those of which the matrix has no address, and how many records are of the client's packets.
    outside: HashMap<OutsideCall, (Edge, u64)>,
}

/// Sums over records that tell addresses outside: which flows, and grouped by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressQuestion {
    /// In the filter language.
    pub filter: String,
    /// Fields.
    pub group_by: Vec<String>,
    /// The end in the cluster is the client.
    pub is_client: bool,
}

impl Gathering {
    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        self.edges.edges().is_empty() && self.outside.is_empty()
    }

    /// One row of a matrix by pod or workload, with ports.
    pub fn take(&mut self, row: &Row) {
        let (client, server) = (end(row, ""), end(row, "dst_"));
        let protocol = protocol(&text(row, "protocol"));
        let port = port(row, protocol);
        let unknown = self.edges.end(EdgeEnd::Unknown);
        let edge = Edge {
            client: unknown,
            server: unknown,
            protocol,
            port: port.unwrap_or(0),
            flows: number(row, "flows").saturating_add(number(row, "reverse_flows")),
            bytes: number(row, "bytes").saturating_add(number(row, "reverse_bytes")),
            first: time(row, "first_seen"),
            last: time(row, "last_seen"),
            // Many ports at once, put together: whatever rests on one of them is not known.
            strength: match port {
                Some(_) => strength(&text(row, "strength")),
                None => Strength::Unknown,
            },
            answered: number(row, "reverse_flows") > 0,
        };
        match (client, server) {
            (Some(client), Some(server)) => {
                let (client, server) = (self.edges.end(client), self.edges.end(server));
                self.edges.push(Edge {
                    client,
                    server,
                    ..edge
                });
            }
            (Some(end), None) => self.keep((end, true, protocol, edge.port), edge, number(row, "flows")),
            (None, Some(end)) => self.keep((end, false, protocol, edge.port), edge, number(row, "flows")),
            // Nobody's pod has a part in it.
            (None, None) => {}
        }
    }

    fn keep(&mut self, call: OutsideCall, edge: Edge, sent: u64) {
        let (known, flows) = self.outside.entry(call).or_insert((
            Edge {
                flows: 0,
                bytes: 0,
                answered: false,
                ..edge
            },
            0,
        ));
        *flows = flows.saturating_add(sent);
        known.flows = known.flows.saturating_add(edge.flows);
        known.bytes = known.bytes.saturating_add(edge.bytes);
        known.answered |= edge.answered;
        known.strength = known.strength.max(edge.strength);
        known.first = known.first.min(edge.first);
        known.last = known.last.max(edge.last);
    }

    /// What tells the addresses outside: of servers where the client is in the cluster, else
    /// of clients; none where nobody outside was called, or called.
    pub fn outside_of(&self, filter: &str, is_client: bool) -> Option<AddressQuestion> {
        if !self.outside.keys().any(|(_, client, ..)| *client == is_client) {
            return None;
        }
        let (known, outside) = sides(is_client);
        let only = format!(
            r#"server == "dst" && {outside}ns == "" && {outside}workload_kind in {OUTSIDE} && ({known}ns != "" || {known}workload_kind == "Node")"#
        );
        let group_by = [
            format!("{known}ns"),
            format!("{known}workload_kind"),
            format!("{known}workload_name"),
            format!("{known}pod_name"),
            format!("{outside}addr"),
            format!("{outside}subnet_label"),
            "dst_port".to_owned(),
            "proto".to_owned(),
        ];
        Some(AddressQuestion {
            filter: match filter {
                "" => only,
                filter => format!("{only} && ({filter})"),
            },
            group_by: group_by.to_vec(),
            is_client,
        })
    }

    /// Takes the rows of such a question.
    pub fn take_addresses<'r>(&mut self, is_client: bool, rows: impl IntoIterator<Item = &'r Row>) {
        for row in rows {
            self.take_address(is_client, row);
        }
        // What is left of a call went to addresses that are not known any more.
        self.outside
            .retain(|call, (_, flows)| call.1 != is_client || *flows > 0);
    }

    fn take_address(&mut self, is_client: bool, row: &Row) {
        let (known_side, outside) = sides(is_client);
        let address = text(row, &format!("{outside}addr")).parse::<IpAddr>();
        let (Ok(address), Some(mut known)) = (address, end(row, known_side)) else {
            return;
        };
        let protocol = number(row, "proto") as u8;
        let port = port(row, protocol).unwrap_or(0);
        let mut call = (known.clone(), is_client, protocol, port);
        // Where the matrix was by workload, pods count for theirs.
        if !self.outside.contains_key(&call)
            && let EdgeEnd::Pod(pod) = &mut known
        {
            pod.name.clear();
            call.0 = known.clone();
        }
        let Some((told, flows)) = self.outside.get_mut(&call) else {
            return;
        };
        *flows = flows.saturating_sub(number(row, "flows"));
        let edge = Edge {
            flows: number(row, "flows"),
            bytes: number(row, "bytes"),
            first: time(row, "first_seen"),
            last: time(row, "last_seen"),
            ..*told
        };
        let outside = EdgeEnd::Outside {
            network: IpNet::from(address),
            subnet_label: text(row, &format!("{outside}subnet_label")),
        };
        self.push(edge, known, outside, is_client);
    }

    fn push(&mut self, edge: Edge, known: EdgeEnd, outside: EdgeEnd, is_client: bool) {
        let (known, outside) = (self.edges.end(known), self.edges.end(outside));
        let (client, server) = match is_client {
            true => (known, outside),
            false => (outside, known),
        };
        self.edges.push(Edge {
            client,
            server,
            ..edge
        });
    }

    /// All of it. What records do not tell any more is somebody outside, nobody knows who.
    pub fn finish(mut self) -> EdgeSet {
        for ((end, is_client, ..), (edge, flows)) in std::mem::take(&mut self.outside) {
            self.push(Edge { flows, ..edge }, end, EdgeEnd::Unknown, is_client);
        }
        self.edges
    }
}

/// Sums over records whose packets the switch dropped on their way to the server.
pub fn dropped_question(filter: &str) -> (String, Vec<String>) {
    let only = r#"server == "dst" && verdict == "dropped""#;
    let sides = ["", "dst_"].into_iter().flat_map(|side| {
        [
            "ns",
            "workload_kind",
            "workload_name",
            "pod_name",
            "addr",
            "subnet_label",
        ]
        .map(|field| format!("{side}{field}"))
    });
    let group_by = sides.chain(["dst_port".to_owned(), "proto".to_owned()]).collect();
    let filter = match filter {
        "" => only.to_owned(),
        filter => format!("{only} && ({filter})"),
    };
    (filter, group_by)
}

/// The rows of such a question as edges: who called, and was not let through.
pub fn dropped<'r>(rows: impl IntoIterator<Item = &'r Row>) -> EdgeSet {
    let mut edges = EdgeSet::default();
    for row in rows {
        let protocol = number(row, "proto") as u8;
        let (client, server) = (end_with_address(row, ""), end_with_address(row, "dst_"));
        let (client, server) = (edges.end(client), edges.end(server));
        edges.push(Edge {
            client,
            server,
            protocol,
            port: port(row, protocol).unwrap_or(0),
            flows: number(row, "flows"),
            bytes: number(row, "bytes"),
            first: time(row, "first_seen"),
            last: time(row, "last_seen"),
            strength: Strength::Likely,
            answered: false,
        });
    }
    edges
}

/// The end of a row of records, which have its address.
fn end_with_address(row: &Row, side: &str) -> EdgeEnd {
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
const fn sides(is_client: bool) -> (&'static str, &'static str) {
    if is_client { ("", "dst_") } else { ("dst_", "") }
}

/// The end of a row; none where it is outside of the cluster.
pub(crate) fn end(row: &Row, side: &str) -> Option<EdgeEnd> {
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
pub(crate) fn port(row: &Row, protocol: u8) -> Option<u16> {
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

pub(crate) fn number(row: &Row, name: &str) -> u64 {
    row.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// A time of RFC 3339 in nanoseconds since 1970; 0 if it is none.
pub(crate) fn time(row: &Row, name: &str) -> u64 {
    let time: Option<Timestamp> = text(row, name).parse().ok();
    time.and_then(|time| u64::try_from(time.as_nanosecond()).ok())
        .unwrap_or_default()
}

fn protocol(name: &str) -> u8 {
    let numbers = 0..=u8::MAX;
    numbers
        .into_iter()
        .find(|number| weir_flow::protocol_name(*number) == name)
        .unwrap_or_default()
}

fn strength(word: &str) -> Strength {
    let all = [Strength::Proven, Strength::Likely, Strength::Weak];
    let known = all.into_iter().find(|strength| strength.name() == word);
    known.unwrap_or(Strength::Unknown)
}

#[cfg(test)]
mod tests;
