//! Addresses and ports at which a handshake showed that something listens. Each
//! thread has its own and knows what its exporters showed it. A table of fixed
//! size: a new listener may take the place of another one.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::quality::RandomState;
use weir_flow::Side;

type Listener = (IpAddr, u16, u8);

/// The listeners that one thread knows.
#[derive(Debug)]
pub struct Listeners {
    /// How many are kept.
    most: usize,
    /// Empty until something was learned: not every format shows handshakes.
    places: Vec<Option<Listener>>,
    hasher: RandomState,
}

impl Listeners {
    /// None yet, and so many at most, a power of two.
    pub fn with_room(most: usize) -> Self {
        Self {
            most,
            places: Vec::new(),
            hasher: RandomState::default(),
        }
    }

    /// Whether something was seen to listen on this side.
    pub fn knows(&self, side: &Side, proto: Option<u8>) -> bool {
        if self.places.is_empty() {
            return false;
        }
        listener(side, proto).is_some_and(|known| self.places[self.place(&known)] == Some(known))
    }

    /// Something listens on this side.
    pub fn learn(&mut self, side: &Side, proto: Option<u8>) {
        let Some(new) = listener(side, proto) else { return };
        if self.places.is_empty() {
            self.places = vec![None; self.most];
        }
        let place = self.place(&new);
        self.places[place] = Some(new);
    }

    fn place(&self, listener: &Listener) -> usize {
        self.hasher.hash_one(listener) as usize % self.most.max(1)
    }
}

fn listener(side: &Side, proto: Option<u8>) -> Option<Listener> {
    Some((side.addr?, side.port?, proto?))
}
