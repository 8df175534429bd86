//! Data of Open vSwitch before its templates: OVS repeats them only every 60 to
//! 600 s, but they follow from the id alone. Owns the forms known in advance and the
//! test whether a data set is of one of them. It is strict, since other exporters
//! use the same ids: the set must be the only one of its message and be used up to
//! the last octet by one record (OVS neither batches nor pads), and what the record
//! says must agree with its id and with itself.

use std::collections::HashMap;
use std::sync::Arc;

use crate::message::Header;
use crate::ovs::{Network, STATISTICS_FIELDS, STATISTICS_TEMPLATE, TemplateKey, Transport};
use crate::plan::Plan;
use crate::protocol::Protocol;
use crate::reader::Reader;
use crate::record::{Direction, Record};
use crate::template::{self, Definition, Field};

/// OVS's templates, compiled when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct Known {
    plans: HashMap<(u16, bool), Option<Arc<Plan>>>,
}

/// What a data set was taken for.
#[derive(Debug)]
pub(crate) enum Assumed {
    /// A flow, which is all that the set has.
    Flow(Box<Record>),
    /// Exporter statistics, to be read by this.
    Statistics(Arc<Plan>),
}

impl Known {
    /// Reads the one record of a data set, if OVS can have sent it.
    pub(crate) fn read(&mut self, id: u16, set: &Reader<'_>, header: Header) -> Option<Assumed> {
        if let Some(plan) = self.statistics(id, set, header.domain) {
            return Some(Assumed::Statistics(plan));
        }
        let key = TemplateKey::of_id(id)?;
        let mut empty = Record::new(header.protocol, header.clock.export_ns);
        empty.observation_domain = Some(header.domain);
        let mut record = Box::new(empty.clone());
        let is_ovs = [false, true].into_iter().any(|virtual_obs_id| {
            let Some(plan) = self.plan(id, virtual_obs_id, || Some(key.fields(virtual_obs_id))) else {
                return false;
            };
            record.as_mut().clone_from(&empty);
            let mut rest = set.clone();
            plan.run(&mut rest, header.clock, &mut record).is_ok() && rest.left() == 0 && agrees(&record, key)
        });
        is_ovs.then_some(Assumed::Flow(record))
    }

    /// The plan of the exporter statistics, if the set can be of them: they come in
    /// domain 0 only.
    fn statistics(&mut self, id: u16, set: &Reader<'_>, domain: u32) -> Option<Arc<Plan>> {
        if id != STATISTICS_TEMPLATE || domain != 0 {
            return None;
        }
        let plan = self.plan(id, false, || Some(STATISTICS_FIELDS.to_vec()))?;
        let mut rest = set.clone();
        (plan.skip(&mut rest).is_ok() && rest.left() == 0).then_some(plan)
    }

    fn plan(
        &mut self,
        id: u16,
        virtual_obs_id: bool,
        fields: impl FnOnce() -> Option<Vec<Field>>,
    ) -> Option<Arc<Plan>> {
        let compiled = || {
            let octets = template::specifier_bytes(&fields()?);
            let scope = usize::from(id == STATISTICS_TEMPLATE);
            let definition = Definition::of_bytes(Protocol::Ipfix, id, scope, scope > 0, &octets);
            Some(Arc::new(Plan::compile(&definition)))
        };
        self.plans
            .entry((id, virtual_obs_id))
            .or_insert_with(compiled)
            .clone()
    }
}

/// Whether the record is about what its template is for, and possible.
fn agrees(record: &Record, key: TemplateKey) -> bool {
    let direction = if key.egress {
        Direction::Egress
    } else {
        Direction::Ingress
    };
    let header = if key.vlan { 18 } else { 14 };
    record.direction == Some(direction)
        && record.ethernet_header_len == Some(header)
        && record.vlan.is_none_or(|vlan| vlan < 4_096)
        && is_network(record, key.network)
        && is_transport(record, key)
        && is_possible(record)
}

fn is_network(record: &Record, network: Network) -> bool {
    match network {
        Network::Other => !matches!(record.ether_type, None | Some(0x0800 | 0x86dd)),
        Network::Ipv4 => (record.ether_type, record.ip_version) == (Some(0x0800), Some(4)),
        Network::Ipv6 => (record.ether_type, record.ip_version) == (Some(0x86dd), Some(6)),
    }
}

fn is_transport(record: &Record, key: TemplateKey) -> bool {
    let icmp = if key.network == Network::Ipv6 { 58 } else { 1 };
    match key.transport {
        Transport::Tcp => record.ip_protocol == Some(6),
        Transport::Udp => record.ip_protocol == Some(17),
        Transport::Sctp => record.ip_protocol == Some(132),
        Transport::Icmp => record.ip_protocol == Some(icmp),
        Transport::Other => ![Some(6), Some(17), Some(132), Some(icmp)].contains(&record.ip_protocol),
    }
}

/// At least one packet, none dropped that was not counted, times in order, an end
/// for a reason, lengths that are not the wrong way round.
fn is_possible(record: &Record) -> bool {
    let packets = record.packets.unwrap_or(0);
    let times = record.start_ns.is_some() && record.start_ns <= record.end_ns;
    packets > 0
        && record.dropped_packets <= Some(packets)
        && record.l2_bytes >= Some(packets)
        && times
        && record.end_ns <= Some(record.export_ns)
        && matches!(record.end_reason, Some(1..=5))
        && record.min_ip_len <= record.max_ip_len
}
