//! A small cluster to ask. Every question goes to the engine and to the naive
//! evaluator, and both must say the same.

use std::net::IpAddr;

use weir_policy::policy::Direction;
use weir_policy::{
    Answer, Cluster, Cni, Connection, Endpoint, Engine, NamedPort, Namespace, Node, Notes, Pod, Profile,
    Protocol, Reason, Side, Snapshot, Verdict, parse,
};

use crate::naive::{self, Call, End};

/// Namespaces x (team=red), y (team=blue), z; in each pods a, b, c with the label app
/// and an address 10.1.<namespace>.<pod>, fd00::<namespace>:<pod>. Nodes n1 (x and y) and n2 (z).
pub struct World {
    pub profile: Profile,
    pub cluster: Cluster,
}

/// What both evaluators say.
#[derive(Debug, Clone)]
pub struct Asked {
    pub verdict: Verdict,
    pub answer: Answer,
    pub reason: Reason,
    /// `ns/name ingress[0]`, `ns/name` for isolation, or empty.
    pub egress: String,
    pub ingress: String,
    pub notes: Notes,
}

pub fn labels(text: &str) -> weir_policy::Labels {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

pub fn port(name: &str, protocol: Protocol, number: u16) -> NamedPort {
    NamedPort {
        name: name.into(),
        protocol,
        number,
    }
}

pub fn pod(namespace: &str, name: &str, node: &str, addresses: &[&str]) -> Pod {
    Pod {
        namespace: namespace.into(),
        name: name.into(),
        labels: labels(&format!("app={name}")),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        ports: Vec::new(),
        host_network: false,
        node: node.into(),
        finished: false,
    }
}

pub fn node(name: &str, zone: &str, address: &str, management: &str) -> Node {
    Node {
        name: name.into(),
        labels: labels(&format!("zone={zone}")),
        addresses: vec![address.parse().unwrap()],
        management: vec![management.parse().unwrap()],
    }
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    for (n, (name, team)) in [("x", "team=red"), ("y", "team=blue"), ("z", "")]
        .into_iter()
        .enumerate()
    {
        cluster.namespaces.push(Namespace::new(name, labels(team)));
        for (p, app) in ["a", "b", "c"].into_iter().enumerate() {
            let (n, p) = (n + 1, p + 1);
            let node = if name == "z" { "n2" } else { "n1" };
            let mut pod = pod(
                name,
                app,
                node,
                &[&format!("10.1.{n}.{p}"), &format!("fd00::{n}:{p}")],
            );
            pod.ports = match app {
                "a" => vec![port("http", Protocol::Tcp, 8080), port("dns", Protocol::Udp, 53)],
                "b" => vec![port("http", Protocol::Tcp, 9090)],
                _ => Vec::new(),
            };
            cluster.pods.push(pod);
        }
    }
    let mut host = pod("x", "host", "n1", &["192.168.0.1"]);
    host.host_network = true;
    let mut done = pod("x", "done", "n1", &["10.1.1.9"]);
    done.finished = true;
    cluster.pods.extend([host, done]);
    cluster.nodes = vec![
        node("n1", "a", "192.168.0.1", "10.1.0.2"),
        node("n2", "b", "192.168.0.2", "10.1.0.3"),
    ];
    cluster
}

impl World {
    pub fn new() -> World {
        World::with(Cni::Spec)
    }

    pub fn with(cni: Cni) -> World {
        World {
            profile: Profile::of(cni),
            cluster: cluster(),
        }
    }

    /// Adds the policies of a file.
    pub fn policy(mut self, yaml: &str) -> World {
        self.add(yaml);
        self
    }

    pub fn add(&mut self, yaml: &str) {
        let documents = parse::file(yaml, "x").unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        assert!(!documents.policies.is_empty(), "{yaml}");
        self.cluster.policies.extend(documents.policies);
    }

    /// A NetworkPolicy in namespace x for pods with app=a, by its spec beyond the selector.
    pub fn on_a(self, name: &str, spec: &str) -> World {
        self.policy(&network_policy(name, "{matchLabels: {app: a}}", spec))
    }

    pub fn pod_mut(&mut self, namespace: &str, name: &str) -> &mut Pod {
        self.cluster
            .pods
            .iter_mut()
            .find(|pod| pod.namespace == namespace && pod.name == name)
            .unwrap()
    }

    pub fn engine(&self) -> Engine {
        Engine::compile(self.profile, self.cluster.clone())
    }

    /// `x/a`, `x/a@6`, `node:n1`, `node:n1@10.1.0.2` or an address.
    pub fn end(&self, text: &str) -> End {
        let (text, at) = text
            .split_once('@')
            .map_or((text, None), |(text, at)| (text, Some(at)));
        if let Some(name) = text.strip_prefix("node:") {
            let node = self.cluster.nodes.iter().find(|node| node.name == name).unwrap();
            let address = at.map_or(node.addresses[0], |at| at.parse().unwrap());
            return End::Node {
                name: name.into(),
                address,
            };
        }
        let Some((namespace, name)) = text.split_once('/') else {
            return End::Outside(text.parse().unwrap());
        };
        let pod = self
            .cluster
            .pods
            .iter()
            .find(|pod| pod.namespace == namespace && pod.name == name)
            .unwrap();
        let address = pod.addresses[usize::from(at == Some("6"))];
        match pod.host_network {
            true => End::Node {
                name: pod.node.clone(),
                address,
            },
            false => End::Pod {
                namespace: namespace.into(),
                name: name.into(),
                address,
            },
        }
    }

    pub fn call(&self, client: &str, server: &str, port: &str) -> Call {
        let (protocol, port) = port.split_once('/').unwrap();
        let protocol = match protocol {
            "tcp" => 6,
            "udp" => 17,
            "sctp" => 132,
            "icmp" => 1,
            "icmp6" => 58,
            other => other.parse().unwrap(),
        };
        Call {
            client: self.end(client),
            server: self.end(server),
            protocol,
            port: port.parse().unwrap(),
            through_service: false,
            domains: None,
        }
    }

    /// Asks both evaluators about a connection to a port as in `tcp/80`.
    pub fn ask(&self, client: &str, server: &str, port: &str) -> Asked {
        self.ask_call(&self.call(client, server, port))
    }

    pub fn ask_call(&self, call: &Call) -> Asked {
        let engine = self.engine();
        compare(&engine, &self.cluster, call)
    }

    pub fn allows(&self, client: &str, server: &str, port: &str) -> bool {
        match self.ask(client, server, port).answer {
            Answer::Allow => true,
            Answer::Deny => false,
            other => panic!("{client} -> {server} {port}: {other:?}"),
        }
    }
}

pub fn network_policy(name: &str, pods: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: x}}\nspec:\n  podSelector: {pods}\n  {}\n",
        spec.trim().replace('\n', "\n  ")
    )
}

pub fn endpoint(engine: &Engine, snapshot: &Snapshot, end: &End) -> Endpoint {
    match end {
        End::Pod {
            namespace,
            name,
            address,
        } => engine.pod(namespace, name, *address).unwrap(),
        End::Node { name, address } => engine.node(name, *address),
        End::Outside(address) => snapshot.outside(*address),
    }
}

/// Asks the engine and the naive evaluator, who must agree.
pub fn compare(engine: &Engine, cluster: &Cluster, call: &Call) -> Asked {
    let snapshot = engine.snapshot();
    let names: Option<Vec<&str>> = call
        .domains
        .as_ref()
        .map(|names| names.iter().map(String::as_str).collect());
    let connection = Connection {
        through_service: call.through_service,
        domains: names.as_deref(),
        ..Connection::new(
            endpoint(engine, &snapshot, &call.client),
            endpoint(engine, &snapshot, &call.server),
            call.protocol,
            call.port,
        )
    };
    let verdict = snapshot.evaluate(&connection);
    let opinions = naive::judge(cluster, snapshot.profile(), call);
    let asked = Asked {
        verdict,
        answer: verdict.answer,
        reason: verdict.reason,
        egress: name(&snapshot, &verdict.egress, Direction::Egress),
        ingress: name(&snapshot, &verdict.ingress, Direction::Ingress),
        notes: verdict.notes,
    };
    if verdict.answer == Answer::NotJudged {
        return asked;
    }
    assert_eq!(
        verdict.answer,
        naive::together(&opinions),
        "{call:?}\n{asked:?}\n{opinions:?}"
    );
    for (side, opinion, direction) in [
        (verdict.egress, &opinions[0], Direction::Egress),
        (verdict.ingress, &opinions[1], Direction::Ingress),
    ] {
        assert_eq!(
            side.answer, opinion.answer,
            "{direction:?} {call:?}\n{asked:?}\n{opinion:?}"
        );
        if side.answer == Answer::Unknown {
            continue;
        }
        assert_eq!(
            side.reason, opinion.reason,
            "{direction:?} {call:?}\n{asked:?}\n{opinion:?}"
        );
        let by = side.decider.map(|decider| {
            let found = snapshot.rule(decider, direction).unwrap();
            (found.policy, found.index.map(usize::from))
        });
        assert_eq!(by, opinion.by, "{direction:?} {call:?}");
    }
    asked
}

fn name(snapshot: &Snapshot, side: &Side, direction: Direction) -> String {
    let word = if direction == Direction::Ingress {
        "ingress"
    } else {
        "egress"
    };
    let found = side.decider.and_then(|decider| snapshot.rule(decider, direction));
    found.map_or(String::new(), |rule| match rule.index {
        Some(index) => format!("{} {word}[{index}]", rule.policy),
        None => rule.policy.to_string(),
    })
}

pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
