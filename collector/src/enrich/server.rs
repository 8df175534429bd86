//! Which side of a flow listens, and what that rests on; the surest comes first.
//! Pure.
//!
//! | confidence | rests on |
//! |---|---|
//! | `syn` | TCP flags: SYN without ACK comes from the client, SYN with ACK in one packet from the server |
//! | `service` | a Service has the address and port of one side alone, or stands before them |
//! | `listener` | a SYN was seen to go to, or a SYN ACK to come from, the address and port of one side alone |
//! | `port` | the port numbers: a system port (below 1024, RFC 6335 §6) against another; else the lower one, where not both are of the range that Linux takes client ports from |
//! | `none` | nothing |
//!
//! Flags of a whole flow (NetFlow) are the OR of those of its packets: with ACK in
//! it they do not tell who sent the SYN first.

use weir_flow::{FlowRecord, Server, ServerConfidence, Side, TcpFlags};

const TCP: u8 = 6;
/// Protocols that have ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [TCP, 17, 33, 132, 136];
const SYN: u16 = 0x02;
const ACK: u16 = 0x10;
/// RFC 6335 §6.
const FIRST_USER_PORT: u16 = 1024;
/// `net.ipv4.ip_local_port_range`, as Linux has it by default.
pub const FIRST_CLIENT_PORT: u16 = 32_768;

/// What is known of a flow; pairs are of the source and the destination.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evidence {
    /// IANA protocol.
    pub proto: Option<u8>,
    /// TCP control bits.
    pub flags: Option<TcpFlags>,
    /// Ports.
    pub ports: Option<(u16, u16)>,
    /// A Service has the port.
    pub services: (bool, bool),
    /// Something was seen to listen there.
    pub listeners: (bool, bool),
}

/// Which side listens.
pub fn judge(evidence: &Evidence) -> (Server, ServerConfidence) {
    let has_ports = evidence.proto.is_some_and(|proto| WITH_PORTS.contains(&proto));
    if !has_ports {
        return (Server::Unknown, ServerConfidence::None);
    }
    let answers = [
        (by_flags(evidence), ServerConfidence::Syn),
        (one_of(evidence.services), ServerConfidence::Service),
        (one_of(evidence.listeners), ServerConfidence::Listener),
        (by_ports(evidence), ServerConfidence::Port),
    ];
    let known = answers.into_iter().find_map(|(server, why)| Some((server?, why)));
    known.unwrap_or((Server::Unknown, ServerConfidence::None))
}

/// The side that a packet of the handshake shows to listen.
pub fn listener(server: Server, why: ServerConfidence, record: &FlowRecord) -> Option<&Side> {
    match (server, why) {
        (Server::Src, ServerConfidence::Syn) => Some(&record.src),
        (Server::Dst, ServerConfidence::Syn) => Some(&record.dst),
        _ => None,
    }
}

fn by_flags(evidence: &Evidence) -> Option<Server> {
    let flags = evidence.flags.filter(|_| evidence.proto == Some(TCP))?;
    match (flags.bits & SYN != 0, flags.bits & ACK != 0, flags.of_one_packet) {
        (true, false, _) => Some(Server::Dst),
        (true, true, true) => Some(Server::Src),
        _ => None,
    }
}

fn by_ports(evidence: &Evidence) -> Option<Server> {
    let (src, dst) = evidence.ports.filter(|(src, dst)| *src != 0 && *dst != 0)?;
    let system = (src < FIRST_USER_PORT, dst < FIRST_USER_PORT);
    if let Some(server) = one_of(system) {
        return Some(server);
    }
    let clients = src >= FIRST_CLIENT_PORT && dst >= FIRST_CLIENT_PORT;
    (!clients && src != dst).then_some(if src < dst { Server::Src } else { Server::Dst })
}

fn one_of((src, dst): (bool, bool)) -> Option<Server> {
    match (src, dst) {
        (true, false) => Some(Server::Src),
        (false, true) => Some(Server::Dst),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(bits: u16, of_one_packet: bool) -> Option<TcpFlags> {
        Some(TcpFlags { bits, of_one_packet })
    }

    fn tcp(ports: (u16, u16)) -> Evidence {
        Evidence {
            proto: Some(TCP),
            ports: Some(ports),
            ..Evidence::default()
        }
    }

    fn words(evidence: &Evidence) -> (&'static str, &'static str) {
        let (server, why) = judge(evidence);
        (server.as_str(), why.as_str())
    }

    #[test]
    fn the_handshake_outranks_all_else() {
        let against = Evidence {
            services: (true, false),
            listeners: (true, false),
            ..tcp((80, 50_000))
        };
        let with = |flags| Evidence { flags, ..against };
        assert_eq!(words(&with(flags(SYN, true))), ("dst", "syn"));
        assert_eq!(words(&with(flags(SYN, false))), ("dst", "syn"));
        assert_eq!(words(&with(flags(SYN | ACK, true))), ("src", "syn"));
        assert_eq!(words(&with(flags(SYN | ACK, false))), ("src", "service"));
        assert_eq!(words(&with(flags(ACK, true))), ("src", "service"));
    }

    #[test]
    fn a_service_outranks_a_listener_and_that_the_ports() {
        let evidence = Evidence {
            services: (false, true),
            listeners: (true, false),
            ..tcp((80, 50_000))
        };
        assert_eq!(words(&evidence), ("dst", "service"));
        let both = Evidence {
            services: (true, true),
            ..evidence
        };
        assert_eq!(words(&both), ("src", "listener"));
        let neither = Evidence {
            listeners: (true, true),
            ..both
        };
        assert_eq!(words(&neither), ("src", "port"));
    }

    #[test]
    fn ports_tell_unless_both_look_like_a_clients() {
        assert_eq!(words(&tcp((443, 1024))), ("src", "port"));
        assert_eq!(words(&tcp((41_000, 8080))), ("dst", "port"));
        assert_eq!(words(&tcp((22, 179))), ("src", "port"));
        assert_eq!(words(&tcp((9090, 9090))), ("unknown", "none"));
        assert_eq!(words(&tcp((40_000, 50_000))), ("unknown", "none"));
    }

    #[test]
    fn nothing_listens_where_there_are_no_ports() {
        let icmp = Evidence {
            proto: Some(1),
            ..tcp((0, 0))
        };
        assert_eq!(words(&icmp), ("unknown", "none"));
        assert_eq!(words(&tcp((0, 80))), ("unknown", "none"));
        assert_eq!(words(&Evidence::default()), ("unknown", "none"));
    }
}
