//! What comes out: the state of a connection and what was added since its last output.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::Periods;
use crate::connection::{Connection, Service};
use crate::counts::{Biflow, Counts};
use crate::id::ConnectionId;
use crate::key::Socket;
use crate::lines;
use crate::observation::{Evidence, Identity, IdentityKind, Micros};
use crate::tcp::TcpState;

/// One output of a connection. `(id, seq)` names it: whoever sums `delta` over distinct
/// names, or keeps the greatest `seq` of each id, counts each packet once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The connection.
    pub id: ConnectionId,
    /// Which of its outputs, from 1. [`crate::Connections::live`]: the one to come.
    pub seq: u32,
    /// Why it was put out (IPFIX element 136).
    pub reason: Reason,
    /// No other is expected, but for late records.
    pub is_final: bool,
    /// It tells of a record that came after the end.
    pub late: bool,
    /// Its beginning was not seen, or is another connection's end.
    pub midstream: bool,
    /// Network that the addresses are of.
    pub network: Arc<str>,
    /// IANA protocol number.
    pub proto: u8,
    /// Who began.
    pub client: OutputEnd,
    /// Who answered.
    pub server: OutputEnd,
    /// What it rests on which is which.
    pub evidence: Evidence,
    /// The server's address before translation.
    pub service: Option<ServiceAddress>,
    /// First packet.
    pub start: Micros,
    /// Last packet.
    pub end: Micros,
    /// What primary observations added since the last output.
    pub delta: Biflow<Counts>,
    /// What they saw since the connection began.
    pub total: Biflow<Counts>,
    /// No primary observation was sampled.
    pub exact: bool,
    /// Packets that were looked at, of those that were sampled: the error of a total is
    /// about 1.96/sqrt(n) of it.
    pub sampled_packets: u32,
    /// Microseconds that observations since the last output cover.
    pub covered: Micros,
    /// Bits a second of `delta` over that time; `None`: it is an instant.
    pub throughput: Option<Biflow<u64>>,
    /// What the client's node saw; `None`: nothing, or its node is not known.
    pub src_side: Option<SideOutput>,
    /// What the server's node saw.
    pub dst_side: Option<SideOutput>,
    /// Packets that left one node and did not come to the other, where both counted each
    /// of the same time.
    pub lost_packets: Biflow<Option<u64>>,
    /// Counters of connection tracking that began again.
    pub resets: u32,
    /// State of TCP, where something tells it.
    pub tcp_state: Option<TcpState>,
    /// Where its ends are.
    pub flow_type: FlowType,
    /// A record of it ended after it had arrived: a node's clock is wrong.
    pub clock_off: bool,
}

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputEnd {
    /// Address.
    pub addr: Option<IpAddr>,
    /// Transport port. Of ICMP at both ends the echo's identifier or the request's type.
    pub port: u16,
    /// Who it is.
    pub who: Option<Arc<Identity>>,
}

/// A server's address before translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAddress {
    /// The address, and the Service.
    pub end: OutputEnd,
    /// What told that it was translated.
    pub joined_by: JoinedBy,
    /// What of [`Output::delta`] was seen under this address.
    pub delta: Biflow<Counts>,
    /// What of [`Output::total`].
    pub total: Biflow<Counts>,
}

/// What told that an address was translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinedBy {
    /// Connection tracking, which translated it.
    Conntrack,
    /// The same client and port, at the same time, and one endpoint of the Service.
    Service,
}

/// What one node saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SideOutput {
    /// Since the last output.
    pub delta: Biflow<Counts>,
    /// Since the connection began.
    pub total: Biflow<Counts>,
    /// It counted each packet, in one way all the time.
    pub exact: bool,
    /// The last packet that it saw.
    pub end: Micros,
    /// Bits a second of `delta` over the time covered; `None`: it is an instant.
    pub throughput: Option<Biflow<u64>>,
}

/// Why a connection is put out, by the numbers of IPFIX element 136.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Nothing came for so long.
    Idle = 1,
    /// It goes on.
    Active = 2,
    /// Its end was seen.
    End = 3,
    /// The program ends, or its records go on as another connection's.
    Forced = 4,
    /// There was no room.
    LackOfResources = 5,
}

/// Where the ends of a connection are, by the numbers of Antrea's element 137.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum FlowType {
    /// Not known.
    #[default]
    Unknown = 0,
    /// On one node.
    IntraNode = 1,
    /// On two nodes.
    InterNode = 2,
    /// From the cluster to the outside.
    ToExternal = 3,
    /// From the outside into the cluster.
    FromExternal = 4,
}

/// Where an output stands among those of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Others may come.
    Open,
    /// No other is expected.
    Last,
    /// It tells of what came after the last one.
    Late,
}

impl FlowType {
    fn of(client: Option<&Identity>, server: Option<&Identity>) -> Self {
        let inside = |who: &Identity| matches!(who.kind, IdentityKind::Pod | IdentityKind::Node);
        let outside = |who: Option<&Identity>| who.is_none_or(|who| who.kind == IdentityKind::Unknown);
        match (client.filter(|who| inside(who)), server.filter(|who| inside(who))) {
            (Some(client), Some(server)) if client.node.is_empty() || server.node.is_empty() => Self::Unknown,
            (Some(client), Some(server)) if client.node == server.node => Self::IntraNode,
            (Some(_), Some(_)) => Self::InterNode,
            (Some(_), None) if outside(server) => Self::ToExternal,
            (None, Some(_)) if outside(client) => Self::FromExternal,
            _ => Self::Unknown,
        }
    }
}

/// Bits a second.
fn throughput(delta: Biflow<Counts>, micros: u64) -> Option<Biflow<u64>> {
    (micros > 0).then(|| {
        delta.map(|counts| {
            let bits = u128::from(counts.bytes) * 8 * 1_000_000 / u128::from(micros);
            u64::try_from(bits).unwrap_or(u64::MAX)
        })
    })
}

fn end(socket: Socket, who: Option<&Arc<Identity>>) -> OutputEnd {
    OutputEnd {
        addr: socket.address(),
        port: socket.port,
        who: who.cloned(),
    }
}

impl Service {
    fn describe(&self) -> ServiceAddress {
        ServiceAddress {
            end: end(self.server, self.who.as_ref()),
            joined_by: self.joined_by,
            delta: self.totals.since(self.reported),
            total: self.totals,
        }
    }
}

impl Connection {
    /// The output that would come now.
    pub fn describe(&self, cluster: &str, periods: &Periods, reason: Reason, stage: Stage) -> Output {
        let [client, server] = self.ends();
        let total = self.totals().oriented(self.client_high);
        let delta = total.since(self.reported.oriented(self.client_high));
        let covered = self.cover.length();
        let views = self.side_views(&client, &server);
        Output {
            id: self.id(cluster),
            seq: self.seq.saturating_add(1),
            reason,
            is_final: stage != Stage::Open,
            late: stage == Stage::Late,
            midstream: self.midstream,
            network: Arc::clone(&self.network),
            proto: self.tuple.proto,
            flow_type: FlowType::of(client.who.as_deref(), server.who.as_deref()),
            client,
            server,
            evidence: self.evidence,
            service: self.service().map(Service::describe),
            start: self.start,
            end: self.end,
            delta,
            total,
            exact: self.is_exact(),
            sampled_packets: self.sampled_packets,
            covered,
            throughput: throughput(delta, covered),
            src_side: views.forward.map(|view| self.side(view, covered)),
            dst_side: views.reverse.map(|view| self.side(view, covered)),
            lost_packets: self.lost(views, periods),
            resets: self.rare.as_ref().map_or(0, |rare| rare.resets),
            tcp_state: self.tcp_state(),
            clock_off: self.clock_off,
        }
    }

    /// The client and the server.
    fn ends(&self) -> [OutputEnd; 2] {
        [self.client_high, !self.client_high]
            .map(|high| end(self.tuple.end(high), self.who.at(high).as_ref()))
    }

    /// The views of the client's node and the server's.
    fn side_views(&self, client: &OutputEnd, server: &OutputEnd) -> Biflow<Option<usize>> {
        let view = |end: &OutputEnd| {
            let node = end.who.as_ref().map(|who| &who.node)?;
            self.views.of(node).filter(|_| !node.is_empty())
        };
        Biflow {
            forward: view(client),
            reverse: view(server),
        }
    }

    fn side(&self, at: usize, covered: Micros) -> SideOutput {
        let oriented = |of: &dyn Fn(bool) -> Counts| Biflow {
            forward: of(self.client_high),
            reverse: of(!self.client_high),
        };
        let total = oriented(&|high| self.views.total(at, high));
        let reported = self.views.reported(at).oriented(self.client_high);
        let delta = total.since(reported);
        let exact = [false, true]
            .into_iter()
            .all(|high| self.views.seen(at, high).is_none_or(|seen| seen.exact));
        SideOutput {
            delta,
            total,
            exact,
            end: self.last_packet_of(at),
            throughput: throughput(delta, covered),
        }
    }

    /// The last packet that a node saw; where that is too far from the origin, the last
    /// that anybody saw.
    fn last_packet_of(&self, view: usize) -> Micros {
        let end = self
            .views
            .span(view)
            .and_then(|(_, end)| lines::time(self.origin, end));
        end.unwrap_or(self.end)
    }

    /// What one node sent and the other did not get, where both told of the same time.
    fn lost(&self, views: Biflow<Option<usize>>, periods: &Periods) -> Biflow<Option<u64>> {
        let (Some(client), Some(server)) = (views.forward, views.reverse) else {
            return Biflow::default();
        };
        if client == server || self.clock_off {
            return Biflow::default();
        }
        let lost = |from: usize, to: usize, high: bool| {
            let (sent, got) = (self.views.seen(from, high)?, self.views.seen(to, high)?);
            let comparable = sent.exact && got.exact && sent.is_of_the_time_of(&got, periods.tolerance_us);
            comparable.then(|| sent.counts.packets.checked_sub(got.counts.packets))?
        };
        Biflow {
            forward: lost(client, server, self.client_high),
            reverse: lost(server, client, !self.client_high),
        }
    }
}
