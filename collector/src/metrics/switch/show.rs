//! How the counters of switches are written.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{INTERFACE, SwitchCounters, Switches};

const OTHER: &str = "other";
const DIRECTIONS: [&str; 2] = ["in", "out"];
const CASTS: [&str; 3] = ["unicast", "multicast", "broadcast"];
const OUTCOMES: [&str; 3] = ["hit", "miss", "lost"];

/// Where each family's counters stand in one direction of an interface.
const INTERFACE_FAMILIES: [(&str, &str, usize); 3] = [
    ("interface_octets", "Octets by the switch's own count", 0),
    ("interface_discards", "Packets that the interface discarded", 4),
    ("interface_errors", "Packets with errors", 5),
];

/// Labels in the order in which they are written.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

impl Collector for Switches {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let told = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        interfaces(&told, &mut encoder)?;
        datapaths(&told, &mut encoder)?;
        processes(&told, &mut encoder)
    }
}

/// Hands on each interface that is shown, and the others as one.
fn each_interface(
    told: &SwitchCounters,
    mut show: impl FnMut(&str, &str, &[Option<u64>; INTERFACE]) -> Result<(), Error>,
) -> Result<(), Error> {
    for ((node, name), interface) in told.interfaces.iter().filter(|(_, i)| i.is_shown) {
        show(node, name, &interface.counters.totals())?;
    }
    if told.has_other {
        show(OTHER, OTHER, &told.other.map(Some))?;
    }
    Ok(())
}

fn interfaces(told: &SwitchCounters, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    if told.interfaces.is_empty() && !told.has_other {
        return Ok(());
    }
    for (name, help, place) in INTERFACE_FAMILIES {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        each_interface(told, |node, interface, totals| {
            for (way, direction) in DIRECTIONS.into_iter().enumerate() {
                let labels = [("node", node), ("interface", interface), ("direction", direction)];
                counter(&mut family, &labels, totals[way * INTERFACE / 2 + place])?;
            }
            Ok(())
        })?;
    }
    let help = "Packets by the switch's own count";
    let mut family = encoder.encode_descriptor("interface_packets", help, None, MetricType::Counter)?;
    each_interface(told, |node, interface, totals| {
        for (way, direction) in DIRECTIONS.into_iter().enumerate() {
            for (i, cast) in CASTS.into_iter().enumerate() {
                let labels = [
                    ("node", node),
                    ("interface", interface),
                    ("direction", direction),
                    ("cast", cast),
                ];
                counter(&mut family, &labels, totals[way * INTERFACE / 2 + 1 + i])?;
            }
        }
        Ok(())
    })?;
    let help = "Whether the interface is up";
    let mut family = encoder.encode_descriptor("interface_up", help, None, MetricType::Gauge)?;
    for ((node, name), interface) in told.interfaces.iter().filter(|(_, i)| i.is_shown) {
        let labels = [("node", &**node), ("interface", &**name)];
        gauge(&mut family, &labels, i64::from(interface.is_up))?;
    }
    Ok(())
}

fn datapaths(told: &SwitchCounters, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    if told.datapaths.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = told
        .datapaths
        .iter()
        .map(|((node, sub_agent), datapath)| (&**node, sub_agent.to_string(), datapath))
        .collect();
    let help = "Packets by whether the datapath knew their flow, or lost them on the way to ovs-vswitchd";
    let mut family = encoder.encode_descriptor("datapath_packets", help, None, MetricType::Counter)?;
    for (node, sub_agent, datapath) in &names {
        for (outcome, total) in OUTCOMES.into_iter().zip(datapath.counters.totals()) {
            let labels = [("node", *node), ("sub_agent", sub_agent), ("outcome", outcome)];
            counter(&mut family, &labels, total)?;
        }
    }
    let help = "Masks that the datapath tried";
    let mut family = encoder.encode_descriptor("datapath_mask_hits", help, None, MetricType::Counter)?;
    for (node, sub_agent, datapath) in &names {
        let [.., mask_hits] = datapath.counters.totals();
        counter(
            &mut family,
            &[("node", *node), ("sub_agent", sub_agent)],
            mask_hits,
        )?;
    }
    let help = "Flows in the datapath";
    let mut family = encoder.encode_descriptor("datapath_flows", help, None, MetricType::Gauge)?;
    for (node, sub_agent, datapath) in &names {
        let labels = [("node", *node), ("sub_agent", sub_agent)];
        gauge(&mut family, &labels, i64::from(datapath.flows))?;
    }
    let help = "Masks in the datapath";
    let mut family = encoder.encode_descriptor("datapath_masks", help, None, MetricType::Gauge)?;
    for (node, sub_agent, datapath) in &names {
        let labels = [("node", *node), ("sub_agent", sub_agent)];
        gauge(&mut family, &labels, i64::from(datapath.masks))?;
    }
    Ok(())
}

fn processes(told: &SwitchCounters, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    if told.processes.is_empty() {
        return Ok(());
    }
    let help = "Packets that an exporting process could not send to its collectors (IPFIX element 167)";
    let mut family = encoder.encode_descriptor("exporter_not_sent", help, None, MetricType::Counter)?;
    for ((node, process), known) in &told.processes {
        let process = process.to_string();
        let [total] = known.not_sent.totals();
        counter(&mut family, &[("node", &**node), ("process", &process)], total)?;
    }
    Ok(())
}

fn counter<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<'_, N>,
    total: Option<u64>,
) -> Result<(), Error> {
    match total {
        Some(total) => ConstCounter::new(total).encode(family.encode_family(labels)?),
        None => Ok(()),
    }
}

fn gauge<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<'_, N>,
    value: i64,
) -> Result<(), Error> {
    ConstGauge::new(value).encode(family.encode_family(labels)?)
}
