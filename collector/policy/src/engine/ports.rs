//! Classes of ports: those that no rule tells apart are one. A table of 65,536 for each
//! protocol that policies can name; all other protocols are one class.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::facts::{PROTOCOLS, Protocol};

/// The class of every protocol that policies cannot name.
pub(crate) const OTHER: u32 = 0;
const PORTS: u32 = 65_536;

/// A range of ports of a protocol that some rule names.
pub(crate) type PortSpec = (Protocol, u16, u16);

/// All ranges and the classes that they make.
#[derive(Debug, Clone)]
pub(crate) struct PortClasses {
    tables: [Arc<Vec<u32>>; 3],
    /// By class: the ranges around it, and how many ports it has.
    classes: Vec<(Vec<u32>, u32)>,
    specs: HashMap<PortSpec, u32, RandomState>,
}

impl Default for PortClasses {
    fn default() -> PortClasses {
        let whole = |protocol: Protocol| Arc::new(vec![OTHER + 1 + protocol as u32; PORTS as usize]);
        PortClasses {
            tables: PROTOCOLS.map(whole),
            classes: vec![
                (Vec::new(), 0),
                (Vec::new(), PORTS),
                (Vec::new(), PORTS),
                (Vec::new(), PORTS),
            ],
            specs: HashMap::default(),
        }
    }
}

impl PortClasses {
    /// The class of a port; for other protocols the port is of no matter.
    pub(crate) fn class(&self, protocol: u8, port: u16) -> u32 {
        let table = Protocol::of(protocol).map(|protocol| &self.tables[protocol as usize]);
        table
            .and_then(|table| table.get(usize::from(port)))
            .copied()
            .unwrap_or(OTHER)
    }

    /// How many classes there are.
    pub(crate) fn len(&self) -> usize {
        self.classes.len()
    }

    /// The number of a range that was added.
    pub(crate) fn id(&self, spec: &PortSpec) -> Option<u32> {
        self.specs.get(spec).copied()
    }

    /// Whether one of these ranges is around a class.
    pub(crate) fn is_within(&self, class: u32, specs: &[u32]) -> bool {
        let around = self
            .classes
            .get(class as usize)
            .map_or(&[][..], |(around, _)| around);
        around.iter().any(|spec| specs.contains(spec))
    }

    /// Adds a range. Gives back the classes that were split: the one that goes on to
    /// hold the ports outside of the range, by the new one that holds those within.
    pub(crate) fn add(&mut self, spec: PortSpec) -> Vec<u32> {
        let (protocol, first, last) = spec;
        if self.specs.contains_key(&spec) {
            return Vec::new();
        }
        let id = self.specs.len() as u32;
        self.specs.insert(spec, id);
        let table = Arc::make_mut(&mut self.tables[protocol as usize]);
        let range = within(first, last);
        let mut met: BTreeMap<u32, u32> = BTreeMap::new();
        for run in table[range.clone()].chunk_by(|one, next| one == next) {
            *met.entry(run[0]).or_default() += run.len() as u32;
        }
        let mut split = Vec::new();
        let mut moved: BTreeMap<u32, u32> = BTreeMap::new();
        for (class, count) in met {
            let next = self.classes.len() as u32;
            let (around, size) = &mut self.classes[class as usize];
            if *size == count {
                around.push(id);
                continue;
            }
            *size -= count;
            let mut around = around.clone();
            around.push(id);
            self.classes.push((around, count));
            moved.insert(class, next);
            split.push(class);
        }
        if !moved.is_empty() {
            for run in table[range].chunk_by_mut(|one, next| one == next) {
                if let Some(next) = moved.get(&run[0]) {
                    run.fill(*next);
                }
            }
        }
        split
    }
}

/// Nothing where the last comes before the first.
fn within(first: u16, last: u16) -> RangeInclusive<usize> {
    usize::from(first)..=usize::from(last).max(usize::from(first).saturating_sub(1))
}
