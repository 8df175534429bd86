//! Ports of the cluster kinds: `ports` of v1alpha1, `protocols` of later versions.

use serde_json::Value;

use super::super::Reader;
use super::super::object::Object;
use super::Schema;
use crate::facts::Protocol;
use crate::policy::{ClusterPort, PortMatch};

impl Reader {
    /// The ports of a rule; `None` if one of them could not be understood.
    pub(super) fn cluster_ports(
        &mut self,
        rule: &mut Object<'_>,
        schema: Schema,
    ) -> Option<Vec<ClusterPort>> {
        let word = if schema.alpha1 { "ports" } else { "protocols" };
        let place = rule.at(word);
        let given = rule.field(word).is_some();
        let listed = rule.list(word, schema.most, self);
        if given && listed.is_empty() && !schema.alpha1 {
            self.problem(place, "must have at least one item, or be left out");
        }
        listed
            .into_iter()
            .map(|(place, value)| match schema.alpha1 {
                true => self.alpha1_port(value, place),
                false => self.protocol_port(value, place),
            })
            .collect()
    }

    fn alpha1_port(&mut self, value: &Value, place: String) -> Option<ClusterPort> {
        let mut port = Object::new(value, place, self);
        let mut found = Vec::new();
        if let Some(mut one) = port.object("portNumber", self) {
            let protocol = self.protocol(&mut one);
            let number = one.number("port", 1..=u16::MAX, self);
            found.push(
                protocol
                    .zip(number)
                    .map(|(protocol, n)| (protocol, PortMatch::Range(n, n))),
            );
            one.close(self);
        }
        if let Some(mut range) = port.object("portRange", self) {
            let protocol = self.protocol(&mut range);
            let matched = self.range(&mut range);
            found.push(protocol.zip(matched));
            range.close(self);
        }
        let mut found: Vec<_> = found
            .into_iter()
            .map(|port| {
                port.map(|(protocol, port)| ClusterPort {
                    protocol: Some(protocol),
                    port,
                })
            })
            .collect();
        let at = port.at("namedPort");
        if let Some(name) = port.text("namedPort", self) {
            found.push(self.named(name, &at));
        }
        self.only(port, found)
    }

    fn protocol_port(&mut self, value: &Value, place: String) -> Option<ClusterPort> {
        let mut port = Object::new(value, place, self);
        let mut found = Vec::new();
        for (field, protocol) in [
            ("tcp", Protocol::Tcp),
            ("udp", Protocol::Udp),
            ("sctp", Protocol::Sctp),
        ] {
            if let Some(inner) = port.object(field, self) {
                let matched = self.destination_port(inner);
                found.push(matched.map(|port| ClusterPort {
                    protocol: Some(protocol),
                    port,
                }));
            }
        }
        let at = port.at("destinationNamedPort");
        if let Some(name) = port.text("destinationNamedPort", self) {
            found.push(self.named(name, &at));
        }
        self.only(port, found)
    }

    fn named(&mut self, name: &str, place: &str) -> Option<ClusterPort> {
        Some(ClusterPort {
            protocol: None,
            port: PortMatch::Named(self.port_name(name, place)?),
        })
    }

    fn destination_port(&mut self, mut protocol: Object<'_>) -> Option<PortMatch> {
        let Some(mut port) = protocol.object("destinationPort", self) else {
            // The CRD refuses it and the guide reads it so: all ports of the protocol.
            protocol.close(self);
            return Some(PortMatch::All);
        };
        protocol.close(self);
        let number = port.field("number").is_some();
        let range = port.object("range", self);
        let place = port.place().to_owned();
        let matched = match (number, range) {
            (true, None) => port
                .number("number", 1..=u16::MAX, self)
                .map(|n| PortMatch::Range(n, n)),
            (false, Some(mut range)) => {
                let matched = self.range(&mut range);
                range.close(self);
                matched
            }
            _ => {
                self.problem(place, "must have one of number and range");
                None
            }
        };
        port.close(self);
        matched
    }

    fn range(&mut self, range: &mut Object<'_>) -> Option<PortMatch> {
        let (start, end) = (
            range.number("start", 1..=u16::MAX, self),
            range.number("end", 1..=u16::MAX, self),
        );
        match (start, end) {
            (Some(start), Some(end)) if start < end => Some(PortMatch::Range(start, end)),
            _ => {
                self.problem(range.place(), "must have a start and a greater end");
                None
            }
        }
    }

    /// The one thing that was found.
    fn only(&mut self, object: Object<'_>, found: Vec<Option<ClusterPort>>) -> Option<ClusterPort> {
        let place = object.place().to_owned();
        object.close(self);
        match <[Option<ClusterPort>; 1]>::try_from(found) {
            Ok([port]) => port,
            Err(_) => {
                self.problem(place, "must have one field");
                None
            }
        }
    }
}
