//! What the tests share: the capture, a writer to look into, HTTP by hand, waiting
//! on conditions.
#![allow(dead_code)]

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wire::Field;
use wire::encode::Ipfix;

pub mod database;

#[path = "../../wire/tests/input/mod.rs"]
pub mod input;
#[path = "../../wire/tests/pcap/mod.rs"]
pub mod pcap;

/// How long a condition may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until there is something.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A writer whose content can be read meanwhile.
#[derive(Clone, Default)]
pub struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub fn lines(&self) -> Vec<serde_json::Value> {
        parse_lines(&self.0.lock().unwrap())
    }
}

impl Write for Paper {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn parse_lines(text: &[u8]) -> Vec<serde_json::Value> {
    text.split(|octet| *octet == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("one JSON object a line"))
        .collect()
}

/// Sends datagrams, each sender of the capture by a socket of its own.
#[derive(Default)]
pub struct Exporter(HashMap<SocketAddr, UdpSocket>);

impl Exporter {
    pub fn send(&mut self, datagram: &pcap::Datagram, to: SocketAddr) {
        let fresh = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = self.0.entry(datagram.source).or_insert_with(fresh);
        socket.send_to(&datagram.payload, to).unwrap();
    }
}

/// What a node daemon says of one interface, in the domain of its bridge.
pub fn interface_name(domain: u32, interface: u32, name: &str, description: &str) -> Vec<u8> {
    let fields = [(10, 4), (142, 4), (82, Field::VARIABLE), (83, Field::VARIABLE)];
    let fields = fields.map(|(id, width)| Field::iana(id, width));
    let record = input::body(|record| {
        record.u32(interface).u32(1).variable(name.as_bytes());
        record.variable(description.as_bytes());
    });
    Ipfix::new(1_795_196_542, 0, domain)
        .options_template(61_000, 1, &fields)
        .set(61_000, &record)
        .encode()
}

/// Status and body of a page.
pub fn get(http: SocketAddr, path: &str) -> (u16, String) {
    let (head, body) = fetch(http, path);
    let status = head.split(' ').nth(1).expect("a status line").parse().unwrap();
    (status, body)
}

/// Head and body of a page.
pub fn fetch(http: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(http).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// The counters as they are now, by name; those with labels are summed under
/// their bare name too.
pub fn metrics(http: SocketAddr) -> HashMap<String, u64> {
    let (_, text) = get(http, "/metrics");
    parse_metrics(&text)
}

pub fn parse_metrics(text: &str) -> HashMap<String, u64> {
    let mut counters = HashMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        // Sums of histograms have fractions.
        let value = value.parse::<f64>().unwrap() as u64;
        let short = name.trim_start_matches("weir_collector_");
        counters.insert(short.to_owned(), value);
        if let Some((bare, _)) = short.split_once('{') {
            *counters.entry(bare.to_owned()).or_default() += value;
        }
    }
    counters
}

/// Fails unless what came in is accounted for.
pub fn assert_sums(m: &HashMap<String, u64>) {
    assert_eq!(
        m["datagrams_received_total"],
        m["datagrams_decoded_total"] + m["datagrams_rejected_total"]
    );
    assert_eq!(
        m["records_decoded_total"],
        m["records_stored_total"] + m["records_dropped_total"] + m["records_queued"]
    );
}
