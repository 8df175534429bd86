//! The bytes of the one question that is asked in OpenFlow 1.0: Nicira's statistics of a
//! bridge's IPFIX (`NXST_IPFIX_BRIDGE`, OVS 2.6; `include/openvswitch/ofp-msgs.h`,
//! `nx_ipfix_stats_reply` in `nicira-ext.h`). Pure.

use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;
const HELLO: u8 = 0;
const STATS_REQUEST: u8 = 16;
const STATS_REPLY: u8 = 17;
const VENDOR_STATS: u16 = 0xffff;
const NICIRA: u32 = 0x2320;
const IPFIX_BRIDGE: u32 = 3;
/// Header, kind of statistics, flags, vendor, subtype, padding.
const REPLY_HEADER: usize = 24;
/// Which of the numbers of 64 bits that follow: `tx_pkts` and `tx_errors`.
const TX_PACKETS: usize = 8;
const TX_ERRORS: usize = 9;

/// Bytes of a message's header, which tell its length.
pub const HEADER: usize = 8;

/// What a bridge's IPFIX has sent since its row was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpfixCounters {
    /// Datagrams that left.
    pub sent: u64,
    /// Datagrams that could not be sent.
    pub send_errors: u64,
}

/// Hello in version 1.0, then the question.
pub fn request() -> Vec<u8> {
    let mut bytes = vec![VERSION, HELLO, 0, 8, 0, 0, 0, 1];
    bytes.extend([VERSION, STATS_REQUEST, 0, 24, 0, 0, 0, 2]);
    bytes.extend(VENDOR_STATS.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(NICIRA.to_be_bytes());
    bytes.extend(IPFIX_BRIDGE.to_be_bytes());
    bytes.extend([0; 4]);
    bytes
}

/// The length of the message that begins so, header included.
pub fn length(header: [u8; HEADER]) -> usize {
    usize::from(u16::from_be_bytes([header[2], header[3]])).max(HEADER)
}

/// The counters, if the message is the answer.
pub fn answer(message: &[u8]) -> Option<IpfixCounters> {
    let is_answer = message.first() == Some(&VERSION)
        && message.get(1) == Some(&STATS_REPLY)
        && message.get(8..10) == Some(&VENDOR_STATS.to_be_bytes())
        && message.get(12..16) == Some(&NICIRA.to_be_bytes())
        && message.get(16..20) == Some(&IPFIX_BRIDGE.to_be_bytes());
    let numbers = message.get(REPLY_HEADER..).filter(|_| is_answer)?;
    let number = |index: usize| {
        let bytes = numbers.get(index * 8..index * 8 + 8)?;
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    };
    let (tried, send_errors) = (number(TX_PACKETS)?, number(TX_ERRORS)?);
    Some(IpfixCounters {
        // Those that failed are counted among those that were sent, too.
        sent: tried.saturating_sub(send_errors),
        send_errors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What OVS 3.1.0 answered after 13 datagrams, of which 4 were refused.
    fn recorded() -> Vec<u8> {
        let mut bytes = vec![1, 17, 0, 112, 0, 0, 0, 2, 0xff, 0xff, 0, 0, 0, 0, 0x23, 0x20];
        bytes.extend([0, 0, 0, 3, 0, 0, 0, 0]);
        for number in [6_u64, 0, 6, 6, 0, 0, 0, 0, 13, 4, 0] {
            bytes.extend(number.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn what_was_refused_did_not_leave() {
        let counters = answer(&recorded()).unwrap();
        assert_eq!((counters.sent, counters.send_errors), (9, 4));
    }

    #[test]
    fn other_messages_and_short_ones_are_no_answer() {
        let whole = recorded();
        for end in 0..24 + 80 {
            assert_eq!(answer(&whole[..end]), None, "{end} bytes");
        }
        let mut error = whole.clone();
        error[1] = 1;
        assert_eq!(answer(&error), None);
        assert_eq!(length([6, 0, 0, 8, 0, 0, 0, 2]), 8);
        assert_eq!(
            length([6, 0, 0, 0, 0, 0, 0, 2]),
            8,
            "never less than its own header"
        );
    }
}
