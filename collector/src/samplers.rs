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
use std::net::SocketAddr;

use wire::{Options, OptionsRecord, Protocol, Record, Sampling};

/// Sessions and domains whose samplers are known at a time. When there are more,
/// all are forgotten: exporters repeat them.
const MAX_SCOPES: usize = 4_096;

/// Samplers of each; more are not taken.
const MAX_SAMPLERS: usize = 256;

type Scope = (SocketAddr, Protocol, u32);

/// All known samplers.
#[derive(Debug, Default)]
pub struct Samplers {
    scopes: HashMap<Scope, Vec<Sampling>>,
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

    fn put(&mut self, scope: Scope, sampling: Sampling) {
        if self.scopes.len() >= MAX_SCOPES && !self.scopes.contains_key(&scope) {
            self.scopes.clear();
        }
        let known = self.scopes.entry(scope).or_default();
        let same = |s: &Sampling| (s.selector, s.interface) == (sampling.selector, sampling.interface);
        match known.iter().position(same) {
            Some(place) => known[place] = sampling,
            None if known.len() < MAX_SAMPLERS => known.push(sampling),
            None => {}
        }
    }

    /// Forgets what a session said that has ended.
    pub fn end(&mut self, session: SocketAddr) {
        self.scopes.retain(|(peer, ..), _| *peer != session);
    }

    /// Puts their sampling into the records of one datagram that state none.
    pub fn complete(&self, session: SocketAddr, records: &mut [Record]) {
        if self.scopes.is_empty() {
            return;
        }
        for record in records {
            let domain = record.observation_domain.unwrap_or(0);
            let fits = record.sampling.is_none() && record.sample.is_none();
            let known = self.scopes.get(&(session, record.protocol, domain));
            if let Some(known) = known.filter(|_| fits) {
                record.sampling = choose(known, record).map(Sampling::rate);
            }
        }
    }
}

fn choose<'a>(known: &'a [Sampling], record: &Record) -> Option<&'a Sampling> {
    let general = || {
        known
            .iter()
            .find(|s| s.selector.is_none() && s.interface.is_none())
    };
    if record.selector.is_some() {
        let named = known.iter().find(|s| s.selector == record.selector);
        return named.or_else(general);
    }
    let at = |interface: Option<u32>| {
        known
            .iter()
            .find(|s| interface.is_some() && s.interface == interface)
    };
    at(record.in_if)
        .or_else(|| at(record.out_if))
        .or_else(general)
        .or(match known {
            [only] if only.interface.is_none() => Some(only),
            _ => None,
        })
}

#[cfg(test)]
mod tests;
