//! Who called whom, as policies are held against it: out of rows of the matrix, and for ends
//! outside of the cluster, of which the matrix keeps no addresses, out of sums over records.
//!
//! ```text
//! rows of the matrix -> take -.          .-> outside_of: which sums over records to ask for
//!                             +-> calls -+-> take_addresses <- their rows
//!                             '          '-> finish: what is left is of nobody known
//! ```

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value};
use weir_policy::edges::{Edge, EdgeEnd, EdgeSet, Strength};

use crate::matrix::{Part, RowEnds};

mod fields;

pub(crate) use fields::text;
use fields::{end, end_with_address, namespace, number, outside_name, port, protocol, sides, strength, time};

/// Kinds of ends that no cluster knows.
const OUTSIDE: &str = r#"["internet", "private", ""]"#;

/// So many namespaces are named in a question; beyond, all are asked for.
const MOST_NAMESPACES: usize = 100;

/// A row of an answer: names and values; what is not known is left out.
pub type Row = Map<String, Value>;

/// What a call to or from outside is told by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct OutsideCall {
    /// In the cluster.
    known: EdgeEnd,
    /// That is the client.
    is_client: bool,
    protocol: u8,
    port: u16,
    /// What the matrix calls the other end: kind and subnet label.
    outside: (String, String),
}

/// What is known of such a call.
#[derive(Debug)]
struct OutsideCalls {
    /// All of it.
    edge: Edge,
    /// How many records of the client's packets went to addresses that are not known yet.
    flows: u64,
    /// No address is known yet. Where answers alone were seen none ever is.
    is_untold: bool,
    /// The row of the matrix.
    row: RowEnds,
}

/// Rows on their way to edges.
#[derive(Debug, Default)]
pub struct Gathering {
    edges: EdgeSet,
    /// Those of which the matrix has no address.
    outside: HashMap<OutsideCall, OutsideCalls>,
    /// Which row each is of, where that is wanted.
    parts: Option<Vec<Part>>,
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
    /// One that remembers which row of the matrix each edge is of.
    pub fn with_parts() -> Self {
        Self {
            parts: Some(Vec::new()),
            ..Self::default()
        }
    }

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
        let row_ends = RowEnds::of(row);
        match (client, server) {
            (Some(client), Some(server)) => {
                let (client, server) = (self.edges.end(client), self.edges.end(server));
                let edge = Edge {
                    client,
                    server,
                    ..edge
                };
                let flows = number(row, "flows");
                self.push(edge, flows, &row_ends);
            }
            (Some(end), None) => self.keep(end, true, edge, row, row_ends),
            (None, Some(end)) => self.keep(end, false, edge, row, row_ends),
            // Nobody's pod has a part in it.
            (None, None) => {}
        }
    }

    fn keep(&mut self, known: EdgeEnd, is_client: bool, edge: Edge, row: &Row, row_ends: RowEnds) {
        let call = OutsideCall {
            known,
            is_client,
            protocol: edge.protocol,
            port: edge.port,
            outside: outside_name(row, sides(is_client).1),
        };
        let calls = self.outside.entry(call).or_insert(OutsideCalls {
            edge: Edge {
                flows: 0,
                bytes: 0,
                answered: false,
                ..edge
            },
            flows: 0,
            is_untold: true,
            row: row_ends,
        });
        calls.flows = calls.flows.saturating_add(number(row, "flows"));
        let known = &mut calls.edge;
        known.flows = known.flows.saturating_add(edge.flows);
        known.bytes = known.bytes.saturating_add(edge.bytes);
        known.answered |= edge.answered;
        known.strength = known.strength.max(edge.strength);
        known.first = known.first.min(edge.first);
        known.last = known.last.max(edge.last);
    }

    /// What tells the addresses outside of all calls there are, whatever the matrix was asked
    /// for: see [`Self::outside_of`].
    pub fn outside_of_all(&self, is_client: bool) -> Option<AddressQuestion> {
        let calls = self.outside.keys().filter(|call| call.is_client == is_client);
        let namespaces: BTreeSet<&str> = calls.map(|call| namespace(&call.known)).collect();
        let (known, _) = sides(is_client);
        let filter = match namespaces.len() {
            0 => return None,
            1..=MOST_NAMESPACES => {
                let names: Vec<Value> = namespaces.into_iter().map(Value::from).collect();
                format!("{known}ns in {}", Value::from(names))
            }
            _ => String::new(),
        };
        self.outside_of(&filter, is_client)
    }

    /// What tells the addresses outside: of servers where the client is in the cluster, else
    /// of clients; none where nobody outside was called, or called.
    pub fn outside_of(&self, filter: &str, is_client: bool) -> Option<AddressQuestion> {
        if !self.outside.keys().any(|call| call.is_client == is_client) {
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
            format!("{outside}workload_kind"),
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
            .retain(|call, calls| call.is_client != is_client || calls.flows > 0 || calls.is_untold);
    }

    fn take_address(&mut self, is_client: bool, row: &Row) {
        let (known_side, outside) = sides(is_client);
        let address = text(row, &format!("{outside}addr")).parse::<IpAddr>();
        let (Ok(address), Some(mut known)) = (address, end(row, known_side)) else {
            return;
        };
        let protocol = number(row, "proto") as u8;
        let mut call = OutsideCall {
            known: known.clone(),
            is_client,
            protocol,
            port: port(row, protocol).unwrap_or(0),
            outside: outside_name(row, outside),
        };
        // Where the matrix was by workload, pods count for theirs.
        if !self.outside.contains_key(&call)
            && let EdgeEnd::Pod(pod) = &mut known
        {
            pod.name.clear();
            call.known = known.clone();
        }
        let Some(calls) = self.outside.get_mut(&call) else {
            return;
        };
        calls.flows = calls.flows.saturating_sub(number(row, "flows"));
        calls.is_untold = false;
        let edge = Edge {
            flows: number(row, "flows"),
            bytes: number(row, "bytes"),
            first: time(row, "first_seen"),
            last: time(row, "last_seen"),
            ..calls.edge
        };
        let of_row = calls.row.clone();
        let outside = EdgeEnd::Outside {
            network: IpNet::from(address),
            subnet_label: call.outside.1,
        };
        self.push_between(edge, known, outside, is_client, &of_row);
    }

    fn push_between(&mut self, edge: Edge, known: EdgeEnd, outside: EdgeEnd, is_client: bool, row: &RowEnds) {
        let (known, outside) = (self.edges.end(known), self.edges.end(outside));
        let (client, server) = match is_client {
            true => (known, outside),
            false => (outside, known),
        };
        let edge = Edge {
            client,
            server,
            ..edge
        };
        self.push(edge, edge.flows, row);
    }

    /// An edge; of its flows so many are the client's.
    fn push(&mut self, edge: Edge, flows: u64, row: &RowEnds) {
        self.edges.push(edge);
        if let Some(parts) = &mut self.parts {
            let (row, edge) = (row.clone(), Edge { flows, ..edge });
            parts.push(Part { row, edge });
        }
    }

    /// All of it, and which row each is of. What records do not tell any more is somebody
    /// outside, nobody knows who.
    pub fn finish(mut self) -> (EdgeSet, Vec<Part>) {
        for (call, calls) in std::mem::take(&mut self.outside) {
            let edge = Edge {
                flows: calls.flows,
                ..calls.edge
            };
            self.push_between(edge, call.known, EdgeEnd::Unknown, call.is_client, &calls.row);
        }
        (self.edges, self.parts.unwrap_or_default())
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

#[cfg(test)]
mod tests;
