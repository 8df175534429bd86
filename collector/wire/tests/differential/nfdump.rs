//! Datagrams sent to an nfcapd on loopback, and what nfdump then shows (Debian
//! package nfdump).

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::pcap::Datagram;

/// Source, destination, source port, protocol, packets, octets, input, output.
const FORMAT: &str = "fmt:%sa|%da|%sp|%pr|%pkt|%byt|%in|%out";

/// A running nfcapd and its folder; both go with it.
struct Nfcapd {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Nfcapd {
    fn start() -> Self {
        let port = {
            let free = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            free.local_addr().expect("an address").port()
        };
        let folder = std::env::temp_dir().join(format!("weir-nfcapd-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let child = Command::new("nfcapd")
            .args(["-b", "127.0.0.1", "-t", "3600", "-p", &port.to_string(), "-w"])
            .arg(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nfcapd is installed");
        let nfcapd = Self { child, folder, port };
        wait("nfcapd listens", || nfcapd.queued().is_some());
        nfcapd
    }

    /// Octets in its socket; none before it is bound.
    fn queued(&self) -> Option<u64> {
        let table = fs::read_to_string("/proc/net/udp").expect("Linux");
        let local = format!("0100007F:{:04X}", self.port);
        let line = table.lines().find(|line| line.contains(&local))?;
        let queues = line.split_whitespace().nth(4)?;
        u64::from_str_radix(queues.split_once(':')?.1, 16).ok()
    }

    fn end(&mut self) {
        let pid = self.child.id().to_string();
        let ended = Command::new("kill").arg(&pid).status().expect("kill");
        assert!(ended.success());
        self.child.wait().expect("nfcapd ends");
    }

    fn show(&self) -> Vec<Vec<String>> {
        let output = Command::new("nfdump")
            .args(["-q", "-N", "-6", "-o", FORMAT, "-R"])
            .arg(&self.folder)
            .output()
            .expect("nfdump is installed");
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines()
            .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
            .collect()
    }
}

impl Drop for Nfcapd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Sends each datagram when the one before was read, so that none is lost.
pub fn store(datagrams: &[Datagram]) -> Vec<Vec<String>> {
    let mut nfcapd = Nfcapd::start();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for datagram in datagrams {
        socket
            .send_to(&datagram.payload, ("127.0.0.1", nfcapd.port))
            .expect("sent");
        wait("nfcapd reads", || nfcapd.queued() == Some(0));
    }
    nfcapd.end();
    nfcapd.show()
}

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < give_up, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(1));
    }
}
