//! One connection against all policies. See the table of docs/policy-semantics.md; the
//! order of the steps is the order in which they count.

use super::question::Question;
use super::snapshot::{Endpoint, EndpointKind, Snapshot};
use crate::policy::{DIRECTIONS, Direction};
use crate::profile::{Hairpin, is_neighbour_talk};
use crate::verdict::{Answer, Reason, Side, Verdict};

/// A connection: who opened it, to whom. A record of replies is that of its connection
/// turned round ([`Connection::of_reply`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection<'a> {
    /// Who opened it.
    pub client: Endpoint,
    /// Who was called: the pod, not its Service.
    pub server: Endpoint,
    /// The protocol of the IP header.
    pub protocol: u8,
    /// The server's port: the pod's, not its Service's. For ICMP type * 256 + code.
    pub port: u16,
    /// The client called a Service.
    pub through_service: bool,
    /// Within the primary network of the pods, the only one that policies are about.
    pub primary_network: bool,
    /// The names for which DNS gave the client this address not longer ago than their
    /// TTL, lower case and without the last dot; `None` where nobody recorded DNS.
    pub domains: Option<&'a [&'a str]>,
}

impl Connection<'_> {
    /// A connection of the primary network to a pod's own address, without DNS records.
    pub fn new(client: Endpoint, server: Endpoint, protocol: u8, port: u16) -> Connection<'static> {
        Connection {
            client,
            server,
            protocol,
            port,
            through_service: false,
            primary_network: true,
            domains: None,
        }
    }

    /// The connection that a record of replies belongs to.
    pub fn of_reply(
        source: Endpoint,
        destination: Endpoint,
        protocol: u8,
        source_port: u16,
    ) -> Connection<'static> {
        Connection::new(destination, source, protocol, source_port)
    }
}

impl Snapshot {
    /// The verdict about a connection.
    pub fn evaluate(&self, connection: &Connection<'_>) -> Verdict {
        let Connection {
            client,
            server,
            protocol,
            port,
            ..
        } = *connection;
        let many = client.kind == EndpointKind::Many || server.kind == EndpointKind::Many;
        if !connection.primary_network || many || is_neighbour_talk(protocol, port) {
            return Verdict::not_judged();
        }
        if client.epoch != self.epoch || server.epoch != self.epoch {
            return Verdict::unknown(Reason::Identity);
        }
        if client.kind == EndpointKind::Service || server.kind == EndpointKind::Service {
            return Verdict::unknown(Reason::Backend);
        }
        let [egress, ingress] = DIRECTIONS.map(|direction| self.side(connection, direction));
        Verdict::of(egress, ingress)
    }

    fn side(&self, connection: &Connection<'_>, direction: Direction) -> Side {
        let (subject, peer) = match direction {
            Direction::Egress => (connection.client, connection.server),
            Direction::Ingress => (connection.server, connection.client),
        };
        match subject.kind {
            EndpointKind::Pod => {}
            EndpointKind::Node => return Side::new(Answer::Allow, Reason::Host),
            _ => return Side::new(Answer::Allow, Reason::External),
        }
        let to_itself = peer.kind == EndpointKind::Pod && subject.pod == peer.pod;
        if to_itself && let Some(side) = self.without_rules(connection, direction) {
            return side;
        }
        let mut side = match self.question(connection, direction, subject, peer) {
            Some(question) => question.answer(),
            None => Side::new(Answer::Allow, Reason::Default),
        };
        if to_itself && side.answer == Answer::Deny && self.profile.hairpin() == Hairpin::Unsaid {
            side = Side {
                answer: Answer::Unknown,
                reason: Reason::Backend,
                ..side
            };
        }
        side.notes.rewritten |= connection.client.kind == EndpointKind::Node && side.reason != Reason::Node;
        side
    }

    /// A pod reaches itself; through a Service the CNI says how.
    fn without_rules(&self, connection: &Connection<'_>, direction: Direction) -> Option<Side> {
        let open = Side::new(Answer::Allow, Reason::SelfPod);
        match (connection.through_service, self.profile.hairpin(), direction) {
            (false, ..) => Some(open),
            (true, Hairpin::Allowed, _) | (true, Hairpin::EgressRules, Direction::Ingress) => {
                Some(open.by_profile())
            }
            (true, Hairpin::Unsaid | Hairpin::EgressRules, _) => None,
        }
    }

    /// `None` where no policy is about the subject.
    pub(super) fn question<'s>(
        &'s self,
        connection: &'s Connection<'s>,
        direction: Direction,
        subject: Endpoint,
        peer: Endpoint,
    ) -> Option<Question<'s>> {
        let tables = &self.tables[direction as usize];
        let list = tables.list(subject.group)?;
        Some(Question {
            snapshot: self,
            connection,
            direction,
            subject,
            peer,
            rules: tables.rules(),
            special: tables.special(),
            list,
            peer_row: tables.peers.row(peer.class),
            port_row: tables
                .ports
                .row(self.ports.class(connection.protocol, connection.port)),
        })
    }
}
