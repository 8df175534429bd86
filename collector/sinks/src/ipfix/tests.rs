use std::io::Read;
use std::net::TcpListener;

use wire::{Decoder, Framer, Record};

use super::*;
use crate::testing::Frame;

fn target(address: SocketAddr, transport: Transport) -> IpfixTarget {
    IpfixTarget::new(IpfixSpec {
        address: address.to_string(),
        transport,
        domain: 9,
        message_bytes: 512,
    })
}

fn write(target: &mut IpfixTarget, frames: std::ops::Range<u64>) -> Result<u64, Failure> {
    for frame in frames {
        target.take(&Frame::of(1, frame, 3))?;
    }
    target.flush()
}

fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// Frame and row of each record.
fn names(records: &[Record]) -> Vec<(u16, u16)> {
    records
        .iter()
        .map(|record| (record.src_port.unwrap(), record.dst_port.unwrap()))
        .collect()
}

fn expected(frames: std::ops::Range<u16>) -> Vec<(u16, u16)> {
    frames
        .flat_map(|frame| (0..3).map(move |row| (frame, row)))
        .collect()
}

#[test]
fn datagrams_are_read_by_our_own_decoder() {
    let collector = UdpSocket::bind(loopback()).unwrap();
    collector
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut target = target(collector.local_addr().unwrap(), Transport::Udp);
    write(&mut target, 0..4).unwrap();
    let (mut decoder, mut records, mut buffer) = (Decoder::default(), Vec::new(), [0; 2048]);
    while let Ok((length, from)) = collector.recv_from(&mut buffer) {
        assert!(length <= 512);
        decoder.decode(from, 0, &buffer[..length], &mut records).unwrap();
    }
    assert_eq!(names(&records), expected(0..4));
}

/// Takes one connection and reads it to its end.
fn collect(listener: &TcpListener) -> Vec<Record> {
    let (mut stream, from) = listener.accept().unwrap();
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).unwrap();
    let (mut framer, mut decoder, mut records) = (Framer::default(), Decoder::default(), Vec::new());
    framer.push(&octets);
    while let Some(message) = framer.next_message().unwrap() {
        decoder.decode(from, 0, message, &mut records).unwrap();
    }
    records
}

#[test]
fn a_stream_tells_its_templates_first_and_again_when_it_was_closed() {
    let listener = TcpListener::bind(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut target = target(address, Transport::Tcp);
    write(&mut target, 0..2).unwrap();
    write(&mut target, 2..3).unwrap();
    target.reset();
    assert_eq!(names(&collect(&listener)), expected(0..3));
    write(&mut target, 3..4).unwrap();
    drop(target);
    assert_eq!(names(&collect(&listener)), expected(3..4));
}

#[test]
fn a_peer_that_went_is_noticed_before_more_is_sent() {
    let listener = TcpListener::bind(loopback()).unwrap();
    let mut target = target(listener.local_addr().unwrap(), Transport::Tcp);
    write(&mut target, 0..1).unwrap();
    let (stream, _) = listener.accept().unwrap();
    drop(stream);
    // The reset, or the end, takes its time on loopback too.
    let failure = (1..1_000)
        .find_map(|_| write(&mut target, 1..2).err())
        .expect("it is noticed");
    assert!(
        matches!(failure.reason(), crate::target::Reason::Closed),
        "{failure}"
    );
    target.reset();
    write(&mut target, 1..2).unwrap();
    drop(target);
    assert_eq!(names(&collect(&listener)), expected(1..2));
}

#[test]
fn nobody_there_is_a_failure_that_names_the_address() {
    let address = TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
    let failure = write(&mut target(address, Transport::Tcp), 0..1).unwrap_err();
    assert!(failure.to_string().contains(&address.to_string()), "{failure}");
    assert_eq!(failure.reason(), crate::target::Reason::Refused);
}

#[test]
fn a_collector_that_takes_nothing_holds_nobody_up_for_long() {
    let listener = TcpListener::bind(loopback()).unwrap();
    let mut target = target(listener.local_addr().unwrap(), Transport::Tcp);
    let _stream = write(&mut target, 0..1).map(|_| listener.accept()).unwrap();
    let failure = (1..100)
        .find_map(|_| {
            (0..4_000)
                .try_for_each(|frame| target.take(&Frame::of(1, frame, 30)))
                .unwrap();
            target.flush().err()
        })
        .expect("its buffers are full some time");
    assert_eq!(failure.reason(), crate::target::Reason::TimedOut);
}
