//! Echo requests (RFC 792, RFC 4443), so that the lab does without `ping`.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recvfrom, sendto,
        setsockopt, socket, sockopt,
    },
    time::TimeVal,
};

use crate::Netns;

/// The first packet between two pods may wait for tunnel neighbours.
const ATTEMPTS: u16 = 50;
const REPLY_MICROSECONDS: i64 = 200_000;

/// Sends echo requests from a namespace until one is answered; how many it
/// took, which is 1 where the path was ready.
///
/// # Errors
/// When none of 50 requests, 0.2 s apart, is answered.
pub fn ping(from: &Netns, target: IpAddr) -> Result<u16> {
    from.within(|| {
        let socket = open(target)?;
        let identifier = next_identifier();
        let clock = Instant::now();
        for sequence in 1..=ATTEMPTS {
            let destination = SockaddrStorage::from(SocketAddr::new(target, 0));
            // "No route" can be over at the next attempt, too.
            let sent = sendto(
                socket.as_raw_fd(),
                &request(target, identifier, sequence),
                &destination,
                MsgFlags::empty(),
            );
            if sent.is_ok() && answered(&socket, target, identifier, sequence) {
                return Ok(sequence);
            }
            if sent.is_err() {
                std::thread::sleep(Duration::from_micros(REPLY_MICROSECONDS.unsigned_abs()));
            }
        }
        bail!(
            "{target} answered none of {ATTEMPTS} echo requests in {:?}",
            clock.elapsed()
        )
    })
    .with_context(|| format!("ping {target} from {}", from.name().unwrap_or("the underlay")))
}

fn open(target: IpAddr) -> Result<OwnedFd> {
    let (family, protocol) = match target {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    setsockopt(
        &socket,
        sockopt::ReceiveTimeout,
        &TimeVal::new(0, REPLY_MICROSECONDS),
    )?;
    Ok(socket)
}

/// An echo request whose IPv4 checksum is set; the kernel sets that of ICMPv6
/// (RFC 3542, section 3.1).
fn request(target: IpAddr, identifier: u16, sequence: u16) -> Vec<u8> {
    let kind = if target.is_ipv4() { 8 } else { 128 };
    let mut message = vec![kind, 0, 0, 0];
    message.extend(identifier.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend([b'w'; 48]);
    if target.is_ipv4() {
        let sum = checksum(&message).to_be_bytes();
        message[2..4].copy_from_slice(&sum);
    }
    message
}

/// Another for each ping, so that none takes up the connection of an earlier one: the
/// userspace connection tracking of OVS 3.1 ends the switch (`conn_update_state`: "conn_type
/// == CT_CONN_TYPE_DEFAULT") when the same comes again while one that OVN committed is
/// expired and not yet swept away.
fn next_identifier() -> u16 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let next = std::process::id().wrapping_add(LAST.fetch_add(1, Ordering::Relaxed));
    // The low half is enough to tell the pings of one lab apart.
    (next & 0xffff) as u16
}

/// Reads until the reply or the time-out. A raw IPv4 socket delivers the IP
/// header too, one of IPv6 does not.
fn answered(socket: &OwnedFd, target: IpAddr, identifier: u16, sequence: u16) -> bool {
    let mut buffer = [0; 2048];
    let reply_kind = if target.is_ipv4() { 0 } else { 129 };
    while let Ok((length, Some(_))) = recvfrom::<SockaddrStorage>(socket.as_raw_fd(), &mut buffer) {
        let packet = buffer.get(..length).unwrap_or_default();
        let header = match target {
            IpAddr::V4(_) => usize::from(packet.first().unwrap_or(&0) & 15) * 4,
            IpAddr::V6(_) => 0,
        };
        let reply = packet.get(header..header + 8);
        let wanted = [identifier.to_be_bytes(), sequence.to_be_bytes()].concat();
        if reply.is_some_and(|reply| reply[0] == reply_kind && reply[4..] == wanted) {
            return true;
        }
    }
    false
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_request_makes_the_whole_sum_to_zero() {
        let message = request("192.0.2.1".parse().unwrap(), 5, 7);
        assert_eq!(message[..2], [8, 0]);
        assert_eq!(checksum(&message), 0);
        assert_eq!(checksum(&[0x45]), !0x4500);
    }
}
