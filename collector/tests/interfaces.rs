//! Names that node daemons tell in IPFIX options, put on what Open vSwitch sent, with
//! no other source of names.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::net::{SocketAddr, UdpSocket};

use harness::{Exporter, Paper, assert_sums, eventually, interface_name, metrics, pcap};
use weir_collector::{Collector, Config, NameSource, Sink};

#[tokio::test(flavor = "multi_thread")]
async fn records_of_ovs_are_named_by_the_interface_when_nothing_else_names_them() {
    let paper = Paper::default();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let config = Config {
        listen: vec![any],
        http: any,
        names: NameSource::None,
        sink: Sink::Json(Box::new(paper.clone())),
        ..Config::default()
    };
    let running = Collector::start(config).await.unwrap();
    let (udp, http) = (running.addresses().udp[0], running.addresses().http);
    tokio::task::block_in_place(|| {
        let mut exporter = Exporter::default();
        let datagrams = pcap::ipfix();
        datagrams.iter().for_each(|datagram| exporter.send(datagram, udp));
        eventually("all of it", || {
            let m = metrics(http);
            let read = m["datagrams_decoded_total"] == datagrams.len() as u64;
            (read && m["records_queued"] == 0).then_some(())
        });
        let line = eventually("a record with an interface", || {
            let named = |line: &serde_json::Value| line["if_index"].is_u64() && line["if_name"].is_string();
            paper.lines().into_iter().find(named)
        });
        assert_eq!(
            (&line["pod_name"], &line["identified_by"]),
            (&"".into(), &"".into())
        );

        let number = |field: &str| u32::try_from(line[field].as_u64().unwrap()).unwrap();
        let (domain, interface) = (number("obs_domain_id"), number("if_index"));
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        let said = interface_name(domain, interface, line["if_name"].as_str().unwrap(), "shop/web-1");
        daemon.send_to(&said, udp).unwrap();
        eventually("the name to be known", || {
            (metrics(http)["interfaces_named"] == 1).then_some(())
        });
        let before = paper.lines().len();
        datagrams.iter().for_each(|datagram| exporter.send(datagram, udp));
        let lines = eventually("the records again", || {
            let lines = paper.lines();
            (lines.len() >= 2 * before).then_some(lines)
        });
        let here =
            |line: &&serde_json::Value| line["if_index"] == interface && line["obs_domain_id"] == domain;
        let again = &lines[before..];
        for line in again.iter().filter(here) {
            assert_eq!(
                (&line["ns"], &line["pod_name"]),
                (&"shop".into(), &"web-1".into()),
                "{line}"
            );
            assert_eq!(line["identified_by"], "interface");
        }
        assert!(again.iter().any(|line| here(&line)));
        assert!(
            again
                .iter()
                .filter(|line| !here(line))
                .all(|line| line["pod_name"] == "")
        );
        let counters = metrics(http);
        assert_sums(&counters);
        assert_eq!(counters["sequence_lost_total{format=\"ipfix\"}"], 0);
    });
    running.stop().await.unwrap();
}
