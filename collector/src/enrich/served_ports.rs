//! The ports that Services have at one address, in one line of the processor's caches.
//! Most pods behind a Service have the same ones, which are kept once.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::answer::Asked;

/// Ports that are kept of one address.
pub const MAX_PORTS: usize = 16;
/// Up to [`MAX_PORTS`] protocols with ports. Zeros after them: no port is 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ServedPorts([u32; MAX_PORTS]);

impl ServedPorts {
    /// Of protocols and ports in a fixed order. `None`: there are too many.
    pub fn new(ports: &[(u8, u16)]) -> Option<Self> {
        let mut all = Self::default();
        all.0
            .get_mut(..ports.len())?
            .iter_mut()
            .zip(ports)
            .for_each(|(place, (proto, port))| *place = number(*proto, *port));
        Some(all)
    }

    /// Whether the port of a side is one of them.
    #[inline]
    pub fn have(&self, side: Asked) -> bool {
        side.port != 0 && self.0.contains(&number(side.proto, side.port))
    }
}

const fn number(proto: u8, port: u16) -> u32 {
    (proto as u32) << 16 | port as u32
}

/// The lists that are shared.
#[derive(Debug)]
pub struct PortLists {
    known: HashSet<Arc<ServedPorts>, RandomState>,
    most: usize,
}

impl PortLists {
    /// Knows none, and will keep so many; with one more all are let go.
    pub fn with_room(most: usize) -> Self {
        Self {
            known: HashSet::default(),
            most,
        }
    }

    /// The one that is like this.
    pub fn share(&mut self, ports: ServedPorts) -> Arc<ServedPorts> {
        if let Some(known) = self.known.get(&ports) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.most {
            self.known.clear();
        }
        let ports = Arc::new(ports);
        self.known.insert(Arc::clone(&ports));
        ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(proto: u8, port: u16) -> Asked {
        Asked {
            address: None,
            port,
            proto,
        }
    }

    #[test]
    fn a_list_has_its_ports_with_their_protocols_and_no_other() {
        let ports = ServedPorts::new(&[(6, 80), (17, 53)]).unwrap();
        let has = [(6, 80), (17, 53), (17, 80), (6, 53), (0, 0), (0, 80)];
        let has = has.map(|(proto, port)| ports.have(asked(proto, port)));
        assert_eq!(has, [true, true, false, false, false, false]);
        assert!(ServedPorts::new(&[(6, 1); MAX_PORTS]).is_some());
        assert!(ServedPorts::new(&[(6, 1); MAX_PORTS + 1]).is_none());
    }

    #[test]
    fn lists_that_are_alike_are_kept_once_and_not_without_bound() {
        let mut lists = PortLists::with_room(100);
        let mut list = |port| lists.share(ServedPorts::new(&[(6, port)]).unwrap());
        assert!(Arc::ptr_eq(&list(80), &list(80)));
        (0..=100).for_each(|port| drop(list(port)));
        assert!(lists.known.len() <= 100);
    }
}
