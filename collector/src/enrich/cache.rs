//! Who sides were a moment ago, by all that it was found by. A table of fixed places, of
//! which a side has a few: a new one may take the place of another. It starts small and
//! grows while sides push each other out, so that a connection with one exporter takes
//! little.
//!
//! Most addresses are told by one entry for all of their ports: who is there, the ports that
//! a Service has there, and who it is with that Service ([`Answers`]). So what is known of
//! 10,000 pods with eight ports each fits the caches of a processor's core. Where ports tell
//! more apart than that, the entry says so, and each port has an entry of its own.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use weir_flow::{IdentifiedBy, Identity};
use weir_identity::{Services, Span};

use super::answer::{Asked, BehindKind};
use super::served_ports::ServedPorts;
use super::side_key::Key;

/// Places at first, 64 bytes each; a power of two.
const FIRST: usize = 1_024;
/// Places that a side may have, one after the other.
const WAYS: usize = 4;
const SECOND_NS: u64 = 1_000_000_000;

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

/// Who the sides of one address are, whatever their ports.
#[derive(Debug, Clone)]
pub enum Answers {
    /// Alike: who it is at ports that no Service has, and those that one has, with who it
    /// is there.
    Alike(Answer, Option<(Arc<Identity>, Arc<ServedPorts>)>),
    /// Not alike: it is to be asked with the port.
    ByPort,
}

impl Answers {
    /// Who it is at this port. `None`: to be asked with the port.
    pub fn at(&self, asked: Asked) -> Option<Known<'_>> {
        let Self::Alike(plain, served) = self else {
            return None;
        };
        let served = served.as_ref().map(|(identity, ports)| (identity, ports));
        Some(plain.as_known().at(asked, served))
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

impl<'a> Known<'a> {
    /// Who it is at this port, where some ports of its address are a Service's.
    #[inline]
    fn at(self, asked: Asked, served: Option<(&'a Arc<Identity>, &Arc<ServedPorts>)>) -> Self {
        match served {
            Some((identity, ports)) if ports.have(asked) => Self {
                identity,
                serves: true,
                ..self
            },
            _ => self,
        }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Cache {
    places: Vec<Option<Entry>>,
    /// Places at most; a power of two.
    most: usize,
    hasher: RandomState,
    /// Which state of the names entries have to be of.
    generation: u16,
    /// How often an entry of this state was pushed out by another.
    pushed_out: usize,
}

/// As large as a line of the processor's caches.
#[derive(Debug)]
#[repr(align(64))]
struct Entry {
    // Its key, without padding.
    address: [u64; 2],
    rest: u32,
    generation: u16,
    found: IdentifiedBy,
    flags: Flags,
    /// Flows that ran within have this answer.
    steady: Seconds,
    /// It is held so that its address stays its own.
    behind: Option<Arc<Identity>>,
    identity: Arc<Identity>,
    /// Who it is at the ports that a Service has, and those.
    served: Option<Arc<Identity>>,
    ports: Option<Arc<ServedPorts>>,
}

/// What else is known of an entry.
#[derive(Debug, Clone, Copy)]
struct Flags(u8);

impl Flags {
    const SERVES: u8 = 1;
    const UNOWNED: u8 = 2;
    /// Ports tell more apart than an entry for all of them can say.
    const BY_PORT: u8 = 4;

    fn of(answer: &Answer) -> Self {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        Self(flag(answer.serves, Self::SERVES) | flag(answer.unowned, Self::UNOWNED))
    }

    const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

/// A span of time in whole seconds, never longer than the span that it was made from.
#[derive(Debug, Clone, Copy)]
struct Seconds {
    from: u32,
    /// The last moment of this second belongs to it; `u32::MAX`: it lasts.
    to: u32,
}

impl Seconds {
    fn within(span: Span) -> Option<Self> {
        let from = u32::try_from(span.from.div_ceil(SECOND_NS)).ok()?;
        let to = if span.is_open() {
            u32::MAX
        } else {
            u32::try_from((span.to.checked_add(1)? / SECOND_NS).checked_sub(1)?).ok()?
        };
        (from <= to).then_some(Self { from, to })
    }

    #[inline]
    fn has(self, flow: Span) -> bool {
        let ends = || flow.to / SECOND_NS <= u64::from(self.to);
        flow.from >= u64::from(self.from) * SECOND_NS && (self.to == u32::MAX || ends())
    }
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
    pub fn get(
        &self,
        asked: Asked,
        hash: u64,
        behind: (BehindKind, Option<&Arc<Identity>>),
        services: &Services,
        flow: Span,
    ) -> Option<Known<'_>> {
        let (kind, behind) = behind;
        let entry = self.entry_at(hash, &Key::of_address(asked, kind), behind, flow)?;
        if entry.flags.has(Flags::BY_PORT) {
            let key = Key::of_port(asked, kind, services);
            return Some(self.entry(&key, behind, flow)?.known());
        }
        let served = entry.served.as_ref().zip(entry.ports.as_ref());
        Some(entry.known().at(asked, served))
    }

    /// Where a side is looked for.
    #[inline]
    pub fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Whether there is anything in the first place of a side: it is in the processor's
    /// caches then.
    #[inline]
    pub fn touch(&self, hash: u64) -> bool {
        self.places.get(self.first(hash)).is_some_and(Option::is_some)
    }

    /// Who a side is at the ports that no Service has, if that is known.
    #[inline]
    pub fn identity(
        &self,
        hash: u64,
        key: &Key,
        behind: Option<&Arc<Identity>>,
        flow: Span,
    ) -> Option<&Arc<Identity>> {
        Some(&self.entry_at(hash, key, behind, flow)?.identity)
    }

    /// Whether it is known who the sides of an address are for this flow, or that each of
    /// their ports is to be asked about.
    pub fn knows_address(&self, key: &Key, behind: Option<&Arc<Identity>>, flow: Span) -> bool {
        self.entry(key, behind, flow).is_some()
    }

    #[inline]
    fn entry(&self, key: &Key, behind: Option<&Arc<Identity>>, flow: Span) -> Option<&Entry> {
        self.entry_at(self.hash(key), key, behind, flow)
    }

    #[inline]
    fn entry_at(&self, hash: u64, key: &Key, behind: Option<&Arc<Identity>>, flow: Span) -> Option<&Entry> {
        let first = self.first(hash);
        let ways = self.places.get(first..first + WAYS)?;
        let mut entries = ways.iter().flatten();
        let entry = entries.find(|entry| entry.is(key, behind) && entry.generation == self.generation)?;
        entry.steady.has(flow).then_some(entry)
    }

    /// Who the sides of an address are for any flow within a span.
    pub fn put_address(&mut self, key: Key, behind: Option<&Arc<Identity>>, steady: Span, answers: Answers) {
        match answers {
            Answers::ByPort => self.put_with(key, behind, steady, None, (None, None)),
            Answers::Alike(plain, served) => {
                let (identity, ports) = served.unzip();
                self.put_with(key, behind, steady, Some(plain), (identity, ports));
            }
        }
    }

    /// Who a side of any flow within a span is.
    pub fn put(&mut self, key: Key, behind: Option<&Arc<Identity>>, steady: Span, answer: Answer) {
        self.put_with(key, behind, steady, Some(answer), (None, None));
    }

    fn put_with(
        &mut self,
        key: Key,
        behind: Option<&Arc<Identity>>,
        steady: Span,
        answer: Option<Answer>,
        (served, ports): (Option<Arc<Identity>>, Option<Arc<ServedPorts>>),
    ) {
        let Some(steady) = Seconds::within(steady) else {
            return;
        };
        if self.places.is_empty() {
            self.places.resize_with(FIRST + WAYS, || None);
        }
        let flags = answer.as_ref().map_or(Flags(Flags::BY_PORT), Flags::of);
        let found = answer.as_ref().map(|answer| answer.found);
        let entry = Entry {
            address: key.address,
            rest: key.rest,
            behind: behind.cloned(),
            steady,
            identity: answer.map_or_else(Identity::nobody, |answer| answer.identity),
            generation: self.generation,
            found: found.unwrap_or_default(),
            flags,
            served,
            ports,
        };
        self.place(entry);
        if self.pushed_out > self.places.len() / 4 && self.places.len() < self.most {
            self.grow();
        }
    }

    /// Puts it where the same side was, else where nobody is, else in another's place.
    fn place(&mut self, entry: Entry) {
        let key = entry.key();
        let first = self.first(self.hash(&key));
        let (generation, behind) = (self.generation, entry.behind.as_ref());
        let ways = &mut self.places[first..first + WAYS];
        let is_same = |old: &Option<Entry>| old.as_ref().is_some_and(|old| old.is(&key, behind));
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
    fn first(&self, hash: u64) -> usize {
        let places = self.places.len().saturating_sub(WAYS);
        hash as usize & places.wrapping_sub(1)
    }
}

impl Entry {
    #[inline]
    fn key(&self) -> Key {
        Key {
            address: self.address,
            rest: self.rest,
        }
    }

    fn known(&self) -> Known<'_> {
        Known {
            identity: &self.identity,
            found: self.found,
            serves: self.flags.has(Flags::SERVES),
            unowned: self.flags.has(Flags::UNOWNED),
        }
    }

    #[inline]
    fn is(&self, key: &Key, behind: Option<&Arc<Identity>>) -> bool {
        let address = |who: Option<&Arc<Identity>>| who.map_or(0, |who| Arc::as_ptr(who).addr());
        self.key() == *key && address(self.behind.as_ref()) == address(behind)
    }
}

#[cfg(test)]
mod tests {
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
    fn an_answer_is_given_again_for_the_same_side_within_its_span_until_names_change() {
        let mut cache = Cache::with_room(FIRST);
        let flow = |from, to| Span {
            from: from * SECOND_NS,
            to: to * SECOND_NS,
        };
        assert!(cache.entry(&key(1), None, flow(5, 5)).is_none());
        cache.put(key(1), None, flow(3, 8), answer());
        assert!(cache.entry(&key(1), None, flow(3, 7)).is_some());
        assert!(cache.entry(&key(1), None, flow(3, 8)).is_none());
        assert!(cache.entry(&key(1), None, flow(2, 7)).is_none());
        assert!(cache.entry(&key(2), None, flow(5, 5)).is_none());
        let pod = Arc::new(Identity::default());
        assert!(cache.entry(&key(1), Some(&pod), flow(5, 5)).is_none());
        cache.outdate();
        assert!(cache.entry(&key(1), None, flow(5, 5)).is_none());
    }

    #[test]
    fn a_span_in_seconds_is_never_longer_than_the_span() {
        let near = |second: u64| (second * SECOND_NS).saturating_sub(1)..=second * SECOND_NS + 1;
        let moments: Vec<u64> = (0..4).flat_map(near).chain([u64::MAX - 1, u64::MAX]).collect();
        let spans = moments
            .iter()
            .flat_map(|from| moments.iter().map(|to| Span { from: *from, to: *to }));
        for span in spans.filter(|span| span.from <= span.to) {
            let Some(seconds) = Seconds::within(span) else {
                continue;
            };
            let spans = moments
                .iter()
                .flat_map(|from| moments.iter().map(|to| Span { from: *from, to: *to }));
            for flow in spans.filter(|flow| flow.from <= flow.to && seconds.has(*flow)) {
                assert!(flow.is_within(span), "{flow:?} {span:?} {seconds:?}");
            }
        }
        let always = Seconds::within(Span::ALWAYS).unwrap();
        assert!(always.has(Span { from: 0, to: 0 }) && always.has(Span::ALWAYS));
    }

    #[test]
    fn it_starts_small_and_grows_to_a_bound() {
        const MOST: usize = 65_536;
        let mut cache = Cache::with_room(MOST);
        assert_eq!(cache.places.capacity(), 0);
        let known = |cache: &Cache| {
            let ports = 0..u16::MAX;
            ports
                .filter(|port| cache.entry(&key(*port), None, Span::ALWAYS).is_some())
                .count()
        };
        for port in 0..300 {
            cache.put(key(port), None, Span::ALWAYS, answer());
        }
        assert_eq!(cache.places.len(), FIRST + WAYS);
        for _ in 0..4 {
            (0..u16::MAX).for_each(|port| cache.put(key(port), None, Span::ALWAYS, answer()));
        }
        assert_eq!(cache.places.len(), MOST + WAYS);
        assert!(known(&cache) > MOST / 2, "{}", known(&cache));
    }

    #[test]
    fn addresses_in_a_row_do_not_share_places_whatever_the_seed() {
        for _ in 0..400 {
            let mut cache = Cache::with_room(FIRST);
            let keys = (0..300).map(|pod| Key {
                address: [0, 0x0a00_0000 + pod],
                rest: 1 << 24,
            });
            for key in keys.clone() {
                cache.put(key, None, Span::ALWAYS, answer());
            }
            // A few of so many push another out: where they stand is drawn anew for each.
            let known = keys.filter(|key| cache.entry(key, None, Span::ALWAYS).is_some());
            let known = known.count();
            assert!(known > 280, "{known}");
        }
    }

    #[test]
    fn a_place_takes_a_line_of_the_processors_caches() {
        assert_eq!(size_of::<Option<Entry>>(), 64);
    }
}
