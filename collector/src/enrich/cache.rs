//! Who sides were a moment ago, by all that it was found by. A table of fixed places, of
//! which a side has a few: a new one may take the place of another. It starts small and
//! grows while sides push each other out, so that a connection with one exporter takes
//! little.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use weir_flow::{IdentifiedBy, Identity};
use weir_identity::{Services, Span};

use super::answer::{Asked, BehindKind};

/// Places at first, 64 bytes each; a power of two.
const FIRST: usize = 1_024;
/// Places that a side may have, one after the other.
const WAYS: usize = 4;

/// What a side is looked up by, beside the flow's time and the identity behind its
/// interface, in the least number of bits. Sides whose answers can only be the same have
/// the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The address: 128 bits, or the last 32.
    address: [u64; 2],
    /// Its family, the protocol, the port, and how else the side is known.
    rest: u64,
}

/// In place of the port where there is none.
const NO_PORT: u64 = 0;
/// In place of one that no Service has, such as a client's.
const OTHER_PORT: u64 = 1 << 16;

impl Key {
    /// Of a side that is known like this.
    #[inline]
    pub fn of(asked: Asked, behind: BehindKind, services: &Services) -> Self {
        let port = match asked.port {
            0 => NO_PORT,
            port if services.has_port(port) => u64::from(port),
            _ => OTHER_PORT,
        };
        let any_proto = match port {
            NO_PORT => true,
            OTHER_PORT => !services.portless,
            _ => false,
        };
        let proto = if any_proto { 0 } else { asked.proto };
        let (family, address) = match asked.address {
            None => (0, [0, 0]),
            Some(IpAddr::V4(address)) => (1, [0, u64::from(address.to_bits())]),
            Some(IpAddr::V6(address)) => {
                let bits = address.to_bits();
                (2, [(bits >> 64) as u64, bits as u64])
            }
        };
        Self {
            address,
            rest: port << 24 | u64::from(proto) << 16 | (behind as u64) << 8 | family,
        }
    }
}

/// Who a side is.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Who.
    pub identity: Arc<Identity>,
    /// What that rests on.
    pub found: IdentifiedBy,
    /// A Service has its port.
    pub serves: bool,
    /// Neither its address nor its interface says: its Ethernet address might.
    pub unowned: bool,
}

impl Answer {
    /// The same, borrowed.
    pub fn as_known(&self) -> Known<'_> {
        Known {
            identity: &self.identity,
            found: self.found,
            serves: self.serves,
            unowned: self.unowned,
        }
    }
}

/// An [`Answer`] that is kept elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Who.
    pub identity: &'a Arc<Identity>,
    /// What that rests on.
    pub found: IdentifiedBy,
    /// A Service has its port.
    pub serves: bool,
    /// Neither its address nor its interface says: its Ethernet address might.
    pub unowned: bool,
}

/// What was found.
#[derive(Debug)]
pub struct Cache {
    places: Vec<Option<Entry>>,
    /// Places at most; a power of two.
    most: usize,
    hasher: RandomState,
    /// Which state of the names entries have to be of.
    generation: u32,
    /// How often an entry of this state was pushed out by another.
    pushed_out: usize,
}

/// As large as a line of the processor's caches.
#[derive(Debug)]
#[repr(align(64))]
struct Entry {
    key: Key,
    /// It is held so that its address stays its own.
    behind: Option<Arc<Identity>>,
    /// Flows that ran within have this answer.
    steady: Span,
    identity: Arc<Identity>,
    generation: u32,
    found: IdentifiedBy,
    serves: bool,
    unowned: bool,
}

impl Cache {
    /// An empty one with so many places at most, a power of two.
    pub fn with_room(most: usize) -> Self {
        Self {
            places: Vec::new(),
            most: most.max(FIRST),
            hasher: RandomState::default(),
            generation: 0,
            pushed_out: 0,
        }
    }

    /// Nothing of what is known is true any more.
    pub fn outdate(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.places.clear();
        }
    }

    /// Who a side of this flow was found to be.
    #[inline]
    pub fn get(&self, key: &Key, behind: Option<&Arc<Identity>>, flow: Span) -> Option<Known<'_>> {
        let first = self.first(key);
        let ways = self.places.get(first..first + WAYS)?;
        let mut entries = ways.iter().flatten();
        let entry = entries.find(|entry| entry.is(key, behind) && entry.generation == self.generation)?;
        flow.is_within(entry.steady).then_some(Known {
            identity: &entry.identity,
            found: entry.found,
            serves: entry.serves,
            unowned: entry.unowned,
        })
    }

    /// Who a side of any flow within a span is.
    pub fn put(&mut self, key: Key, behind: Option<&Arc<Identity>>, steady: Span, answer: Answer) {
        if self.places.is_empty() {
            self.places.resize_with(FIRST + WAYS, || None);
        }
        let entry = Entry {
            key,
            behind: behind.cloned(),
            steady,
            identity: answer.identity,
            generation: self.generation,
            found: answer.found,
            serves: answer.serves,
            unowned: answer.unowned,
        };
        self.place(entry);
        if self.pushed_out > self.places.len() / 4 && self.places.len() < self.most {
            self.grow();
        }
    }

    /// Puts it where the same side was, else where nobody is, else in another's place.
    fn place(&mut self, entry: Entry) {
        let first = self.first(&entry.key);
        let (generation, behind) = (self.generation, entry.behind.as_ref());
        let ways = &mut self.places[first..first + WAYS];
        let is_same = |old: &Option<Entry>| old.as_ref().is_some_and(|old| old.is(&entry.key, behind));
        let is_free = |old: &Option<Entry>| old.as_ref().is_none_or(|old| old.generation != generation);
        let way = ways
            .iter()
            .position(is_same)
            .or_else(|| ways.iter().position(is_free));
        if way.is_none() {
            self.pushed_out += 1;
        }
        ways[way.unwrap_or(self.pushed_out % WAYS)] = Some(entry);
    }

    fn grow(&mut self) {
        let places = 2 * (self.places.len() - WAYS) + WAYS;
        let old = std::mem::take(&mut self.places);
        self.places.resize_with(places, || None);
        old.into_iter().flatten().for_each(|entry| self.place(entry));
        self.pushed_out = 0;
    }

    /// Answers that are known.
    #[cfg(test)]
    pub fn filled(&self) -> usize {
        let fresh = |entry: &&Entry| entry.generation == self.generation;
        self.places.iter().flatten().filter(fresh).count()
    }

    /// The first place of a side.
    fn first(&self, key: &Key) -> usize {
        let places = self.places.len().saturating_sub(WAYS);
        self.hasher.hash_one(key) as usize & places.wrapping_sub(1)
    }
}

impl Entry {
    #[inline]
    fn is(&self, key: &Key, behind: Option<&Arc<Identity>>) -> bool {
        let address = |who: Option<&Arc<Identity>>| who.map_or(0, |who| Arc::as_ptr(who).addr());
        self.key == *key && address(self.behind.as_ref()) == address(behind)
    }
}

#[cfg(test)]
mod tests {
    use weir_identity::{NodePort, Published, Timeline};

    use super::*;

    fn key(port: u16) -> Key {
        Key {
            address: [0, 7],
            rest: port.into(),
        }
    }

    fn answer() -> Answer {
        Answer {
            identity: Identity::nobody(),
            found: IdentifiedBy::Address,
            serves: true,
            unowned: false,
        }
    }

    #[test]
    fn sides_have_one_key_when_their_answers_can_only_be_the_same() {
        let mut services = Services::default();
        let port = NodePort { proto: 6, port: 80 };
        services.insert(port, Timeline::default());
        let key = |address: [u8; 4], port, proto, services: &Services| {
            let asked = Asked {
                address: Some(address.into()),
                port,
                proto,
            };
            Key::of(asked, BehindKind::Nothing, services)
        };
        let (one, other) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        assert_eq!(key(one, 40_000, 6, &services), key(one, 40_001, 17, &services));
        assert_ne!(key(one, 40_000, 6, &services), key(other, 40_000, 6, &services));
        assert_ne!(key(one, 40_000, 6, &services), key(one, 80, 6, &services));
        assert_ne!(key(one, 80, 17, &services), key(one, 80, 6, &services));
        assert_ne!(key(one, 0, 6, &services), key(one, 40_000, 6, &services));
        services.portless = true;
        assert_ne!(key(one, 40_000, 17, &services), key(one, 40_000, 6, &services));
    }

    #[test]
    fn an_answer_is_given_again_for_the_same_side_within_its_span_until_names_change() {
        let mut cache = Cache::with_room(FIRST);
        let flow = |from, to| Span { from, to };
        assert!(cache.get(&key(1), None, flow(5, 5)).is_none());
        cache.put(key(1), None, flow(3, 7), answer());
        assert!(cache.get(&key(1), None, flow(3, 7)).is_some());
        assert!(cache.get(&key(1), None, flow(3, 8)).is_none());
        assert!(cache.get(&key(1), None, flow(2, 7)).is_none());
        assert!(cache.get(&key(2), None, flow(5, 5)).is_none());
        let pod = Arc::new(Identity::default());
        assert!(cache.get(&key(1), Some(&pod), flow(5, 5)).is_none());
        cache.outdate();
        assert!(cache.get(&key(1), None, flow(5, 5)).is_none());
    }

    #[test]
    fn it_starts_small_and_grows_to_a_bound() {
        const MOST: usize = 65_536;
        let mut cache = Cache::with_room(MOST);
        assert_eq!(cache.places.capacity(), 0);
        let known = |cache: &Cache| {
            let ports = 0..u16::MAX;
            ports
                .filter(|port| cache.get(&key(*port), None, Span::ALWAYS).is_some())
                .count()
        };
        for port in 0..300 {
            cache.put(key(port), None, Span::ALWAYS, answer());
        }
        // A few of so many push another out: where they stand is drawn anew in each run.
        assert_eq!(cache.places.len(), FIRST + WAYS);
        assert!(known(&cache) > 250, "{}", known(&cache));
        for _ in 0..4 {
            (0..u16::MAX).for_each(|port| cache.put(key(port), None, Span::ALWAYS, answer()));
        }
        assert_eq!(cache.places.len(), MOST + WAYS);
        assert!(known(&cache) > MOST / 2, "{}", known(&cache));
    }

    #[test]
    fn a_place_takes_a_line_of_the_processors_caches() {
        assert_eq!(size_of::<Option<Entry>>(), 64);
    }
}
