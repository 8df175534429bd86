//! What exporters say in options data about their sampling, and which of it a record
//! is scaled by. Owns neither the reading (`wire`) nor the scaling (`normalise`).
//!
//! A sampler belongs to the transport session and observation domain that told it
//! (RFC 7011 §3.4.2, RFC 3954 §6.1), as templates do. It is put into a record that
//! states no sampling of its own, so that `normalise` scales each record once.
//!
//! | the record | its sampler |
//! |---|---|
//! | names one (IE 302, NetFlow v9 48) | that one, else the exporter's |
//! | names none | that of its input interface, of its output interface, the exporter's, or the only one there is |

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use wire::{Options, OptionsRecord, Protocol, Record, Sampling};

/// Sessions and domains whose samplers are known at a time. When there are more,
/// all are forgotten: exporters repeat them.
const MAX_SCOPES: usize = 4_096;

/// Samplers of each; more are not taken.
const MAX_SAMPLERS: usize = 1_024;

/// Samplers of all. When there are more, all are forgotten.
const MAX_TOTAL: usize = 65_536;

type ScopeKey = (SocketAddr, Protocol, u32);

/// All known samplers.
#[derive(Debug, Default)]
pub struct Samplers {
    scopes: HashMap<ScopeKey, Scope, RandomState>,
    total: usize,
}

/// Those of one session and domain, by what they are for: one in so many.
#[derive(Debug, Default)]
struct Scope {
    of_selector: HashMap<u64, u32>,
    of_interface: HashMap<u32, u32>,
    general: Option<u32>,
}

impl Samplers {
    /// Takes in what a datagram of this session says.
    pub fn learn(&mut self, session: SocketAddr, options: &[OptionsRecord]) {
        for record in options {
            if let Options::Sampling(sampling) = record.content {
                self.put((session, record.protocol, record.observation_domain), sampling);
            }
        }
    }

    fn put(&mut self, key: ScopeKey, sampling: Sampling) {
        let is_full = self.scopes.len() >= MAX_SCOPES && !self.scopes.contains_key(&key);
        if is_full || self.total >= MAX_TOTAL {
            self.scopes.clear();
            self.total = 0;
        }
        let scope = self.scopes.entry(key).or_default();
        let before = scope.len();
        scope.put(sampling);
        self.total += scope.len() - before;
    }

    /// Forgets what a session said that has ended.
    pub fn end(&mut self, session: SocketAddr) {
        self.scopes.retain(|(peer, ..), _| *peer != session);
        self.total = self.scopes.values().map(Scope::len).sum();
    }

    /// Puts their sampling into the records of one datagram that state none.
    pub fn complete(&self, session: SocketAddr, records: &mut [Record]) {
        if self.scopes.is_empty() {
            return;
        }
        for record in records {
            let domain = record.observation_domain.unwrap_or(0);
            let fits = record.sampling.is_none() && record.sample.is_none();
            let scope = || self.scopes.get(&(session, record.protocol, domain));
            if let Some(scope) = fits.then(scope).flatten() {
                record.sampling = scope.choose(record);
            }
        }
    }
}

impl Scope {
    fn len(&self) -> usize {
        self.of_selector.len() + self.of_interface.len()
    }

    fn put(&mut self, sampling: Sampling) {
        let rate = sampling.rate();
        if (sampling.selector, sampling.interface) == (None, None) {
            self.general = Some(rate);
        }
        if let Some(selector) = sampling.selector {
            put(&mut self.of_selector, selector, rate);
        }
        if let Some(interface) = sampling.interface {
            put(&mut self.of_interface, interface, rate);
        }
    }

    fn choose(&self, record: &Record) -> Option<u32> {
        if let Some(selector) = record.selector {
            return self.of_selector.get(&selector).copied().or(self.general);
        }
        let at = |interface: Option<u32>| self.of_interface.get(&interface?).copied();
        at(record.in_if)
            .or_else(|| at(record.out_if))
            .or(self.general)
            .or_else(|| self.only())
    }

    /// The only sampler there is, if it is for no interface in particular.
    fn only(&self) -> Option<u32> {
        let alone = self.of_selector.len() == 1 && self.of_interface.is_empty();
        self.of_selector.values().next().copied().filter(|_| alone)
    }
}

fn put<K: Eq + Hash>(map: &mut HashMap<K, u32>, key: K, rate: u32) {
    if map.len() < MAX_SAMPLERS || map.contains_key(&key) {
        map.insert(key, rate);
    }
}

#[cfg(test)]
mod tests;
