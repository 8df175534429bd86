//! Against a real ovsdb-server with OVN's own schema, written to by ovn-nbctl.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use ovsdb::{Client, Options};
use weir_identity::{AddressHistory, Owners, Snapshot, Span, SwitchFacts, merge};

const SCHEMA: &str = "/usr/share/ovn/ovn-nb.ovsschema";

/// A northbound database of its own; it ends with the value.
struct Northbound {
    folder: PathBuf,
}

impl Northbound {
    fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("weir-nb-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str| folder.join(name).display().to_string();
        let made = Command::new("ovsdb-tool")
            .args(["create", &file("nb.db"), SCHEMA])
            .status();
        assert!(made.expect("ovsdb-tool (Debian: openvswitch-common)").success());
        // It returns when it listens.
        let started = Command::new("ovsdb-server")
            .arg(file("nb.db"))
            .arg(format!("--remote=punix:{}", file("nb.sock")))
            .arg(format!("--unixctl={}", file("nb.ctl")))
            .arg(format!("--pidfile={}", file("nb.pid")))
            .args(["--detach", "--no-chdir", "--log-file=/dev/null"])
            .stderr(Stdio::null())
            .status();
        assert!(started.expect("ovsdb-server").success());
        let database = Self { folder };
        database.nbctl("init");
        database
    }

    fn remote(&self) -> String {
        format!("unix:{}", self.folder.join("nb.sock").display())
    }

    /// Words are apart by spaces; `~` stands for a space within one.
    fn nbctl(&self, line: &str) {
        let words = line.split_whitespace().map(|word| word.replace('~', " "));
        let status = Command::new("ovn-nbctl")
            .args([&format!("--db={}", self.remote()), "--timeout=20"])
            .args(words)
            .status();
        assert!(
            status.expect("ovn-nbctl (Debian: ovn-common)").success(),
            "{line}"
        );
    }

    async fn read(&self) -> NorthboundFacts {
        let endpoint = self.remote().parse().unwrap();
        let client = Client::spawn(endpoint, DATABASE, monitor(), Options::default());
        let mut watch = client.watch();
        let synced = watch.wait_for(|view| view.link.is_synced());
        let view = tokio::time::timeout(Duration::from_secs(20), synced)
            .await
            .unwrap()
            .unwrap()
            .clone();
        read(&view.replica)
    }
}

impl Drop for Northbound {
    fn drop(&mut self) {
        let control = self.folder.join("nb.ctl");
        let exit = Command::new("ovs-appctl")
            .arg("-t")
            .arg(control)
            .arg("exit")
            .status();
        drop(exit);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn switch(node: &str, chassis: &str, bound: &[(&str, &str)]) -> SwitchFacts {
    SwitchFacts {
        node: node.into(),
        chassis: chassis.into(),
        bound: bound
            .iter()
            .map(|(id, name)| ((*id).into(), (*name).into()))
            .collect(),
        ..SwitchFacts::default()
    }
}

fn who(snapshot: &Snapshot, address: &str) -> (Kind, String, String, String) {
    match snapshot
        .directory
        .owners(address.parse().unwrap(), Span::since(1))
    {
        Owners::One(who) => (
            who.kind,
            format!("{}/{}", who.ns, who.name),
            who.node_name.to_string(),
            who.network.to_string(),
        ),
        other => panic!("{address}: {other:?}"),
    }
}

fn known(kind: Kind, name: &str, node: &str, network: &str) -> (Kind, String, String, String) {
    (kind, name.into(), node.into(), network.into())
}

fn service(snapshot: &Snapshot, address: &str, port: u16) -> Option<String> {
    let endpoint = Endpoint {
        address: address.parse().unwrap(),
        proto: 6,
        port,
    };
    let who = snapshot.directory.service(endpoint, Span::since(1))?;
    Some(format!("{}/{}", who.service_ns, who.service_name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logical_network_of_ovn_kubernetes_names_pods_services_and_routers() {
    let database = tokio::task::block_in_place(|| {
        let database = Northbound::start("k8s");
        for line in [
            "ls-add node-a",
            "lsp-add node-a shop_web-1",
            "lsp-set-addresses shop_web-1 0a:58:0a:80:01:05~10.128.1.5",
            "lsp-add node-a k8s-node-a",
            "lsp-add node-a node-tools_agent-1 -- set logical_switch_port node-tools_agent-1 external_ids:namespace=node-tools external_ids:pod=true",
            "lsp-set-addresses node-tools_agent-1 0a:58:0a:80:01:09~10.128.1.9",
            "lsp-add node-a stor-node-a -- lsp-set-type stor-node-a router -- lsp-set-addresses stor-node-a router",
            "lr-add GR_node-a -- set logical_router GR_node-a options:chassis=chassis-a",
            "lrp-add GR_node-a rtoj-GR_node-a 0a:58:64:40:00:02 100.64.0.2/16 fd98::2/64",
            "lr-nat-add GR_node-a snat 172.18.0.250 10.128.1.5",
            "lr-add cluster -- lrp-add cluster rtos 0a:58:0a:80:01:01 10.128.1.1/24",
            "lb-add Service_shop/web_TCP_cluster 10.96.0.10:80 10.128.1.5:8080,10.128.2.6:8080 tcp",
            "lb-add Service_shop/web_TCP_cluster [fd96::10]:80 [fd00::5]:8080 tcp",
            "set load_balancer Service_shop/web_TCP_cluster external_ids:k8s.ovn.org/kind=Service external_ids:k8s.ovn.org/owner=shop/web",
        ] {
            database.nbctl(line);
        }
        database.nbctl("lsp-set-addresses k8s-node-a 0a:58:0a:80:01:02~10.128.1.2");
        database
    });
    let facts = database.read().await;
    let switches = vec![switch(
        "node-a",
        "chassis-a",
        &[("shop_web-1", "4a162c1bd53a4de")],
    )];
    let snapshot = merge(switches, Some(&facts), &mut AddressHistory::default(), 1);
    let pod = known(Kind::Pod, "shop/web-1", "node-a", "primary");
    assert_eq!(who(&snapshot, "10.128.1.5"), pod);
    let ports = &snapshot.directory.nodes["node-a"];
    assert_eq!(&*ports.interfaces["4a162c1bd53a4de"].name, "web-1");
    let by_mac = snapshot
        .directory
        .mac([0x0a, 0x58, 0x0a, 0x80, 1, 5], Span::since(1));
    assert_eq!(by_mac.map(|who| &*who.name), Some("web-1"));
    assert_eq!(
        who(&snapshot, "10.128.1.2"),
        known(Kind::Node, "/node-a", "node-a", "primary")
    );
    let (kind, name) = (who(&snapshot, "10.128.1.9").0, who(&snapshot, "10.128.1.9").1);
    assert_eq!(
        (kind, &*name),
        (Kind::Pod, "node-tools/agent-1"),
        "no node's port"
    );
    for router in ["100.64.0.2", "fd98::2", "172.18.0.250"] {
        assert_eq!(
            who(&snapshot, router),
            known(Kind::Node, "/node-a", "node-a", ""),
            "{router}"
        );
    }
    assert_eq!(who(&snapshot, "10.128.1.1").0, Kind::Unknown, "on all nodes");
    for (address, port) in [("10.96.0.10", 80), ("fd96::10", 80), ("10.128.1.5", 8080)] {
        assert_eq!(
            service(&snapshot, address, port).as_deref(),
            Some("shop/web"),
            "{address}"
        );
    }
    assert_eq!(who(&snapshot, "10.96.0.10").0, Kind::Service);
    assert_eq!(service(&snapshot, "10.96.0.10", 81), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logical_network_of_openstack_names_machines_and_their_floating_addresses() {
    const PORT: &str = "3f1cfd5e-7d0c-4d4b-9f3d-0c3d6c1d0a01";
    let database = tokio::task::block_in_place(|| {
        let database = Northbound::start("neutron");
        database.nbctl(
            "ls-add neutron-1 -- set logical_switch neutron-1 external_ids:neutron\\:network_name=tenant",
        );
        database.nbctl(&format!("lsp-add neutron-1 {PORT}"));
        database.nbctl(&format!("lsp-set-addresses {PORT} fa:16:3e:00:00:05~192.168.7.5"));
        database.nbctl(&format!(
            "set logical_switch_port {PORT} external_ids:neutron\\:port_name=web external_ids:neutron\\:device_id=vm-1 \
             external_ids:neutron\\:device_owner=\"compute:nova\""
        ));
        database.nbctl("lr-add router -- lrp-add router gw fa:16:3e:00:00:01 203.0.113.2/24");
        database.nbctl("lrp-set-gateway-chassis gw other 1 -- lrp-set-gateway-chassis gw chassis-b 20");
        database.nbctl("lr-nat-add router dnat_and_snat 203.0.113.77 192.168.7.5");
        database.nbctl("lr-nat-add router snat 203.0.113.2 192.168.7.0/24");
        database
    });
    let facts = database.read().await;
    let switches = vec![
        switch("host-a", "chassis-a", &[(PORT, "tap3f1cfd5e-7d")]),
        switch("host-b", "chassis-b", &[]),
    ];
    let snapshot = merge(switches, Some(&facts), &mut AddressHistory::default(), 1);
    let machine = known(Kind::Pod, "/web", "host-a", "tenant");
    assert_eq!(who(&snapshot, "192.168.7.5"), machine);
    assert_eq!(who(&snapshot, "203.0.113.77"), machine, "its floating address");
    assert_eq!(
        who(&snapshot, "203.0.113.2"),
        known(Kind::Node, "/host-b", "host-b", "")
    );
    let port = &snapshot.directory.nodes["host-a"].interfaces["tap3f1cfd5e-7d"];
    assert_eq!(
        (&*port.workload_kind, &*port.workload_name),
        ("VirtualMachine", "vm-1")
    );
}

#[test]
fn a_change_of_a_switch_leaves_the_load_balancers_as_they_are() {
    let [virtual_endpoint, backend] =
        ["10.96.0.10:80", "10.128.1.5:8080"].map(|text| endpoint(text, 6).unwrap());
    let balancer = LoadBalancer {
        who: Identity {
            kind: Kind::Service,
            name: "web".into(),
            ns: "shop".into(),
            ..Identity::default()
        },
        virtual_endpoints: vec![virtual_endpoint],
        backends: vec![backend],
    };
    let facts = NorthboundFacts::new(Vec::new(), vec![balancer], Vec::new());
    let mut history = AddressHistory::default();
    let mut see = |switches| merge(switches, Some(&facts), &mut history, 1).directory;
    let before = see(vec![switch("node-a", "chassis-a", &[])]);
    let after = see(vec![switch("node-a", "chassis-a", &[("shop_web-1", "veth1")])]);
    for endpoint in [virtual_endpoint, backend] {
        let known = [&before, &after].map(|directory| directory.service(endpoint, Span::since(1)).unwrap());
        assert!(Arc::ptr_eq(known[0], known[1]), "{endpoint:?}");
    }
}

#[test]
fn what_cannot_be_read_says_nothing() {
    for text in [
        "^NODEIP_IPv4_0:30080",
        "10.0.0.1:x",
        "10.0.0.1:99999",
        "",
        ":80",
        "fd00::1:x",
    ] {
        assert_eq!(endpoint(text, 6), None, "{text}");
    }
    assert_eq!(endpoint("10.0.0.1", 6).map(|e| (e.proto, e.port)), Some((0, 0)));
    for text in [
        "router",
        "unknown",
        "dynamic",
        "0.0.0.0",
        "::",
        "10.0.0.1/33",
        "0a:58:0a:80:00:05",
    ] {
        assert_eq!(address(text), None, "{text}");
    }
    let nothing = read(&Replica::default());
    let snapshot = merge(Vec::new(), Some(&nothing), &mut AddressHistory::default(), 1);
    assert!(snapshot.directory.addresses.is_empty());
}
