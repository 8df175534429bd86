//! Whose a datagram is, by its mark and its source address.

use std::net::IpAddr;

use weir_identity::exporters::{Attribution, Exporter, ExporterKey, Exporters, Trust};
use wire::{Protocol, Record, Summary};

use crate::normalise;

/// Open vSwitch numbers the sFlow agents of its bridges from 0. A number that no bridge has is
/// some other agent's of the node, such as hsflowd's (100,000 by default).
const SUB_AGENTS: u32 = 4_096;

/// Whose a datagram is. A mark that OVS alone gives its records proves nothing on those
/// that are not OVS's, and is none.
pub(super) fn attribute<'a>(
    summary: &Summary,
    first: Option<&Record>,
    source: IpAddr,
    exporters: &'a Exporters,
    trust: &Trust,
) -> Attribution<'a> {
    let mark = match summary.protocol {
        Protocol::Ipfix => ExporterKey::of_domain(summary.observation_domain),
        Protocol::Sflow5 => summary.agent.map(ExporterKey::Agent),
        Protocol::NetFlow5 => summary.engine.map(|(kind, id)| ExporterKey::Engine(kind, id)),
        Protocol::NetFlow9 => None,
    };
    // Messages of several domains are of several bridges: none of their marks is of all.
    let others = summary.further_messages.iter();
    let one_domain = others
        .map(|message| message.observation_domain)
        .all(|d| d == summary.observation_domain);
    let mark = mark.filter(|_| one_domain);
    let is_foreign =
        |record: &Record| record.protocol == Protocol::Ipfix && !normalise::has_ovs_shape(record);
    let mut attribution = exporters.resolve(mark, source, trust);
    if first.is_some_and(is_foreign) {
        attribution.claims = None;
    }
    attribution
}

/// Whether a datagram that comes from an exporter's node bears the mark that the exporter
/// was given: other programs of a node send flows, too. One without a mark is not told from
/// them.
pub(super) fn bears_mark_of(summary: &Summary, exporter: &Exporter) -> bool {
    match summary.protocol {
        Protocol::Ipfix => exporter
            .domain
            .is_none_or(|domain| domain == summary.observation_domain),
        Protocol::Sflow5 => {
            let is_agent = exporter.agent.is_none_or(|agent| Some(agent) == summary.agent);
            is_agent && summary.sub_agent < SUB_AGENTS
        }
        Protocol::NetFlow5 => exporter
            .engine
            .is_none_or(|engine| Some(engine) == summary.engine),
        // Open vSwitch does not speak it.
        Protocol::NetFlow9 => false,
    }
}
