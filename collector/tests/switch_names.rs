//! Names out of a real ovsdb-server, without Kubernetes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::net::SocketAddr;

use harness::database::Database;
use harness::{Exporter, Paper, eventually, get, metrics, pcap};
use weir_collector::{Collector, Config, NameSource, Sink, SwitchSources};

/// The capture's switch: two pods, and exporters with the marks that its records bear.
fn describe(database: &Database, mark: &wire::Record) {
    database.vsctl("set Open_vSwitch . external_ids:hostname=node-a external_ids:ovn-encap-ip=192.0.2.1");
    database.vsctl("add-br br-int");
    for (port, pod, address) in [
        ("v1", "shop_client", "10.128.0.1"),
        ("v2", "shop_server", "10.128.0.2"),
    ] {
        database.vsctl(&format!("add-port br-int {port}"));
        database.vsctl(&format!(
            "set Interface {port} external_ids:iface-id={pod} external_ids:ip_addresses={address}/23"
        ));
    }
    let (kind, id) = (mark.engine_type.unwrap(), mark.engine_id.unwrap());
    database.vsctl(&format!(
        "-- --id=@n create NetFlow targets=\"127.0.0.1:1\" engine_type={kind} engine_id={id} \
         -- set Bridge br-int netflow=@n"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_named_by_the_switch_and_a_renamed_pod_follows() {
    let netflow = pcap::netflow();
    let mut raw = Vec::new();
    let first = &netflow[0];
    wire::Decoder::default()
        .decode(first.source, 0, &first.payload, &mut raw)
        .unwrap();
    let database = tokio::task::block_in_place(|| Database::start("switch"));
    tokio::task::block_in_place(|| describe(&database, &raw[0]));

    let paper = Paper::default();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let names = NameSource::Switches(SwitchSources {
        endpoints: vec![database.endpoint().parse().unwrap()],
        node_name: None,
        northbound: None,
    });
    let sink = Sink::Json(Box::new(paper.clone()));
    let config = Config {
        listen: vec![any],
        http: any,
        names,
        sink,
        ..Config::default()
    };
    let running = Collector::start(config).await.unwrap();
    let (udp, http) = (running.addresses().udp[0], running.addresses().http);
    tokio::task::block_in_place(|| {
        eventually("the names to be read", || {
            (get(http, "/readyz").0 == 200).then_some(())
        });
        let mut exporter = Exporter::default();
        exporter.send(first, udp);
        eventually("records", || {
            (metrics(http)["records_stored_total"] >= raw.len() as u64).then_some(())
        });

        let lines = paper.lines();
        let line = lines
            .iter()
            .find(|l| l["addr"] == "10.128.0.1")
            .expect("a record from the first pod");
        assert_eq!(
            (&line["pod_name"], &line["ns"]),
            (&"client".into(), &"shop".into())
        );
        assert_eq!(
            (&line["dst_pod_name"], &line["dst_node_name"]),
            (&"server".into(), &"node-a".into())
        );
        assert_eq!(
            (&line["exporter_node"], &line["sampling"]),
            (&"node-a".into(), &1.into())
        );
        let record = raw
            .iter()
            .find(|r| r.src_addr == Some([10, 128, 0, 1].into()))
            .unwrap();
        let bytes = record.bytes.unwrap() - 14 * record.packets.unwrap();
        assert!(
            lines.iter().any(|l| l["bytes"] == bytes),
            "known exporters' NetFlow is corrected"
        );

        database.vsctl("set Interface v1 external_ids:iface-id=shop_renamed");
        eventually("the new name", || {
            exporter.send(first, udp);
            paper
                .lines()
                .iter()
                .any(|l| l["pod_name"] == "renamed")
                .then_some(())
        });
    });
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_database_is_told_by_readiness_and_records_still_flow() {
    let paper = Paper::default();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let nowhere = std::env::temp_dir().join(format!("weir-collector-none-{}.sock", std::process::id()));
    let endpoint = format!("unix:{}", nowhere.display()).parse().unwrap();
    let names = NameSource::Switches(SwitchSources {
        endpoints: vec![endpoint],
        node_name: None,
        northbound: None,
    });
    let sink = Sink::Json(Box::new(paper.clone()));
    let config = Config {
        listen: vec![any],
        http: any,
        names,
        sink,
        ..Config::default()
    };
    let running = Collector::start(config).await.unwrap();
    let (udp, http) = (running.addresses().udp[0], running.addresses().http);
    tokio::task::block_in_place(|| {
        eventually("the reason", || {
            get(http, "/readyz").1.contains("Down").then_some(())
        });
        assert_eq!(get(http, "/readyz").0, 503);
        Exporter::default().send(&pcap::netflow()[0], udp);
        eventually("a record", || paper.lines().first().cloned());
    });
    running.stop().await.unwrap();
}
