//! What was received of each node of the cluster, by format, whatever addresses it came
//! from: through a relay many nodes come from one.

use std::ops::AddAssign;
use std::sync::Arc;

use wire::{Protocol, Summary};

/// What was received of one node in one format. Times are ms since the epoch UTC, 0: never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reception {
    /// When the newest datagram was received that could be read, records or not.
    pub last_ms: u64,
    /// Datagrams and messages that could be read.
    pub datagrams: u64,
    /// Flow records in them.
    pub records: u64,
    /// What sequence numbers count of them: flows (NetFlow 5), records (IPFIX) or datagrams.
    pub sequenced: u64,
    /// Missing by sequence number, in the same unit.
    pub lost: u64,
}

impl Reception {
    /// A datagram could be read.
    pub fn count(&mut self, summary: &Summary, now_ms: u64) {
        self.last_ms = now_ms;
        self.datagrams += 1;
        self.records += summary.records as u64;
        self.sequenced += match summary.protocol {
            Protocol::NetFlow5 | Protocol::Ipfix => summary.data_records as u64,
            Protocol::NetFlow9 | Protocol::Sflow5 => 1,
        };
    }
}

impl AddAssign for Reception {
    fn add_assign(&mut self, more: Self) {
        self.last_ms = self.last_ms.max(more.last_ms);
        self.datagrams += more.datagrams;
        self.records += more.records;
        self.sequenced += more.sequenced;
        self.lost += more.lost;
    }
}

/// What was received of one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeReception {
    /// By [`Protocol`], in the order of [`Protocol::ALL`].
    pub formats: [Reception; Protocol::ALL.len()],
    /// When a datagram with the node's mark came last from an address that is not the
    /// node's; ms since the epoch UTC, 0: never.
    pub unproven_ms: u64,
}

impl NodeReception {
    /// What was received in one format.
    pub fn format(&mut self, protocol: Protocol) -> &mut Reception {
        &mut self.formats[protocol as usize]
    }
}

impl AddAssign for NodeReception {
    fn add_assign(&mut self, more: Self) {
        for (sum, more) in self.formats.iter_mut().zip(more.formats) {
            *sum += more;
        }
        self.unproven_ms = self.unproven_ms.max(more.unproven_ms);
    }
}

/// What one worker counts of nodes in one batch, which are few.
#[derive(Debug, Default)]
pub(super) struct NodeTally(Vec<(Arc<str>, NodeReception)>);

impl NodeTally {
    /// What is counted of a node.
    pub(super) fn of(&mut self, node: &Arc<str>) -> &mut NodeReception {
        let same = |(known, _): &(Arc<str>, NodeReception)| Arc::ptr_eq(known, node) || known == node;
        let at = match self.0.iter().rposition(same) {
            Some(at) => at,
            None => {
                self.0.push((Arc::clone(node), NodeReception::default()));
                self.0.len() - 1
            }
        };
        &mut self.0[at].1
    }

    /// All of it, which is forgotten here.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Arc<str>, NodeReception)> {
        self.0.drain(..)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
