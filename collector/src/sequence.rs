//! Counts what was lost on the way, by the gaps in sequence numbers.
//!
//! | protocol | the number counts | a stream is |
//! |---|---|---|
//! | NetFlow v5 | flows, up to the first of the datagram; from OVS: the index of its *last* flow | a session |
//! | NetFlow v9 | datagrams | a session and source id |
//! | IPFIX | data records before the message | a session and domain; from OVS: a session |
//! | sFlow v5 | datagrams | a session |
//!
//! The count is a floor: a late datagram was counted as lost and stays so, and a
//! number that goes back, or leaps, is a restarted exporter, not a loss.

use std::collections::HashMap;
use std::net::SocketAddr;

use wire::Protocol;

/// Streams that are followed at a time. When there are more, all are forgotten:
/// a flood of invented senders costs some gaps and nothing else.
const MAX_STREAMS: usize = 16_384;

/// A larger gap is a restart.
const MAX_GAP: u32 = 1 << 20;

/// A number this little behind is a datagram that was overtaken.
const MAX_LATE: u32 = 64;

/// What one datagram says about its place in its stream.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Sender's address and port.
    pub session: SocketAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// IPFIX observation domain, NetFlow v9 source id.
    pub domain: u32,
    /// The sequence number in its header.
    pub sequence: u32,
    /// Data records in it, options records included.
    pub records: usize,
    /// `records` is all there are.
    pub complete: bool,
    /// Open vSwitch sent it.
    pub ovs: bool,
}

/// The streams and what each should bring next.
#[derive(Debug, Default)]
pub struct Sequences {
    expected: HashMap<(SocketAddr, Protocol, u32), u32>,
}

impl Sequences {
    /// Takes in one datagram. Returns how many units (flows, records or
    /// datagrams, as the protocol counts) are missing before it.
    pub fn arrive(&mut self, arrival: Arrival) -> u64 {
        let Some((first, next)) = span(&arrival) else {
            return 0;
        };
        let shared = arrival.ovs && arrival.protocol == Protocol::Ipfix;
        let key = (
            arrival.session,
            arrival.protocol,
            if shared { 0 } else { arrival.domain },
        );
        if !arrival.complete {
            self.expected.remove(&key);
            return 0;
        }
        let gap = self
            .expected
            .get(&key)
            .map_or(0, |expected| first.wrapping_sub(*expected));
        let late = gap.wrapping_neg() <= MAX_LATE && gap != 0;
        if !late {
            self.expect(key, next);
        }
        if gap <= MAX_GAP { u64::from(gap) } else { 0 }
    }

    fn expect(&mut self, key: (SocketAddr, Protocol, u32), next: u32) {
        if self.expected.len() >= MAX_STREAMS && !self.expected.contains_key(&key) {
            self.expected.clear();
        }
        self.expected.insert(key, next);
    }
}

/// The numbers of the first unit in the datagram and of the one after the last.
/// A datagram that holds no unit says nothing.
fn span(arrival: &Arrival) -> Option<(u32, u32)> {
    let sequence = arrival.sequence;
    let records = u32::try_from(arrival.records).ok()?;
    match arrival.protocol {
        Protocol::NetFlow9 | Protocol::Sflow5 => Some((sequence, sequence.wrapping_add(1))),
        _ if records == 0 && arrival.complete => None,
        Protocol::NetFlow5 if arrival.ovs => {
            let next = sequence.wrapping_add(1);
            Some((next.wrapping_sub(records), next))
        }
        Protocol::NetFlow5 | Protocol::Ipfix => Some((sequence, sequence.wrapping_add(records))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(protocol: Protocol, sequence: u32, records: usize) -> Arrival {
        Arrival {
            session: ([192, 0, 2, 1], 4000).into(),
            protocol,
            domain: 7,
            sequence,
            records,
            complete: true,
            ovs: true,
        }
    }

    fn losses(arrivals: impl IntoIterator<Item = Arrival>) -> Vec<u64> {
        let mut sequences = Sequences::default();
        arrivals
            .into_iter()
            .map(|arrival| sequences.arrive(arrival))
            .collect()
    }

    #[test]
    fn netflow_from_ovs_numbers_the_last_flow_of_a_datagram() {
        let stream = [(3, 4), (5, 2), (9, 1)].map(|(seq, n)| arrival(Protocol::NetFlow5, seq, n));
        assert_eq!(losses(stream), [0, 0, 3]);
    }

    #[test]
    fn netflow_from_others_numbers_the_first_flow() {
        let stream = [(0, 4), (4, 2), (9, 1)].map(|(seq, n)| Arrival {
            ovs: false,
            ..arrival(Protocol::NetFlow5, seq, n)
        });
        assert_eq!(losses(stream), [0, 0, 3]);
    }

    #[test]
    fn ipfix_domains_of_ovs_share_one_sequence() {
        let options = Arrival {
            domain: 0,
            ovs: false,
            ..arrival(Protocol::Ipfix, 2, 1)
        };
        let stream = [
            arrival(Protocol::Ipfix, 1, 1),
            options,
            arrival(Protocol::Ipfix, 3, 1),
            arrival(Protocol::Ipfix, 6, 1),
        ];
        assert_eq!(losses(stream), [0, 0, 0, 2]);
    }

    #[test]
    fn ipfix_domains_of_others_count_apart() {
        let foreign = |domain, sequence| Arrival {
            domain,
            ovs: false,
            ..arrival(Protocol::Ipfix, sequence, 1)
        };
        assert_eq!(
            losses([foreign(1, 10), foreign(2, 500), foreign(1, 11), foreign(2, 502)]),
            [0, 0, 0, 1]
        );
    }

    #[test]
    fn a_restart_and_a_late_datagram_are_no_loss() {
        let datagram = |sequence| arrival(Protocol::Sflow5, sequence, 0);
        assert_eq!(losses([5000, 1, 2].map(datagram)), [0, 0, 0]);
        assert_eq!(losses([10, 12, 11, 13].map(datagram)), [0, 1, 0, 0]);
        assert_eq!(losses([u32::MAX, 0, 1].map(datagram)), [0, 0, 0]);
    }

    #[test]
    fn templates_alone_and_data_that_waits_for_them_count_nothing() {
        let waiting = Arrival {
            complete: false,
            ..arrival(Protocol::Ipfix, 5, 0)
        };
        let stream = [
            arrival(Protocol::Ipfix, 1, 1),
            arrival(Protocol::Ipfix, 9, 0),
            waiting,
            arrival(Protocol::Ipfix, 8, 1),
        ];
        assert_eq!(losses(stream), [0, 0, 0, 0]);
    }

    #[test]
    fn invented_senders_take_bounded_room() {
        let mut sequences = Sequences::default();
        for n in 0..40_000u32 {
            let session = (n.to_be_bytes(), 1).into();
            sequences.arrive(Arrival {
                session,
                ..arrival(Protocol::Sflow5, 1, 0)
            });
        }
        assert!(sequences.expected.len() <= MAX_STREAMS);
    }
}
