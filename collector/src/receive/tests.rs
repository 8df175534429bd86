use std::collections::HashSet;
use std::io::IoSlice;
use std::os::fd::AsRawFd;

use super::*;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg, setsockopt, sockopt};

#[derive(Default)]
struct Seen {
    lengths: Vec<usize>,
    sessions: HashSet<SocketAddr>,
    too_late: usize,
}

impl Handler for Seen {
    fn datagrams<'a>(&mut self, datagrams: impl Iterator<Item = Datagram<'a>>, _: u64) {
        for datagram in datagrams {
            assert!(datagram.payload.iter().all(|octet| *octet == 7));
            self.lengths.push(datagram.payload.len());
            self.sessions.insert(datagram.session);
        }
    }

    fn too_late(&mut self, datagrams: usize) {
        self.too_late += datagrams;
    }
}

fn bind_group(address: &str, sockets: usize) -> Result<Vec<UdpSocket>, BindError> {
    bind(address.parse().unwrap(), sockets.try_into().unwrap())
}

fn bind_one(address: &str) -> UdpSocket {
    bind_group(address, 1).unwrap().swap_remove(0)
}

/// Reads what is there and ends: nobody holds the other end of `stop`.
fn read_out(socket: &UdpSocket, drops: &Counter) -> Seen {
    let (stop, _) = std::io::pipe().unwrap();
    let mut seen = Seen::default();
    run([socket], &stop, drops, &mut seen).unwrap();
    seen
}

#[test]
fn what_the_kernel_drops_is_counted_exactly_also_when_no_datagram_follows() {
    let socket = bind_one("127.0.0.1:0");
    setsockopt(&socket, sockopt::RcvBuf, &8192).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..500 {
        sender.send_to(&[7; 1000], socket.local_addr().unwrap()).unwrap();
    }
    let drops = Counter::default();
    let received = read_out(&socket, &drops).lengths.len() as u64;
    assert!(received < 500, "the buffer is too large for the test");
    assert_eq!(received + drops.get(), 500);
}

#[test]
fn the_smaller_the_buffer_the_shorter_the_nap() {
    let socket = bind_one("127.0.0.1:0");
    let drops = Counter::default();
    let nap_with = |octets: usize| {
        setsockopt(&socket, sockopt::RcvBuf, &octets).unwrap();
        nap(&[Source::new(&socket, &drops)])
    };
    // The kernel doubles what it is asked for.
    assert_eq!(nap_with(106_496), Duration::from_micros(92));
    assert_eq!(nap_with(8_192), Duration::from_micros(7));
    let fresh = bind_one("127.0.0.1:0");
    assert!(nap(&[Source::new(&fresh, &drops)]) <= LONGEST_NAP);
}

#[test]
fn a_count_of_drops_that_wraps_is_understood() {
    let (socket, drops) = (bind_one("127.0.0.1:0"), Counter::default());
    let mut source = Source::new(&socket, &drops);
    source.seen = u32::MAX - 1;
    source.dropped(u32::MAX);
    source.dropped(2);
    assert_eq!(drops.get(), 4);
}

#[test]
fn what_comes_after_the_end_is_a_drop_and_what_came_before_is_read() {
    let socket = bind_one("127.0.0.1:0");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |datagrams| {
        for _ in 0..datagrams {
            sender.send_to(&[7; 100], socket.local_addr().unwrap()).unwrap();
        }
    };
    send(100);
    let drops = Counter::default();
    kernel::shut(&socket).unwrap();
    send(10);
    assert_eq!(read_out(&socket, &drops).lengths.len(), 100);
    assert_eq!(drops.get(), 10);
}

#[test]
fn an_ipv4_sender_has_an_ipv4_address_on_an_ipv6_socket() {
    let socket = bind_one("[::]:0");
    let port = socket.local_addr().unwrap().port();
    for address in ["127.0.0.1", "::1"] {
        let sender = UdpSocket::bind((address, 0)).unwrap();
        sender.send_to(&[7; 1000], (address, port)).unwrap();
        let seen = read_out_once(&socket);
        assert_eq!(seen.sessions, HashSet::from([sender.local_addr().unwrap()]));
    }
}

#[test]
fn what_there_is_no_time_for_is_counted() {
    let socket = bind_one("127.0.0.1:0");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..100 {
        sender.send_to(&[7; 100], socket.local_addr().unwrap()).unwrap();
    }
    let (drops, mut seen) = (Counter::default(), Seen::default());
    Source::new(&socket, &drops).discard(&mut Batch::new(), &mut seen);
    assert_eq!((seen.too_late, seen.lengths.len()), (100, 0));
}

/// Reads one batch, and leaves the socket open to what comes.
fn read_out_once(socket: &UdpSocket) -> Seen {
    let (drops, mut seen) = (Counter::default(), Seen::default());
    let mut source = Source::new(socket, &drops);
    assert_eq!(source.read(&mut Batch::new(), &mut seen), Ok(Read::Some));
    seen
}

#[test]
fn datagrams_of_every_length_come_whole_in_buffers_that_are_used_again() {
    let socket = bind_one("127.0.0.1:0");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    // 65,507 octets are all that IPv4 leaves of 65,535.
    let lengths = [0, 1, 65_507, 20, 1_500, 9_000, 0, 65_507].repeat(9);
    for length in &lengths {
        sender
            .send_to(&vec![7; *length], socket.local_addr().unwrap())
            .unwrap();
    }
    let drops = Counter::default();
    assert_eq!(read_out(&socket, &drops).lengths, lengths);
    assert_eq!(drops.get(), 0);
}

/// Sends octets as datagrams of one length, the last one perhaps shorter, that stay
/// together on loopback.
fn send_joined(sender: &UdpSocket, socket: &UdpSocket, octets: usize, each: u16) {
    let to = SockaddrStorage::from(socket.local_addr().unwrap());
    let (octets, segments) = (vec![7; octets], [ControlMessage::UdpGsoSegments(&each)]);
    let slices = [IoSlice::new(&octets)];
    let sent = sendmsg(
        sender.as_raw_fd(),
        &slices,
        &segments,
        MsgFlags::empty(),
        Some(&to),
    );
    assert_eq!(sent.unwrap(), octets.len());
}

#[test]
fn datagrams_that_the_kernel_joined_are_told_apart_again() {
    let socket = bind_one("127.0.0.1:0");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(&[7; 320], socket.local_addr().unwrap()).unwrap();
    send_joined(&sender, &socket, 8 * 320, 320);
    send_joined(&sender, &socket, 3 * 300 + 20, 300);
    send_joined(&sender, &socket, 64 * 1_000, 1_000);
    sender.send_to(&[7; 20], socket.local_addr().unwrap()).unwrap();
    let drops = Counter::default();
    let seen = read_out(&socket, &drops);
    let lengths = [vec![320; 9], vec![300, 300, 300, 20], vec![1_000; 64], vec![20]].concat();
    assert_eq!((seen.lengths, seen.sessions.len()), (lengths, 1));
}

#[test]
fn joined_datagrams_for_which_there_is_no_time_are_counted_one_by_one() {
    let socket = bind_one("127.0.0.1:0");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    send_joined(&sender, &socket, 8 * 100, 100);
    let (drops, mut seen) = (Counter::default(), Seen::default());
    Source::new(&socket, &drops).discard(&mut Batch::new(), &mut seen);
    assert_eq!((seen.too_late, seen.lengths.len()), (8, 0));
}

#[test]
fn each_sender_always_comes_in_by_the_same_socket_of_a_group() {
    let group = bind_group("127.0.0.1:0", 4).unwrap();
    let to = group[0].local_addr().unwrap();
    let senders: Vec<_> = (0..64).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for sender in senders.iter().cycle().take(64 * 5) {
        sender.send_to(&[7; 10], to).unwrap();
    }
    let seen: Vec<_> = group
        .iter()
        .map(|socket| read_out(socket, &Counter::default()))
        .collect();
    assert_eq!(seen.iter().map(|s| s.lengths.len()).sum::<usize>(), 64 * 5);
    // Were a sender seen by two sockets, the sum would be larger.
    assert_eq!(seen.iter().map(|s| s.sessions.len()).sum::<usize>(), 64);
    let used = seen.iter().filter(|s| !s.sessions.is_empty()).count();
    assert!(used > 1, "64 senders all came in by one socket");
}

#[test]
fn a_group_does_not_share_its_address_with_another_collector() {
    let group = bind_group("127.0.0.1:0", 2).unwrap();
    let address = group[0].local_addr().unwrap().to_string();
    let error = bind_group(&address, 2).unwrap_err();
    assert!(error.to_string().contains(&address), "{error}");
    assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
}
