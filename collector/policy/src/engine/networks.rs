//! Networks that policies name, and the classes of addresses that none of them tells
//! apart: sorted intervals per family, each with the set of the networks around it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;
use ipnet::IpNet;

/// The class of addresses in no network.
pub(crate) const NO_NETWORK: u32 = 0;

/// All networks and the classes that they make. A class keeps its number when networks
/// are added, as long as its set is the same.
#[derive(Debug, Clone)]
pub(crate) struct Networks {
    blocks: Vec<IpNet>,
    ids: HashMap<IpNet, u32, RandomState>,
    v4: Intervals,
    v6: Intervals,
    sets: Vec<Arc<[u32]>>,
    classes: HashMap<Arc<[u32]>, u32, RandomState>,
}

/// Where each interval starts, and its class; it ends where the next one starts.
#[derive(Debug, Clone, Default)]
struct Intervals {
    starts: Vec<u128>,
    classes: Vec<u32>,
}

impl Intervals {
    fn class(&self, address: u128) -> u32 {
        let after = self.starts.partition_point(|start| *start <= address);
        after
            .checked_sub(1)
            .and_then(|at| self.classes.get(at))
            .copied()
            .unwrap_or(NO_NETWORK)
    }

    /// The classes from the first address to the last, sorted.
    fn between(&self, first: u128, last: u128) -> Vec<u32> {
        let after = self.starts.partition_point(|start| *start <= first);
        let more = self.starts.iter().zip(&self.classes).skip(after);
        let more = more
            .take_while(|(start, _)| **start <= last)
            .map(|(_, class)| *class);
        let mut classes: Vec<u32> = std::iter::once(self.class(first)).chain(more).collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    /// From here on it is this class.
    fn push(&mut self, start: u128, class: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.classes.pop();
        }
        self.starts.push(start);
        self.classes.push(class);
    }
}

impl Default for Networks {
    fn default() -> Networks {
        let empty: Arc<[u32]> = Arc::from([]);
        Networks {
            blocks: Vec::new(),
            ids: HashMap::default(),
            v4: Intervals::default(),
            v6: Intervals::default(),
            sets: vec![Arc::clone(&empty)],
            classes: HashMap::from_iter([(empty, NO_NETWORK)]),
        }
    }
}

impl Networks {
    /// The number of a network that was added.
    pub(crate) fn id(&self, network: &IpNet) -> Option<u32> {
        self.ids.get(network).copied()
    }

    /// Adds networks; gives back those that are new.
    pub(crate) fn add<'n>(&mut self, networks: impl IntoIterator<Item = &'n IpNet>) -> Vec<IpNet> {
        let mut added = Vec::new();
        for network in networks {
            if !self.ids.contains_key(network) {
                self.ids.insert(*network, self.blocks.len() as u32);
                self.blocks.push(*network);
                added.push(*network);
            }
        }
        if !added.is_empty() {
            self.v4 = self.intervals(|network| matches!(network, IpNet::V4(_)));
            self.v6 = self.intervals(|network| matches!(network, IpNet::V6(_)));
        }
        added
    }

    /// How many classes there are.
    pub(crate) fn len(&self) -> u32 {
        self.sets.len() as u32
    }

    /// The class of an address.
    pub(crate) fn class(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(v4) => self.v4.class(u32::from(v4).into()),
            IpAddr::V6(v6) => self.v6.class(v6.into()),
        }
    }

    /// All classes that addresses of a network have.
    pub(crate) fn classes_within(&self, network: IpNet) -> Vec<u32> {
        let family = match network {
            IpNet::V4(_) => &self.v4,
            IpNet::V6(_) => &self.v6,
        };
        family.between(number(network.network()), number(network.broadcast()))
    }

    /// Where each interval starts, and where all addresses do.
    pub(crate) fn starts(&self) -> Vec<IpAddr> {
        let v4 = self
            .v4
            .starts
            .iter()
            .filter_map(|start| u32::try_from(*start).ok());
        let v4 = std::iter::once(0).chain(v4).map(|start| IpAddr::V4(start.into()));
        let v6 = std::iter::once(0).chain(self.v6.starts.iter().copied());
        v4.chain(v6.map(|start| IpAddr::V6(start.into()))).collect()
    }

    /// The smallest network around a class.
    pub(crate) fn smallest_around(&self, class: u32) -> Option<IpNet> {
        let around = self.around(class).iter();
        let networks = around.filter_map(|network| self.blocks.get(*network as usize));
        networks.max_by_key(|network| network.prefix_len()).copied()
    }

    /// The networks around a class, sorted by number.
    pub(crate) fn around(&self, class: u32) -> &[u32] {
        self.sets.get(class as usize).map_or(&[], |set| set)
    }

    /// Networks nest, so that a walk along their starts with a stack of those that are
    /// open meets every interval once.
    fn intervals(&mut self, family: impl Fn(&IpNet) -> bool) -> Intervals {
        let mut blocks: Vec<(u128, u8, u128, u32)> = (0u32..)
            .zip(&self.blocks)
            .filter(|(_, network)| family(network))
            .map(|(id, network)| {
                (
                    number(network.network()),
                    network.prefix_len(),
                    number(network.broadcast()),
                    id,
                )
            })
            .collect();
        blocks.sort_unstable();
        let mut intervals = Intervals::default();
        let mut open: Vec<(u128, u32)> = Vec::new();
        for (start, _, end, id) in blocks {
            self.close(&mut open, &mut intervals, Some(start));
            open.push((end, id));
            intervals.push(start, self.intern(&open));
        }
        self.close(&mut open, &mut intervals, None);
        intervals
    }

    /// Ends the networks that end before `until`.
    fn close(&mut self, open: &mut Vec<(u128, u32)>, intervals: &mut Intervals, until: Option<u128>) {
        while let Some((end, _)) = open.last().copied()
            && until.is_none_or(|until| end < until)
        {
            open.pop();
            if let Some(next) = end.checked_add(1) {
                intervals.push(next, self.intern(open));
            }
        }
    }

    fn intern(&mut self, open: &[(u128, u32)]) -> u32 {
        let mut set: Vec<u32> = open.iter().map(|(_, id)| *id).collect();
        set.sort_unstable();
        if let Some(class) = self.classes.get(set.as_slice()) {
            return *class;
        }
        let (set, class): (Arc<[u32]>, u32) = (set.into(), self.sets.len() as u32);
        self.sets.push(Arc::clone(&set));
        self.classes.insert(set, class);
        class
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}
