//! What is sent arrives, from as many senders as there are exporters.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use weir_load::{Generator, Pace, Plan, Sender, Traffic};
use wire::Decoder;

#[test]
fn each_exporter_sends_its_templates_and_its_records_from_an_address_of_its_own() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let to = receiver.local_addr().unwrap();
    let mut generator = Generator::new(Plan {
        traffic: Traffic::Ipfix,
        exporters: 3,
        flows: 100,
        seed: 1,
        start_secs: 1_795_196_542,
    });
    let pace = Pace {
        rate: 1_000_000,
        duration: Duration::from_secs(60),
        records: 24 * 70,
    };
    let sent = Sender::open(to, 3).unwrap().send(&mut generator, &pace).unwrap();
    assert_eq!((sent.templates, sent.datagrams, sent.records), (3, 73, 1680));

    let (mut decoder, mut records) = (Decoder::default(), Vec::new());
    let mut from: HashMap<SocketAddr, u32> = HashMap::new();
    let mut datagram = [0; 2048];
    for _ in 0..sent.datagrams {
        let (octets, session) = receiver.recv_from(&mut datagram).unwrap();
        *from.entry(session).or_default() += 1;
        let summary = decoder
            .decode(session, 0, &datagram[..octets], &mut records)
            .unwrap();
        assert_eq!(summary.sets_held, 0);
    }
    assert_eq!(records.len(), 1680);
    assert_eq!(from.len(), 3);
    assert!(from.values().all(|&datagrams| datagrams >= 7), "{from:?}");
}

#[test]
fn it_stops_in_time_when_nobody_listens() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut generator = Generator::new(Plan {
        traffic: Traffic::Hostile,
        exporters: 1,
        flows: 1,
        seed: 1,
        start_secs: 0,
    });
    let pace = Pace {
        rate: 0,
        duration: Duration::from_millis(50),
        records: u64::MAX,
    };
    let sent = Sender::open(nobody, 1)
        .unwrap()
        .send(&mut generator, &pace)
        .unwrap();
    assert!(sent.elapsed >= pace.duration);
    assert!(sent.datagrams > 0 && sent.refused > 0, "{sent:?}");
}
