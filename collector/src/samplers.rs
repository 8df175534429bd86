//! What exporters say in options data about their sampling, and which of it a record
//! is scaled by. Owns neither the reading (`wire`) nor the scaling (`normalise`).
//!
//! A sampler belongs to the exporter, by its address, and to the observation domain or
//! source id that told it (RFC 7011 §3.4.2, RFC 3954 §6.1), not to the port that it came
//! from: several line cards of one exporter send from ports of their own. It scales
//! records of the same address alone, so nobody has to prove more than that. It is put
//! into a record that states no sampling of its own, so that `normalise` scales each
//! record once.
//!
//! | the record | its sampler |
//! |---|---|
//! | names one (IE 302, NetFlow v9 48) | that one, else the exporter's |
//! | names none | that of the interface of its observation (in, or out for direction egress; without a direction the first of them that has one), the exporter's, or the only one there is |
//! | finds none in its own domain | the one that all other domains of the exporter agree on |
//! | is of an exporter whose samplers had to be forgotten | the rate that all of them had |

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use foldhash::quality::RandomState;
use wire::{Direction, Options, OptionsRecord, Protocol, Record, Sampling};

use crate::bounded::BoundedMap;
use crate::normalise::has_ovs_shape;

/// Exporters of which little was heard whose samplers are known, and as many others.
const MAX_EXPORTERS: usize = 4_096;

/// Domains of each; more are not taken.
const MAX_DOMAINS: usize = 64;

/// Samplers of each, over all its domains; more are not taken.
const MAX_SAMPLERS: usize = 1_024;

/// Samplers of all. When there are more, those of strangers are forgotten first.
const MAX_TOTAL: usize = 65_536;

/// Exporters whose rate is remembered when their samplers are not.
const MAX_REMEMBERED: usize = 16_384;

/// All known samplers, shared by the workers: an exporter may reach each of them.
#[derive(Debug, Default)]
pub struct Samplers {
    known: RwLock<Known>,
    /// There is none, so that nobody looks.
    has_any: AtomicBool,
}

#[derive(Debug)]
struct Known {
    exporters: BoundedMap<IpAddr, OfExporter>,
    /// The rate that all samplers of an exporter have; `None`: they have several.
    remembered: BoundedMap<IpAddr, Option<u32>>,
    total: usize,
    /// How many exporters had been forgotten when `total` was counted.
    forgotten: u64,
}

/// The samplers of one exporter, by protocol and domain.
#[derive(Debug, Default)]
struct OfExporter {
    domains: Vec<((Protocol, u32), OfDomain)>,
    samplers: usize,
}

/// The samplers of one domain, by what they are for: one in so many.
#[derive(Debug, Default)]
struct OfDomain {
    of_selector: HashMap<u64, u32, RandomState>,
    of_interface: HashMap<u32, u32, RandomState>,
    general: Option<u32>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            exporters: BoundedMap::new(MAX_EXPORTERS),
            remembered: BoundedMap::new(MAX_REMEMBERED),
            total: 0,
            forgotten: 0,
        }
    }
}

impl Samplers {
    /// Takes in what a datagram from this address says.
    pub fn learn(&self, source: IpAddr, options: &[OptionsRecord]) {
        let mut told = options.iter().filter_map(|record| match record.content {
            Options::Sampling(sampling) => Some(((record.protocol, record.observation_domain), sampling)),
            _ => None,
        });
        let Some(first) = told.next() else { return };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.put(source, std::iter::once(first).chain(told));
        self.has_any.store(true, Ordering::Relaxed);
    }

    /// Puts their sampling into the records of one datagram that state none. Returns how
    /// many stay without, although this exporter has told of samplers.
    pub fn complete(&self, source: IpAddr, records: &mut [Record]) -> usize {
        if !self.has_any.load(Ordering::Relaxed) {
            return 0;
        }
        let mut lacking = records.iter_mut().filter(|record| lacks_sampling(record));
        let Some(first) = lacking.next() else { return 0 };
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let of_exporter = known.exporters.get(&source);
        let remembered = known.remembered.get(&source);
        if of_exporter.is_none() && remembered.is_none() {
            return 0;
        }
        let mut without = 0;
        for record in std::iter::once(first).chain(lacking) {
            record.sampling = match of_exporter {
                Some(exporter) => exporter.choose(record),
                None => remembered.copied().flatten(),
            };
            without += usize::from(record.sampling.is_none());
        }
        without
    }
}

/// Neither states how it was sampled nor needs to: what OVS sends is scaled already, and
/// options data are known of two protocols.
fn lacks_sampling(record: &Record) -> bool {
    matches!(record.protocol, Protocol::Ipfix | Protocol::NetFlow9)
        && record.sampling.is_none()
        && record.sample.is_none()
        && !has_ovs_shape(record)
}

impl Known {
    fn put(&mut self, source: IpAddr, told: impl Iterator<Item = ((Protocol, u32), Sampling)>) {
        if self.exporters.forgotten() != self.forgotten {
            self.count();
        }
        // Whoever is about to tell may take this much.
        while self.total > MAX_TOTAL - MAX_SAMPLERS && self.exporters.evict() {
            self.count();
        }
        let room = MAX_TOTAL.saturating_sub(self.total);
        let exporter = self.exporters.meet(source, false);
        let before = exporter.samplers;
        for (domain, sampling) in told {
            let most = MAX_SAMPLERS.min(before + room);
            exporter.put(domain, sampling, most);
        }
        let (after, rate) = (exporter.samplers, exporter.only_rate());
        self.total += after - before;
        *self.remembered.meet(source, false) = rate;
    }

    fn count(&mut self) {
        self.forgotten = self.exporters.forgotten();
        self.total = self.exporters.iter().map(|(_, exporter)| exporter.samplers).sum();
    }
}

impl OfExporter {
    fn put(&mut self, key: (Protocol, u32), sampling: Sampling, most: usize) {
        let place = self.domains.iter().position(|(known, _)| *known == key);
        let place = match place {
            Some(place) => place,
            None if self.domains.len() >= MAX_DOMAINS => return,
            None => {
                self.domains.push((key, OfDomain::default()));
                self.domains.len() - 1
            }
        };
        let (_, domain) = &mut self.domains[place];
        let before = domain.len();
        domain.put(sampling, most.saturating_sub(self.samplers));
        self.samplers += domain.len() - before;
    }

    fn choose(&self, record: &Record) -> Option<u32> {
        let own = (record.protocol, record.observation_domain.unwrap_or(0));
        let here = self.domains.iter().find(|(key, _)| *key == own);
        if let Some(rate) = here.and_then(|(_, domain)| domain.choose(record)) {
            return Some(rate);
        }
        let others = self
            .domains
            .iter()
            .filter(|(key, _)| key.0 == own.0 && *key != own);
        only(others.filter_map(|(_, domain)| domain.choose(record)))
    }

    /// The rate that all of them have.
    fn only_rate(&self) -> Option<u32> {
        only(self.domains.iter().flat_map(|(_, domain)| domain.rates()))
    }
}

impl OfDomain {
    fn len(&self) -> usize {
        self.of_selector.len() + self.of_interface.len()
    }

    fn rates(&self) -> impl Iterator<Item = u32> {
        let named = self.of_selector.values().chain(self.of_interface.values());
        named.copied().chain(self.general)
    }

    /// `room`: how many more may be kept.
    fn put(&mut self, sampling: Sampling, room: usize) {
        let rate = sampling.rate();
        if (sampling.selector, sampling.interface) == (None, None) {
            self.general = Some(rate);
        }
        if let Some(selector) = sampling.selector {
            put(&mut self.of_selector, selector, rate, room);
        }
        if let Some(interface) = sampling.interface {
            put(&mut self.of_interface, interface, rate, room);
        }
    }

    fn choose(&self, record: &Record) -> Option<u32> {
        if let Some(selector) = record.selector {
            return self.of_selector.get(&selector).copied().or(self.general);
        }
        let at = |interface: Option<u32>| self.of_interface.get(&interface?).copied();
        let observed = match record.direction {
            Some(Direction::Ingress) => at(record.in_if),
            Some(Direction::Egress) => at(record.out_if),
            None => at(record.in_if).or_else(|| at(record.out_if)),
        };
        observed.or(self.general).or_else(|| self.only())
    }

    /// The only sampler there is, if it is for no interface in particular.
    fn only(&self) -> Option<u32> {
        let alone = self.of_selector.len() == 1 && self.of_interface.is_empty();
        self.of_selector.values().next().copied().filter(|_| alone)
    }
}

fn put<K: Eq + Hash>(map: &mut HashMap<K, u32, RandomState>, key: K, rate: u32, room: usize) {
    if room > 0 || map.contains_key(&key) {
        map.insert(key, rate);
    }
}

/// What all say, if they say the same.
fn only(mut rates: impl Iterator<Item = u32>) -> Option<u32> {
    let first = rates.next()?;
    rates.all(|rate| rate == first).then_some(first)
}

#[cfg(test)]
mod tests;
