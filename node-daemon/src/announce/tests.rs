use std::net::UdpSocket;
use std::time::Duration;

use super::*;

/// A collector that listens, and what it gets.
struct Collector(UdpSocket);

impl Collector {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(socket)
    }

    fn to(&self, domain: u32) -> StreamKey {
        let target = self.0.local_addr().unwrap();
        StreamKey { target, domain }
    }

    /// The next message: who sent it, its sequence number and domain, what follows.
    fn next(&self) -> (SocketAddr, u32, u32, Vec<u8>) {
        let mut bytes = [0; 2_000];
        let (length, from) = self.0.recv_from(&mut bytes).unwrap();
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        (from, number(8), number(12), bytes[16..length].to_vec())
    }

    fn is_silent(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let got = self.0.recv(&mut [0; 2_000]);
        self.0.set_nonblocking(false).unwrap();
        got.is_err()
    }
}

fn pods(list: &[(u32, &str)]) -> Interfaces {
    let interface = |(index, description): &(u32, &str)| {
        let interface = Interface {
            port: 1,
            name: format!("v{index}"),
            description: (*description).to_owned(),
        };
        (*index, interface)
    };
    list.iter().map(interface).collect()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_new_collector_is_told_all_and_then_what_changes() {
    let (collector, mut announcer) = (Collector::new(), Announcer::new(Arc::default()));
    let tell = |announcer: &mut Announcer, list: &[(u32, &str)]| {
        let streams = Streams::from([(collector.to(7), pods(list))]);
        announcer.announce_changes(streams, 0);
    };
    tell(&mut announcer, &[(1, "shop/web"), (2, "shop/db")]);
    let (_, sequence, domain, bytes) = collector.next();
    assert_eq!((sequence, domain), (0, 7));
    assert!(has(&bytes, "\x08shop/web") && has(&bytes, "\x07shop/db"));

    tell(&mut announcer, &[(1, "shop/web"), (2, "shop/db")]);
    assert!(collector.is_silent());

    tell(&mut announcer, &[(1, "shop/new")]);
    let (_, sequence, _, bytes) = collector.next();
    assert_eq!(sequence, 2);
    assert!(has(&bytes, "\x02v1\x08shop/new"));
    assert!(has(&bytes, "\x02v2\x00"), "the other one lost its pod");

    announcer.announce_all(0);
    let (_, sequence, _, bytes) = collector.next();
    assert_eq!(sequence, 4);
    assert!(has(&bytes, "shop/new") && !has(&bytes, "\x02v2"));
    assert_eq!(announcer.metrics.interfaces_named.get(), 1);
}

#[test]
fn each_domain_is_a_session_of_its_own() {
    let (collector, mut announcer) = (Collector::new(), Announcer::new(Arc::default()));
    let streams = Streams::from([
        (collector.to(7), pods(&[(1, "red/web")])),
        (collector.to(8), pods(&[(1, "blue/web")])),
    ]);
    announcer.announce_changes(streams, 0);
    let (one, other) = (collector.next(), collector.next());
    assert_ne!(one.0, other.0);
    assert_eq!([(one.1, one.2), (other.1, other.2)], [(0, 7), (0, 8)]);
}

#[test]
fn a_collector_that_is_not_there_costs_nothing_and_is_told_when_it_comes() {
    let gone = Collector::new();
    let to = gone.to(7);
    drop(gone);
    let metrics = Arc::<Metrics>::default();
    let mut announcer = Announcer::new(Arc::clone(&metrics));
    announcer.announce_changes(Streams::from([(to, pods(&[(1, "shop/web")]))]), 0);
    for _ in 0..3 {
        announcer.announce_all(0);
    }
    let back = Collector(UdpSocket::bind(to.target).unwrap());
    back.0.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    announcer.announce_all(0);
    assert!(has(&back.next().3, "shop/web"));
    let unreachable = StreamKey {
        // To send to all takes an option that the socket does not have.
        target: "255.255.255.255:9".parse().unwrap(),
        domain: 7,
    };
    announcer.announce_changes(Streams::from([(unreachable, pods(&[(1, "shop/web")]))]), 0);
    assert!(
        metrics
            .text()
            .contains("weir_node_interface_messages_total{result=\"failed\"} 1")
    );
}

#[test]
fn the_time_between_repeats_differs_by_a_tenth_at_most() {
    for _ in 0..100 {
        let pause = jittered(REPEAT, 100);
        assert!(pause >= REPEAT * 9 / 10 && pause <= REPEAT * 11 / 10, "{pause:?}");
    }
}
