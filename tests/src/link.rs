//! Network devices: veth pairs, bridges and their exact counters.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Netns;

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Where the end is.
    pub netns: &'a Netns,
    /// The device's name there; at most 15 characters.
    pub device: &'a str,
}

/// Makes a veth pair with checksum offload off and both ends up. Offload is
/// off on both ends because either may be read by a userspace datapath.
pub fn create_veth(one: End<'_>, two: End<'_>) -> Result<()> {
    let place = |end: End<'_>| {
        end.netns
            .name()
            .map(|name| format!(" netns {name}"))
            .unwrap_or_default()
    };
    Netns::underlay().ip(&format!(
        "link add {}{} type veth peer name {}{}",
        one.device,
        place(one),
        two.device,
        place(two)
    ))?;
    for end in [one, two] {
        end.netns.disable_offload(end.device)?;
        // No link-local address: the kernel would talk on the link unasked.
        end.netns
            .ip(&format!("link set {} addrgenmode none up", end.device))?;
    }
    Ok(())
}

/// What a device has received and sent since it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes received, Ethernet headers included.
    pub received_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Bytes sent, Ethernet headers included.
    pub sent_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
}

impl Counters {
    /// Reads a device's counters.
    pub fn read(netns: &Netns, device: &str) -> Result<Self> {
        let text = netns.ip(&format!("-s -j link show dev {device}"))?;
        let links: Value = serde_json::from_str(&text).context("`ip -j` prints JSON")?;
        Self::parse(&links).with_context(|| format!("no counters of {device} in {text}"))
    }

    /// The difference since an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            received_bytes: self.received_bytes - earlier.received_bytes,
            received_packets: self.received_packets - earlier.received_packets,
            sent_bytes: self.sent_bytes - earlier.sent_bytes,
            sent_packets: self.sent_packets - earlier.sent_packets,
        }
    }

    fn parse(links: &Value) -> Option<Self> {
        let counter = |side: &str, name: &str| links.pointer(&format!("/0/stats64/{side}/{name}"))?.as_u64();
        Some(Self {
            received_bytes: counter("rx", "bytes")?,
            received_packets: counter("rx", "packets")?,
            sent_bytes: counter("tx", "bytes")?,
            sent_packets: counter("tx", "packets")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counters_are_read_from_the_output_of_ip_and_subtracted() {
        let links = json!([{ "stats64": {
            "rx": { "bytes": 10, "packets": 2 }, "tx": { "bytes": 30, "packets": 4 } } }]);
        let counters = Counters::parse(&links).unwrap();
        assert_eq!((counters.received_bytes, counters.sent_packets), (10, 4));
        assert_eq!(counters.since(counters), Counters::default());
        assert_eq!(Counters::parse(&json!([])), None);
    }
}
