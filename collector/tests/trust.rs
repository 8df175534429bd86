//! Whose word counts: real datagrams of strangers, relays and nodes against a collector
//! that knows one node from a real OVSDB. Each node-like thing that a stranger says is
//! tried.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use harness::database::Database;
use harness::{Paper, assert_sums, eventually, get, interface_name, metrics, pcap};
use serde_json::Value;
use weir_collector::{Collector, Config, ExporterPolicy, NameSource, Running, Sink, SwitchSources};
use weir_identity::exporters::Trust;
use wire::Field;
use wire::encode::{Body, Ipfix, NetFlow9};

/// The node sends from here: its database is a socket on this machine.
const NODE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const RELAY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const ROUTER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

struct Stage {
    running: Running,
    paper: Paper,
    _database: Database,
    /// Datagrams sent so far.
    sent: u64,
}

impl Stage {
    /// A collector that knows node-a, with the marks that the capture's records bear.
    async fn start(name: &str) -> Self {
        let database = tokio::task::block_in_place(|| {
            let database = Database::start(name);
            describe(&database);
            database
        });
        let paper = Paper::default();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let config = Config {
            listen: vec![any],
            http: any,
            names: NameSource::Switches(SwitchSources {
                endpoints: vec![database.endpoint().parse().unwrap()],
                ..SwitchSources::default()
            }),
            exporters: ExporterPolicy {
                trust: Trust {
                    relays: vec![IpAddr::from(RELAY).into()],
                    ..Trust::default()
                },
                roles: ["127.0.0.5=core", "127.0.0.6=ignore"]
                    .iter()
                    .map(|rule| rule.parse::<weir_collector::roles::RoleRule>().unwrap())
                    .collect(),
            },
            sink: Sink::Json(Box::new(paper.clone())),
            ..Config::default()
        };
        let running = Collector::start(config).await.unwrap();
        let http = running.addresses().http;
        tokio::task::block_in_place(|| {
            eventually("the names to be read", || {
                (get(http, "/readyz").0 == 200).then_some(())
            });
        });
        Self {
            running,
            paper,
            _database: database,
            sent: 0,
        }
    }

    /// Sends these from one socket with this address, and returns the records that came
    /// out.
    fn send<'a>(&mut self, from: Ipv4Addr, datagrams: impl IntoIterator<Item = &'a [u8]>) -> Vec<Value> {
        let before = self.paper.lines().len();
        let http = self.running.addresses().http;
        let socket = UdpSocket::bind((from, 0)).unwrap();
        for datagram in datagrams {
            socket.send_to(datagram, self.running.addresses().udp[0]).unwrap();
            self.sent += 1;
            let all = self.sent;
            eventually("the datagram", || {
                (metrics(http)["datagrams_received_total"] == all).then_some(())
            });
        }
        let m = eventually("the queue to run empty", || {
            Some(metrics(http)).filter(|m| m["records_queued"] == 0)
        });
        assert_sums(&m);
        self.paper.lines().split_off(before)
    }

    fn metric(&self, name: &str) -> u64 {
        metrics(self.running.addresses().http)[name]
    }

    fn exporter(&self, address: Ipv4Addr) -> Value {
        let (status, body) = get(self.running.addresses().http, "/api/v1/exporters");
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let all = answer["exporters"].as_array().unwrap();
        let found = all.iter().find(|e| e["address"] == address.to_string());
        found.unwrap_or_else(|| panic!("{address} in {body}")).clone()
    }
}

fn raw(datagram: &pcap::Datagram) -> Vec<wire::Record> {
    let mut records = Vec::new();
    let mut decoder = wire::Decoder::default();
    decoder
        .decode(datagram.source, 0, &datagram.payload, &mut records)
        .unwrap();
    records
}

/// The observation domain of the bridge; that of the capture is 0, which marks nobody.
const DOMAIN: u32 = 7;

/// A datagram of the capture with IPFIX data of a pod, and its first record.
fn ipfix() -> (Vec<u8>, wire::Record) {
    let mut found = pcap::ipfix().into_iter().filter_map(|mut datagram| {
        // RFC 7011 §3.1: the domain ends the header.
        datagram.payload[12..16].copy_from_slice(&DOMAIN.to_be_bytes());
        let record = raw(&datagram).into_iter().next()?;
        let named = record.in_if.is_some_and(|n| n != 0) && !record.in_if_name.is_empty();
        (named && record.src_addr.is_some()).then_some((datagram.payload, record))
    });
    found.next().expect("a record that names its interface")
}

fn describe(database: &Database) {
    let netflow = &raw(&pcap::netflow()[0])[0];
    let (kind, id) = (netflow.engine_type.unwrap(), netflow.engine_id.unwrap());
    let record = ipfix().1;
    let (domain, port) = (DOMAIN, record.in_if_name);
    let address = record.src_addr.unwrap();
    database.vsctl("set Open_vSwitch . external_ids:hostname=node-a external_ids:ovn-encap-ip=192.0.2.1");
    database.vsctl("add-br br-int");
    database.vsctl(&format!("add-port br-int {port}"));
    database.vsctl(&format!(
        "set Interface {port} external_ids:iface-id=shop_client external_ids:ip_addresses={address}"
    ));
    database.vsctl(&format!(
        "-- --id=@n create NetFlow targets=\"127.0.0.1:1\" engine_type={kind} engine_id={id} \
         -- --id=@i create IPFIX targets=\"127.0.0.1:1\" obs_domain_id={domain} obs_point_id=1 sampling=1 \
         -- set Bridge br-int netflow=@n ipfix=@i"
    ));
}

/// A flow of 10 packets and 1,000 bytes in NetFlow v5.
fn netflow5(engine: (u8, u8), sampling: u16) -> Vec<u8> {
    let mut data = Body::default();
    data.u16(5).u16(1).u32(100_000).u32(1_795_196_542).u32(0).u32(0);
    data.u8(engine.0).u8(engine.1).u16(sampling);
    data.u32(0x0a01_0101).u32(0x0a02_0202).u32(0).u16(3).u16(4);
    data.u32(10).u32(1_000).u32(90_000).u32(99_000);
    data.u16(1234).u16(443).u8(0).u8(0x18).u8(6).u8(0);
    data.u16(0).u16(0).u8(0).u8(0).u16(0);
    data.into_bytes()
}

/// The same flow in IPFIX or NetFlow v9, with its sampling (IE 34) and direction.
fn fields() -> Vec<Field> {
    let ids = [
        (8, 4),
        (12, 4),
        (7, 2),
        (11, 2),
        (4, 1),
        (1, 4),
        (2, 4),
        (34, 4),
        (61, 1),
    ];
    ids.iter().map(|&(id, width)| Field::iana(id, width)).collect()
}

fn values(sampling: u32, direction: u8) -> Vec<u8> {
    let mut data = Body::default();
    data.u32(0x0a01_0101).u32(0x0a02_0202).u16(1234).u16(443).u8(6);
    data.u32(1_000).u32(10).u32(sampling).u8(direction);
    data.into_bytes()
}

fn foreign_ipfix(domain: u32, sampling: u32) -> Vec<u8> {
    Ipfix::new(1_795_196_542, 0, domain)
        .template(256, &fields())
        .set(256, &values(sampling, 0))
        .encode()
}

fn netflow9(sequence: u32, sampling: u32, direction: u8) -> Vec<u8> {
    NetFlow9::new(2, 100_000, 1_795_196_542, sequence, 0)
        .template(256, &fields())
        .set(256, &values(sampling, direction))
        .encode()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_the_marks_of_a_node_is_not_the_node() {
    let mut stage = Stage::start("marks").await;
    let netflow = pcap::netflow()[0].clone();
    tokio::task::block_in_place(|| {
        let bytes = |from: Ipv4Addr, stage: &mut Stage| {
            let lines = stage.send(from, [netflow.payload.as_slice()]);
            assert!(!lines.is_empty());
            let node = lines[0]["exporter_node"].clone();
            assert!(lines.iter().all(|line| line["exporter_node"] == node));
            let sum: u64 = lines.iter().filter_map(|line| line["bytes"].as_u64()).sum();
            (node, sum)
        };
        let records = raw(&netflow);
        let stated: u64 = records.iter().filter_map(|r| r.bytes).sum();
        let packets: u64 = records.iter().filter_map(|r| r.packets).sum();
        assert_eq!(bytes(STRANGER, &mut stage), ("".into(), stated));
        assert_eq!(stage.metric("unproven_marks_total"), 1);
        let counted = stage.exporter(STRANGER);
        assert_eq!(
            (&counted["standing"], &counted["claims"], &counted["node"]),
            (&"stranger".into(), &"node-a".into(), &"".into())
        );
        let corrected = stated - 14 * packets;
        assert_eq!(bytes(NODE, &mut stage), ("node-a".into(), corrected));
        assert_eq!(bytes(RELAY, &mut stage), ("node-a".into(), corrected));
        assert_eq!(stage.metric("unproven_marks_total"), 1, "those are proven");
        assert_eq!(stage.exporter(RELAY)["standing"], "relay");
        assert_eq!(
            (&stage.exporter(NODE)["node"], &stage.exporter(NODE)["ovs"]),
            (&"node-a".into(), &true.into())
        );
    });
    stage.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_cannot_rename_the_pods_of_a_node_and_the_node_can() {
    let mut stage = Stage::start("rename").await;
    tokio::task::block_in_place(|| {
        let (data, record) = ipfix();
        let (domain, interface) = (DOMAIN, record.in_if.unwrap());
        let port = record.in_if_name.as_str();
        let lie = interface_name(domain, interface, port, "kube-system/apiserver");
        let named = |stage: &mut Stage, from| {
            let lines = stage.send(from, [data.as_slice()]);
            (lines[0]["ns"].clone(), lines[0]["pod_name"].clone())
        };
        let honest = ("shop".into(), "client".into());
        assert_eq!(named(&mut stage, NODE), honest);
        for from in [STRANGER, ROUTER] {
            stage.send(from, [lie.as_slice()]);
        }
        assert_eq!(stage.metric("interface_names_refused_total"), 2);
        assert_eq!(stage.metric("interfaces_named"), 0);
        assert_eq!(stage.exporter(STRANGER)["options_refused"], 1);
        assert_eq!(named(&mut stage, NODE), honest);
        assert_eq!(
            named(&mut stage, STRANGER).1,
            Value::from("client"),
            "not even its own"
        );
        // What its node says is believed, and through the relay likewise.
        let word = interface_name(domain, interface, port, "shop/told");
        stage.send(NODE, [word.as_slice()]);
        assert_eq!(stage.metric("interfaces_named"), 1);
        assert_eq!(named(&mut stage, NODE), ("shop".into(), "told".into()));
        let word = interface_name(domain, interface, port, "shop/relayed");
        stage.send(RELAY, [word.as_slice()]);
        assert_eq!(named(&mut stage, NODE), ("shop".into(), "relayed".into()));
        assert_eq!(stage.metric("interface_names_refused_total"), 2);
    });
    stage.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ovs_keeps_its_bytes_and_its_sampling_whatever_its_mark() {
    let mut stage = Stage::start("foreign").await;
    tokio::task::block_in_place(|| {
        let mark = raw(&pcap::netflow()[0])[0].clone();
        let engine = (mark.engine_type.unwrap(), mark.engine_id.unwrap());
        let counted = |stage: &mut Stage, from, datagram: Vec<u8>| {
            let lines = stage.send(from, [datagram.as_slice()]);
            assert_eq!(lines.len(), 1);
            let field = |name: &str| lines[0][name].as_u64();
            let node = lines[0]["exporter_node"].as_str().unwrap().to_owned();
            (node, field("bytes"), field("packets"), field("sampling"))
        };
        let scaled = |node: &str| (node.to_owned(), Some(100_000), Some(1_000), Some(100));
        // Sampling mode 1 stands above the 14 bits of the interval.
        let router = netflow5(engine, 1 << 14 | 100);
        assert_eq!(counted(&mut stage, ROUTER, router), scaled(""));
        assert_eq!(
            counted(&mut stage, ROUTER, foreign_ipfix(DOMAIN, 100)),
            scaled("")
        );
        assert_eq!(counted(&mut stage, ROUTER, netflow9(0, 100, 0)), scaled(""));
        // At a node's address it is the node's, and no OVS all the same.
        assert_eq!(counted(&mut stage, NODE, netflow9(0, 100, 0)), scaled("node-a"));
        assert_eq!(
            counted(&mut stage, NODE, foreign_ipfix(DOMAIN, 100)),
            scaled("node-a")
        );
        let claims = &stage.exporter(ROUTER)["unproven_marks"];
        assert_eq!(claims, 1, "IPFIX that is not OVS's bears no mark");
    });
    stage.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_counts_once_and_as_its_role_says() {
    let mut stage = Stage::start("roles").await;
    tokio::task::block_in_place(|| {
        let primary = |stage: &mut Stage, from: Ipv4Addr, direction| {
            let lines = stage.send(from, [netflow9(0, 1, direction).as_slice()]);
            lines
                .iter()
                .map(|line| line["primary"] == true)
                .collect::<Vec<_>>()
        };
        assert_eq!(primary(&mut stage, ROUTER, 1), [true], "it meters egress alone");
        assert_eq!(primary(&mut stage, STRANGER, 0), [true]);
        assert_eq!(primary(&mut stage, STRANGER, 1), [false], "it came in before");
        let core = Ipv4Addr::new(127, 0, 0, 5);
        assert_eq!(primary(&mut stage, core, 0), [false]);
        let ignored = Ipv4Addr::new(127, 0, 0, 6);
        assert!(primary(&mut stage, ignored, 0).is_empty());
        let key = "datagrams_rejected_total{reason=\"ignored\"}";
        assert_eq!(stage.metric(key), 1);
        assert_eq!(stage.exporter(core)["role"], "core");
        assert_eq!(stage.exporter(ignored)["role"], "ignore");
        let (_, body) = get(stage.running.addresses().http, "/api/v1/exporters");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["without_role"], 2, "the router and the stranger");
    });
    stage.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_samplers_leaves_the_routers_records_scaled() {
    let mut stage = Stage::start("samplers").await;
    tokio::task::block_in_place(|| {
        let sampler = |source_id: u32, count: u32, rate: u32| {
            let mut data = Body::default();
            for id in 0..count {
                data.u32(0).u32(id).u8(2).u32(rate);
            }
            let sampler = [(48, 4), (49, 1), (50, 4)].map(|(id, width)| Field::iana(id, width));
            NetFlow9::new(2, 0, 0, 0, source_id)
                .options_template(300, &[Field::iana(1, 4)], &sampler)
                .set(300, &data.into_bytes())
                .encode()
        };
        let flow = |source_id: u32| {
            let mut data = Body::default();
            data.u32(1_000).u32(1);
            NetFlow9::new(2, 0, 0, 1, source_id)
                .template(256, &[Field::iana(1, 4), Field::iana(48, 4)])
                .set(256, &data.into_bytes())
                .encode()
        };
        // Told in source id 6, the data are in source id 0, from another port.
        stage.send(ROUTER, [sampler(6, 2, 100).as_slice()]);
        for n in 0..100 {
            let flood = [sampler(n, 90, 7), sampler(n + 1_000, 90, 7)];
            stage.send(STRANGER, flood.iter().map(Vec::as_slice));
        }
        let lines = stage.send(ROUTER, [flow(0).as_slice()]);
        assert_eq!(
            (&lines[0]["bytes"], &lines[0]["sampling"]),
            (&100_000.into(), &100.into())
        );
        assert_eq!(stage.metric("unscaled_records_total"), 0);
    });
    stage.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told_under_its_exporter_with_the_reason() {
    let mut stage = Stage::start("refused").await;
    tokio::task::block_in_place(|| {
        let short = &netflow5((0, 0), 0)[..60];
        stage.send(ROUTER, [short, &[1, 2, 3, 4]]);
        let data = Ipfix::new(0, 0, 1).set(300, &[0, 80]).encode();
        stage.send(STRANGER, [data.as_slice()]);
        let router = stage.exporter(ROUTER);
        assert_eq!(router["datagrams"], 2);
        assert_eq!(router["bytes"], 64);
        let reasons = router["rejected"].as_array().unwrap();
        let of = |reason: &str| {
            reasons
                .iter()
                .find(|r| r["reason"] == reason)
                .map(|r| &r["datagrams"])
        };
        assert_eq!(
            (of("truncated"), of("version")),
            (Some(&1.into()), Some(&1.into()))
        );
        let last = router["last_reject"]["reason"].as_str().unwrap();
        assert!(last.starts_with("version "), "{last}");
        assert!(router["last_reject"]["time"].is_string());
        assert_eq!(stage.exporter(STRANGER)["sets_held"], 1);
    });
    stage.running.stop().await.unwrap();
}
