//! Observations as they come, and a run of them.

use std::sync::Arc;
use std::time::Duration;

use crate::*;

/// When all begins.
pub const T0: Micros = 1_700_000_000_000_000;

/// So many milliseconds after it.
pub fn ms(after: u64) -> Micros {
    T0 + after * 1_000
}

pub fn config() -> Config {
    Config::new("test", Duration::from_secs(60))
}

pub fn pod(name: &str, node: &str) -> Arc<Identity> {
    Arc::new(Identity {
        kind: IdentityKind::Pod,
        node: node.into(),
        ns: "shop".into(),
        name: name.into(),
        ..Identity::default()
    })
}

pub fn endpoint(name: &str, node: &str, service: &str) -> Arc<Identity> {
    Arc::new(Identity {
        service_ns: "shop".into(),
        service_name: service.into(),
        ..(*pod(name, node)).clone()
    })
}

pub fn service(name: &str) -> Arc<Identity> {
    Arc::new(Identity {
        kind: IdentityKind::Service,
        ns: "shop".into(),
        name: name.into(),
        service_ns: "shop".into(),
        service_name: name.into(),
        ..Identity::default()
    })
}

pub fn end(addr: &str, port: u16, who: Option<Arc<Identity>>) -> End {
    End {
        addr: Some(addr.parse().unwrap()),
        port,
        who,
    }
}

/// What the client's node `a` sees of a request from pod `client` there to pod `web` on
/// `b`: 10 packets of 1,000 octets in the first second.
pub fn request() -> Observation {
    Observation {
        network: "".into(),
        proto: 6,
        src: end("10.0.0.1", 40_000, Some(pod("client", "a"))),
        dst: end("10.0.1.1", 80, Some(pod("web", "b"))),
        icmp: None,
        start: ms(0),
        end: ms(1_000),
        amount: Amount::Delta(Counts::new(1_000, 10)),
        primary: true,
        sampling: 1,
        method: Method::Ipfix,
        direction: Some(Direction::Ingress),
        domain: 1,
        node: "a".into(),
        tcp_flags: None,
        tcp_state: None,
        client: Some((Client::Src, Evidence::Port)),
        conntrack: None,
    }
}

/// The answer to it, of twice as much, as the server's node sees it.
pub fn answer() -> Observation {
    let request = request();
    Observation {
        src: request.dst,
        dst: request.src,
        amount: Amount::Delta(Counts::new(2_000, 20)),
        node: "b".into(),
        domain: 2,
        client: Some((Client::Dst, Evidence::Port)),
        ..request
    }
}

/// The same, as the other node sees it: sums do not count it.
pub fn seen_by(node: &str, observation: Observation) -> Observation {
    Observation {
        node: node.into(),
        domain: u32::from(node.as_bytes()[0]),
        primary: false,
        ..observation
    }
}

pub fn at(start: Micros, end: Micros, observation: Observation) -> Observation {
    Observation {
        start,
        end,
        ..observation
    }
}

pub fn flags(bits: u8, observation: Observation) -> Observation {
    Observation {
        tcp_flags: Some(TcpFlags {
            bits,
            of_one_packet: true,
        }),
        ..observation
    }
}

/// Connections with what came out of them.
pub struct Run {
    pub connections: Connections,
    pub outputs: Vec<Output>,
    frame: u64,
}

impl Run {
    pub fn new(config: Config) -> Self {
        Self {
            connections: Connections::new(config),
            outputs: Vec::new(),
            frame: 0,
        }
    }

    /// A frame that the log took so many milliseconds after the beginning.
    pub fn frame(&mut self, after: u64, observations: &[Observation]) -> &mut Self {
        self.frame += 1;
        let frame = Frame {
            position: Position {
                log: 1,
                head: 1,
                frame: self.frame,
            },
            time: ms(after),
            observations,
        };
        self.connections
            .apply(frame, &mut |output| self.outputs.push(output));
        self
    }

    /// Nothing more comes until then.
    pub fn until(&mut self, after: u64) -> &mut Self {
        self.connections
            .advance(ms(after), &mut |output| self.outputs.push(output));
        self
    }

    /// What came out since the last time.
    pub fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// The only output since the last time.
    pub fn only(&mut self) -> Output {
        let mut outputs = self.take();
        assert_eq!(outputs.len(), 1, "{outputs:#?}");
        outputs.remove(0)
    }

    pub fn stats(&self) -> Stats {
        *self.connections.stats()
    }
}

pub fn both(forward: (u64, u64), reverse: (u64, u64)) -> Biflow<Counts> {
    Biflow {
        forward: Counts::new(forward.0, forward.1),
        reverse: Counts::new(reverse.0, reverse.1),
    }
}
