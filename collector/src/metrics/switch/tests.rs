use std::collections::BTreeMap;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use wire::{Decoder, Protocol, Statistics, sniff};

use super::*;
use crate::pcap;

fn exporter(node: &str) -> Exporter {
    Exporter {
        node: node.into(),
        ..Exporter::default()
    }
}

fn sample(name: &str, sequence: u32, octets: u64) -> Counters {
    Counters {
        sequence,
        interface: Some(InterfaceCounters {
            if_index: 7,
            status: 3,
            in_octets: octets,
            in_unicast: u32::MAX,
            out_errors: 1,
            ..InterfaceCounters::default()
        }),
        port_name: name.into(),
        ..Counters::default()
    }
}

fn text(switches: Switches) -> String {
    let mut registry = Registry::with_prefix("weir_collector");
    registry.register_collector(Box::new(switches));
    let mut text = String::new();
    encode(&mut text, &registry).expect("a String takes whatever is written to it");
    text
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
}

#[test]
fn an_interface_shows_what_its_switch_counted() {
    let switches = Switches::default();
    switches.count(
        &exporter("a"),
        &[sample("v1", 1, 100), sample("", 1, 5), sample("v1", 2, 150)],
        0,
    );
    let text = text(switches);
    for line in [
        "weir_collector_interface_octets_total{node=\"a\",interface=\"v1\",direction=\"in\"} 150",
        "weir_collector_interface_octets_total{node=\"a\",interface=\"7\",direction=\"in\"} 5",
        "weir_collector_interface_errors_total{node=\"a\",interface=\"v1\",direction=\"out\"} 1",
        "weir_collector_interface_up{node=\"a\",interface=\"v1\"} 1",
    ] {
        has(&text, line);
    }
    assert!(
        !text.contains("direction=\"in\",cast=\"unicast\""),
        "what is not known is not shown:\n{text}"
    );
}

#[test]
fn any_number_of_interfaces_take_bounded_room_and_what_they_grow_by_is_not_lost() {
    let switches = Switches::default();
    let flood = |sequence, octets| -> Vec<Counters> {
        (0..MAX_TRACKED + 10)
            .map(|n| sample(&n.to_string(), sequence, octets))
            .collect()
    };
    switches.count(&exporter("a"), &flood(1, 1_000), 0);
    switches.count(&exporter("a"), &flood(2, 1_003), 0);
    assert_eq!(switches.0.lock().expect("no panic").interfaces.len(), MAX_TRACKED);
    let text = text(switches);
    let lines = text
        .lines()
        .filter(|l| l.starts_with("weir_collector_interface_octets_total") && l.contains("\"in\""));
    assert_eq!(lines.count(), MAX_SHOWN + 1);
    let rest = 3 * (MAX_TRACKED - MAX_SHOWN);
    has(
        &text,
        &format!(
            "weir_collector_interface_octets_total{{node=\"other\",interface=\"other\",direction=\"in\"}} {rest}"
        ),
    );
}

#[test]
fn a_long_name_is_cut_where_a_character_ends() {
    let switches = Switches::default();
    let name = format!("a{}", "ü".repeat(1_000));
    switches.count(&exporter("a"), &[sample(&name, 1, 1)], 0);
    let shown = format!("interface=\"a{}\"", "ü".repeat(31));
    let text = text(switches);
    assert!(text.contains(&shown), "{text}");
}

#[test]
fn an_interface_that_is_gone_makes_room() {
    let switches = Switches::default();
    switches.count(&exporter("a"), &[sample("old", 1, 1)], 0);
    switches.count(&exporter("a"), &[sample("new", 1, 1)], FORGOTTEN_MS + 1);
    let text = text(switches);
    assert!(text.contains("\"new\"") && !text.contains("\"old\""), "{text}");
}

#[test]
fn the_counters_of_ovs_are_read_from_its_capture() {
    let switches = Switches::default();
    let mut decoder = Decoder::default();
    let (mut datapaths, mut interfaces) = (BTreeMap::new(), BTreeMap::new());
    let sent = pcap::packet_kinds().into_iter();
    for datagram in sent.filter(|d| sniff(&d.payload) == Ok(Protocol::Sflow5)) {
        let summary = decoder
            .decode(datagram.source, 0, &datagram.payload, &mut Vec::new())
            .expect("OVS is well-formed");
        switches.count(&exporter("a"), &summary.counters, 0);
        for sample in summary.counters {
            datapaths.extend(sample.datapath.map(|datapath| (sample.sub_agent, datapath)));
            let octets = sample.interface.map(|interface| interface.in_octets);
            interfaces.extend(octets.map(|octets| (sample.port_name.to_string(), octets)));
        }
    }
    assert!(!datapaths.is_empty() && !interfaces.is_empty());
    let text = text(switches);
    for (sub_agent, told) in datapaths {
        for (outcome, count) in [("hit", told.hits), ("miss", told.misses), ("lost", told.lost)] {
            let labels = format!("{{node=\"a\",sub_agent=\"{sub_agent}\",outcome=\"{outcome}\"}}");
            has(
                &text,
                &format!("weir_collector_datapath_packets_total{labels} {count}"),
            );
        }
        let labels = format!("{{node=\"a\",sub_agent=\"{sub_agent}\"}}");
        has(
            &text,
            &format!("weir_collector_datapath_flows{labels} {}", told.flows),
        );
    }
    for (name, octets) in interfaces {
        let labels = format!("{{node=\"a\",interface=\"{name}\",direction=\"in\"}}");
        has(
            &text,
            &format!("weir_collector_interface_octets_total{labels} {octets}"),
        );
    }
}

#[test]
fn what_an_exporting_process_could_not_send_is_shown() {
    let switches = Switches::default();
    let told = |not_sent_packets| OptionsRecord {
        protocol: Protocol::Ipfix,
        observation_domain: 0,
        export_ns: 0,
        content: Options::Statistics(Statistics {
            exporting_process: Some(3),
            not_sent_packets,
        }),
    };
    switches.learn(&exporter("a"), &[told(5), told(9)], 0);
    switches.learn(&exporter("a"), &[told(9)], 0);
    has(
        &text(switches),
        "weir_collector_exporter_not_sent_total{node=\"a\",process=\"3\"} 9",
    );
}
