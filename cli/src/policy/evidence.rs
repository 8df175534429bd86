//! Who called whom, as policies are held against it: out of the matrix, and for ends outside
//! of the cluster, of which the matrix keeps no addresses, out of the records.

use std::collections::HashMap;
use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use clap::Args;
use ipnet::IpNet;
use jiff::Timestamp;
use weir_collector::api::answer::Row;
use weir_collector::api::params::MOST_GROUPS;
use weir_policy::edges::{Edge, EdgeEnd, EdgeSet, PodEnd, Strength, WorkloadKey};
use weir_query::{MatrixEnds, MatrixRequest, Measure, Question, Since, Until};

use crate::show;
use crate::source::{Source, SourceArgs};
use crate::terminal::{patiently, say};
use crate::time::{SpokenTime, TimeArgs};

/// An echo request, as ports of ICMP are written: type * 256 + code.
const ECHO: [(u8, u16); 2] = [(1, 8 << 8), (58, 128 << 8)];
/// Kinds of ends that no cluster knows.
const OUTSIDE: &str = r#"["internet", "private", ""]"#;

/// Which traffic counts.
#[derive(Debug, Args)]
pub struct EvidenceArgs {
    /// Traffic from when on, see weir flows --help; addresses outside of the cluster are known
    /// for as long as records are kept
    #[arg(long, value_name = "TIME", default_value = "7d", allow_hyphen_values = true)]
    since: SpokenTime,
    /// Until when
    #[arg(
        long,
        value_name = "TIME",
        default_value = "now",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    until: SpokenTime,
    /// Read and show times in UTC, not in the zone of this host or of $TZ
    #[arg(long)]
    utc: bool,
    /// Only traffic that fits this filter, in CEL: the source is the client, the destination the server
    #[arg(long, value_name = "CEL", default_value = "", hide_default_value = true)]
    filter: String,
    #[command(flatten)]
    pub source: SourceArgs,
}

/// What was seen, and what one should know about it.
#[derive(Debug)]
pub struct Evidence {
    /// All of it.
    pub edges: EdgeSet,
    /// The hours that it is of: the start of the first, RFC 3339.
    pub since: String,
    /// The end of the last.
    pub until: String,
}

impl EvidenceArgs {
    /// How times are said.
    pub fn time(&self) -> TimeArgs {
        TimeArgs {
            since: Some(self.since.clone()),
            until: self.until.clone(),
            utc: self.utc,
        }
    }

    /// Asks for all of it.
    ///
    /// # Errors
    /// The question is wrong, or nobody answers.
    pub async fn gather(&self) -> Result<Evidence> {
        let (since, until) = self.time().range()?;
        let source = self.source.open().await?;
        let mut gathered = Gathered::default();
        let (since, until) = gathered.matrix(&source, &self.filter, (since, until)).await?;
        if gathered.edges.edges().is_empty() {
            bail!("no traffic was recorded in that time; weir matrix --since shows what there is");
        }
        // They go into files that are applied: what is no time is no answer.
        for time in [&since, &until] {
            let parsed = time.parse::<Timestamp>();
            parsed.with_context(|| format!("the collector says {time:?} for a time"))?;
        }
        Ok(Evidence {
            edges: gathered.edges,
            since,
            until,
        })
    }
}

/// What a call to or from outside is told by: the end in the cluster, whether that is the
/// client, and protocol and port.
type OutsideCall = (EdgeEnd, bool, u8, u16);

#[derive(Debug, Default)]
struct Gathered {
    edges: EdgeSet,
    /// Those of which the matrix has no address, and how many records are of the client's packets.
    outside: HashMap<OutsideCall, (Edge, u64)>,
}

impl Gathered {
    async fn matrix(
        &mut self,
        source: &Source,
        filter: &str,
        (since, until): (Since, Until),
    ) -> Result<(String, String)> {
        let mut request = MatrixRequest {
            filter: filter.to_owned(),
            since,
            until,
            by: MatrixEnds::Pod,
            ports: true,
            limit: Some(MOST_GROUPS),
            ..MatrixRequest::default()
        };
        let mut answer = patiently(source.matrix(&request)).await?;
        if answer.edges > answer.rows.len() {
            // Labels that tell the pods of one workload apart are not seen then.
            request.by = MatrixEnds::Workload;
            answer = patiently(source.matrix(&request)).await?;
            say("note: these are too many pods: traffic is taken by workload");
        }
        show::notes(&answer.notes);
        if answer.edges > answer.rows.len() {
            let (all, some) = (answer.edges, answer.rows.len());
            say(&format!(
                "note: of {all} edges the {some} with most bytes count; ask for less with --filter or --since"
            ));
        }
        answer.rows.iter().for_each(|row| self.take(row));
        // The matrix is of whole hours, and so must be the records.
        let hours = request.hours();
        for is_client in [true, false] {
            self.addresses(source, filter, hours, is_client).await?;
        }
        // What records do not tell any more is somebody outside, nobody knows who.
        let unknown = self.edges.end(EdgeEnd::Unknown);
        for ((end, is_client, ..), (edge, flows)) in std::mem::take(&mut self.outside) {
            let edge = Edge { flows, ..edge };
            let known = self.edges.end(end);
            let (client, server) = if is_client {
                (known, unknown)
            } else {
                (unknown, known)
            };
            self.edges.push(Edge {
                client,
                server,
                ..edge
            });
        }
        Ok((answer.since, answer.until))
    }

    /// One row of the matrix.
    fn take(&mut self, row: &Row) {
        let (client, server) = (end(row, ""), end(row, "dst_"));
        let protocol = protocol(&show::text(row, "protocol"));
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
                Some(_) => strength(&show::text(row, "strength")),
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

    /// Takes the addresses outside from records: of servers where the client is in the
    /// cluster, else of clients.
    async fn addresses(
        &mut self,
        source: &Source,
        filter: &str,
        (since, until): (Since, Until),
        is_client: bool,
    ) -> Result<()> {
        if !self.outside.keys().any(|(_, client, ..)| *client == is_client) {
            return Ok(());
        }
        let (known, outside) = if is_client { ("", "dst_") } else { ("dst_", "") };
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
        let question = Question {
            filter: match filter {
                "" => only,
                filter => format!("{only} && ({filter})"),
            },
            since,
            until,
            group_by: group_by.to_vec(),
            measures: vec![
                Measure::Bytes,
                Measure::Flows,
                Measure::FirstSeen,
                Measure::LastSeen,
            ],
            top: Some(MOST_GROUPS),
            ..Question::default()
        };
        let answer = patiently(source.query(&question)).await?;
        show::notes(&answer.notes);
        for row in &answer.rows {
            let address = show::text(row, &format!("{outside}addr")).parse::<IpAddr>();
            let (Ok(address), Some(mut known)) = (address, end(row, known)) else {
                continue;
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
                continue;
            };
            *flows = flows.saturating_sub(number(row, "flows"));
            let edge = Edge {
                flows: number(row, "flows"),
                bytes: number(row, "bytes"),
                first: time(row, "first_seen"),
                last: time(row, "last_seen"),
                ..*told
            };
            let outside = self.edges.end(EdgeEnd::Outside {
                network: IpNet::from(address),
                subnet_label: show::text(row, &format!("{outside}subnet_label")),
            });
            let known = self.edges.end(known);
            let (client, server) = if is_client {
                (known, outside)
            } else {
                (outside, known)
            };
            self.edges.push(Edge {
                client,
                server,
                ..edge
            });
        }
        // What is left of a call went to addresses that are not known any more.
        self.outside
            .retain(|call, (_, flows)| call.1 != is_client || *flows > 0);
        Ok(())
    }
}

/// The end of a row; none where it is outside of the cluster.
fn end(row: &Row, side: &str) -> Option<EdgeEnd> {
    let text = |name: &str| show::text(row, &format!("{side}{name}"));
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
fn port(row: &Row, protocol: u8) -> Option<u16> {
    let echo = ECHO.iter().find(|(icmp, _)| *icmp == protocol);
    echo.map(|(_, port)| *port)
        .or_else(|| show::text(row, "dst_port").parse().ok())
}

fn number(row: &Row, name: &str) -> u64 {
    show::text(row, name).parse().unwrap_or_default()
}

/// A time of RFC 3339 in nanoseconds since 1970; 0 if it is none.
fn time(row: &Row, name: &str) -> u64 {
    let time: Option<Timestamp> = show::text(row, name).parse().ok();
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
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn row(fields: Value) -> Row {
        Row(serde_json::from_value::<Map<String, Value>>(fields).unwrap())
    }

    #[test]
    fn an_end_is_a_pod_a_node_a_service_or_outside() {
        let shown = |fields: Value| end(&row(fields), "dst_").map(|end| end.to_string());
        let pod = json!({"dst_ns": "shop", "dst_workload_kind": "Deployment", "dst_workload_name": "web",
            "dst_pod_name": "web-1"});
        assert_eq!(shown(pod).as_deref(), Some("shop/deployment/web"));
        let bare = json!({"dst_ns": "shop", "dst_workload_kind": "Pod", "dst_workload_name": "job-1"});
        assert_eq!(shown(bare).as_deref(), Some("shop/job-1"));
        let service = json!({"dst_ns": "shop", "dst_workload_kind": "Service", "dst_workload_name": "web"});
        assert_eq!(shown(service).as_deref(), Some("service shop/web"));
        let node = json!({"dst_ns": "", "dst_workload_kind": "Node", "dst_workload_name": "n1"});
        assert_eq!(shown(node).as_deref(), Some("node n1"));
        let internet = json!({"dst_ns": "", "dst_workload_kind": "internet", "dst_subnet_label": "office"});
        assert_eq!(shown(internet), None);
    }

    #[test]
    fn a_row_is_one_edge_of_both_directions() {
        let mut gathered = Gathered::default();
        let mut fields = json!({
            "ns": "shop", "workload_kind": "Deployment", "workload_name": "web", "pod_name": "web-1",
            "dst_ns": "bank", "dst_workload_kind": "StatefulSet", "dst_workload_name": "db", "dst_pod_name": "db-0",
            "dst_port": 5432, "protocol": "tcp", "flows": 3, "reverse_flows": 2, "bytes": 30, "reverse_bytes": 20,
            "first_seen": "1970-01-01T00:00:01Z", "last_seen": "1970-01-01T00:00:02Z", "strength": "proven",
        });
        gathered.take(&row(fields.clone()));
        let [edge] = gathered.edges.edges() else { panic!() };
        assert_eq!((edge.flows, edge.bytes, edge.answered), (5, 50, true));
        assert_eq!((edge.port, edge.strength), (5432, Strength::Proven));
        assert_eq!((edge.first, edge.last), (1_000_000_000, 2_000_000_000));
        assert_eq!(edge.protocol, 6);
        // One that is outside waits for its address.
        fields["dst_ns"] = json!("");
        fields["dst_workload_kind"] = json!("internet");
        gathered.take(&row(fields));
        assert_eq!((gathered.edges.edges().len(), gathered.outside.len()), (1, 1));
    }
}
