//! The decoder: datagrams in, records out, and the state between them, within
//! [`Limits`]; the walk through one message is `walk`'s.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use crate::archive::{Archive, ArchivedTemplates, Learned};
use crate::assume::Known;
use crate::cache::Layouts;
use crate::held::Budget;
use crate::limits::Limits;
use crate::message;
use crate::protocol::{Protocol, sniff};
use crate::reader::Reader;
use crate::record::Record;
use crate::reject::Reject;
use crate::scope::{Scope, ScopeKey, Template};
use crate::scopes::Scopes;
use crate::session::{Session, Transport};
use crate::summary::Summary;
use crate::walk::{State, TemplateUndoLog, Walk, Walked};
use crate::{netflow5, sflow};

/// Turns datagrams of all sessions into records.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    scopes: Scopes,
    layouts: Layouts,
    known: Known,
    budget: Budget,
    next_sweep_ms: u64,
    /// When the last datagram of NetFlow v9 or IPFIX came.
    last_ms: u64,
    relieved_ms: u64,
    evicted_ms: u64,
    expired_sets: usize,
    traces: TemplateUndoLog,
    /// Of sessions that were not met yet.
    recalled: HashMap<ScopeKey, Arc<[(u16, Template)]>>,
}

/// A longer time from one datagram to the next is a clock that was set, or silence of all
/// exporters: either makes no template older.
const CLOCK_STEP_MS: u64 = 3_600_000;

/// Time between two searches for what has grown old.
const SWEEP_MS: u64 = 10_000;

/// Least time between two searches for scopes of an address that has too many.
const EVICTION_MS: u64 = 100;

/// Least time between two times that strangers are forgotten for the room they take.
const RELIEF_MS: u64 = 1_000;

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Decoder {
    /// A decoder that knows no templates yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            scopes: Scopes::default(),
            layouts: Layouts::new(limits.template_bytes),
            known: Known::default(),
            budget: Budget::new(limits.held_bytes, limits.held_sets_per_scope),
            next_sweep_ms: 0,
            last_ms: 0,
            relieved_ms: 0,
            evicted_ms: 0,
            expired_sets: 0,
            traces: TemplateUndoLog::default(),
            recalled: HashMap::new(),
            limits,
        }
    }

    /// Decodes one datagram and appends its records to `out`.
    ///
    /// Templates belong to the `session` they came in. A socket address stands for
    /// a UDP session; over a stream `datagram` is one message ([`crate::Framer`]). `now_ms` is the time, ms since the epoch UTC; it ages the
    /// decoder's state and dates sFlow samples.
    ///
    /// # Errors
    /// A [`Reject`]; `out` and the decoder's templates are then as they were.
    pub fn decode(
        &mut self,
        session: impl Into<Session>,
        now_ms: u64,
        datagram: &[u8],
        out: &mut Vec<Record>,
    ) -> Result<Summary, Reject> {
        let before = out.len();
        let session = session.into();
        let protocol = sniff(datagram)?;
        if session.transport == Transport::Stream && protocol != Protocol::Ipfix {
            return Err(Reject::Version {
                found: u32::from(protocol.version()),
            });
        }
        let result = match protocol {
            Protocol::NetFlow5 => netflow5::decode(datagram, out),
            Protocol::Sflow5 => sflow::decode(datagram, now_ms, out),
            Protocol::NetFlow9 | Protocol::Ipfix => self.decode_templated(session, now_ms, datagram, out),
        };
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    /// Forgets a session that has ended: its templates do not outlive it
    /// (RFC 7011 §8.1). Data that waits for one counts as expired.
    pub fn end_session(&mut self, session: impl Into<Session>) {
        let session = session.into();
        let (budget, expired) = (&mut self.budget, &mut self.expired_sets);
        self.scopes.retain(|key, scope| {
            let goes = key.session == session;
            if goes {
                *expired += scope.held.forget(u64::MAX, session.sender(), budget);
            }
            !goes
        });
        // Left over only where a fault ended the reading of what had waited.
        self.expired_sets += std::mem::take(&mut self.budget.released);
    }

    /// A decoder to go on with after a fault: it knows the templates of all sessions over
    /// UDP but this one, as those of an [`Archive`]. Data that waits stays behind.
    #[must_use]
    pub fn successor(&self, without: impl Into<Session>) -> Self {
        let without = without.into();
        let is_known =
            |key: &ScopeKey| key.session.transport == Transport::Datagram && key.session != without;
        let met = self.scopes.iter().filter(|(key, _)| is_known(key));
        let mut recalled = self.recalled.clone();
        recalled.extend(met.map(|(key, scope)| (key, scope.templates().into())));
        Self {
            recalled,
            ..Self::new(self.limits.clone())
        }
    }

    /// Data sets that wait for their template.
    pub fn waiting_sets(&self) -> usize {
        let waiting: usize = self.scopes.iter().map(|(_, scope)| scope.held.len()).sum();
        waiting + self.budget.released
    }

    /// Takes up what sessions have taught an earlier decoder. It counts for nothing until
    /// a session is met again; what the session says then replaces it.
    pub fn recall(&mut self, archive: &Archive) {
        self.recalled = archive.shared();
    }

    /// The templates of sessions over UDP that have changed since the last call, all of
    /// a session each time. That they were repeated is told every 10 minutes.
    pub fn take_learned(&mut self, now_ms: u64) -> Vec<Learned> {
        let datagrams = |key: &ScopeKey| key.session.transport == Transport::Datagram;
        let changed = self.scopes.iter_mut();
        let changed = changed.filter(|(key, scope)| scope.changed && datagrams(key));
        let learned = changed.map(|(key, scope)| {
            (scope.changed, scope.told_ms) = (false, now_ms);
            let told = ArchivedTemplates {
                templates: scope.templates().into(),
                regular: scope.is_regular(),
            };
            Learned { key, told }
        });
        learned.collect()
    }

    /// Gives up the data sets that wait for a template: they count as expired.
    pub fn give_up_waiting(&mut self) {
        for (key, scope) in self.scopes.iter_mut() {
            let sender = key.session.sender();
            self.expired_sets += scope.held.forget(u64::MAX, sender, &mut self.budget);
        }
    }

    /// Pairs of session and observation domain that the decoder keeps state for.
    pub fn scopes(&self) -> usize {
        self.scopes.len()
    }

    /// Templates in force, over all scopes.
    pub fn templates(&self) -> usize {
        self.scopes.iter().map(|(_, scope)| scope.template_count()).sum()
    }

    /// Data sets that waited too long, or whose session was forgotten, since the
    /// last call.
    pub fn take_expired_sets(&mut self) -> usize {
        std::mem::take(&mut self.expired_sets)
    }

    /// Goes through the messages of a datagram: IPFIX may have several (RFC 7011 §3.1
    /// gives each its length).
    fn decode_templated(
        &mut self,
        session: Session,
        now_ms: u64,
        datagram: &[u8],
        out: &mut Vec<Record>,
    ) -> Result<Summary, Reject> {
        self.sweep(now_ms);
        let (mut rest, mut summary) = (Reader::new(datagram), Summary::default());
        let (start, mut is_first, mut has_read, mut fault) = (out.len(), true, false, None);
        while is_first || message::is_message(&rest) {
            let message = message::next_message(&mut rest)?;
            let first = (!is_first).then_some(start);
            match self.message(session, now_ms, message, first, &mut summary, out) {
                Ok(walked) => {
                    summary.add_message(&walked, !has_read);
                    has_read = true;
                }
                Err(reject) => {
                    summary.sets_malformed += 1;
                    fault.get_or_insert(reject);
                }
            }
            is_first = false;
        }
        if let Some(fault) = fault {
            if !has_read {
                return Err(fault);
            }
            summary.set_fault.get_or_insert(fault);
        }
        summary.trailing_bytes += rest.left();
        Ok(summary)
    }

    /// Decodes one message, the first of its datagram or another: then `first` says how many
    /// records there were before the datagram.
    fn message(
        &mut self,
        session: Session,
        now_ms: u64,
        mut sets: Reader<'_>,
        first: Option<usize>,
        summary: &mut Summary,
        out: &mut Vec<Record>,
    ) -> Result<Walked, Reject> {
        let before = out.len();
        let header = message::header(&mut sets)?;
        let key = ScopeKey {
            session,
            protocol: header.protocol,
            domain: header.domain,
        };
        let (mut fresh, mut recalled) = (None, 0);
        let (known, siblings) = self.scopes.find(&key);
        let scope = match known {
            Some(scope) => scope,
            None => {
                let scope = self.recalled.get(&key).map(|templates| {
                    let oldest_ms = now_ms.saturating_sub(self.limits.template_age_ms);
                    Scope::recalled(templates, oldest_ms)
                });
                recalled = scope.as_ref().map_or(0, Scope::template_count);
                fresh.insert(scope.unwrap_or_default())
            }
        };
        scope.seen(now_ms, first.is_none());
        let state = State {
            scope,
            siblings,
            layouts: &mut self.layouts,
            known: &mut self.known,
            budget: &mut self.budget,
            limits: &self.limits,
            traces: &mut self.traces,
        };
        let result =
            Walk::new(state, session, header, now_ms, (out, first.unwrap_or(before))).message(sets, summary);
        if result.is_err() {
            out.truncate(before);
        } else if let Some(fresh) = fresh.filter(|scope| !scope.is_empty()) {
            summary.templates_recalled += recalled;
            summary.templates_refused += self.take_in(&key, fresh, now_ms);
        }
        result
    }

    /// Takes in a new scope. When there is no room for it, others are forgotten: those of
    /// its own sender, if that has more than there is room left for all others. That is
    /// a search through all, so it is done now and then only; between, the sender gets
    /// no more. Returns how many templates were refused.
    fn take_in(&mut self, key: &ScopeKey, mut scope: Scope, now_ms: u64) -> usize {
        let sender = key.session.sender();
        let left = self.limits.scopes.max(1).saturating_sub(self.scopes.len());
        let own = self.scopes.of_sender(sender);
        if left == 0 {
            let strangers = self.scopes.iter().filter(|(_, scope)| !scope.is_regular());
            let strangers = strangers.count();
            self.evict((self.scopes.len() / 8).max(strangers / 4), |_, _| true);
        } else if own > left {
            if now_ms.abs_diff(self.evicted_ms) < EVICTION_MS {
                self.expired_sets += scope.held.forget(u64::MAX, sender, &mut self.budget);
                return scope.template_count();
            }
            self.evicted_ms = now_ms;
            self.evict(own / 8, |key, _| key.session.sender() == sender);
        }
        self.scopes.insert(key, scope);
        self.recalled.remove(key);
        0
    }

    /// Forgets one scope more than `count` of those that may go: strangers first, then
    /// those silent longest. So many at a time that a flood of senders costs each of them
    /// little. Streams come last: they tell their templates only once, and a sender's
    /// address is proven there.
    fn evict(&mut self, count: usize, may_go: impl Fn(&ScopeKey, &Scope) -> bool) {
        let rank = |key: &ScopeKey, scope: &Scope| (key.session.transport, scope.is_regular(), scope.seen_ms);
        let candidates = self.scopes.iter().filter(|(key, scope)| may_go(key, scope));
        let mut ranks: Vec<_> = candidates.map(|(key, scope)| rank(&key, scope)).collect();
        if ranks.is_empty() {
            return;
        }
        let count = count.min(ranks.len() - 1);
        let (_, &mut limit, _) = ranks.select_nth_unstable(count);
        // Of those that rank alike, some.
        let mut alike = count + 1 - ranks.iter().filter(|rank| **rank < limit).count();
        let (budget, expired) = (&mut self.budget, &mut self.expired_sets);
        self.scopes.retain(|key, scope| {
            let place = if may_go(key, scope) {
                rank(key, scope).cmp(&limit)
            } else {
                Ordering::Greater
            };
            let goes = place.is_lt() || place.is_eq() && alike > 0;
            if goes {
                alike -= usize::from(place.is_eq());
                *expired += scope.held.forget(u64::MAX, key.session.sender(), budget);
            }
            !goes
        });
    }

    /// When there was no room for templates, or for the data of one who has sent for a
    /// while, half of the strangers go.
    fn relieve(&mut self, now_ms: u64) {
        if now_ms.abs_diff(self.relieved_ms) < RELIEF_MS {
            return;
        }
        self.relieved_ms = now_ms;
        (self.layouts.wanted, self.budget.wanted) = (false, false);
        let is_stranger = |key: &ScopeKey, scope: &Scope| {
            key.session.transport == Transport::Datagram && !scope.is_regular()
        };
        let strangers = self.scopes.iter();
        let strangers = strangers.filter(|(key, scope)| is_stranger(key, scope)).count();
        self.evict(strangers / 2, is_stranger);
    }

    /// A clock that was set leaves everything as old as it was.
    fn absorb_clock_step(&mut self, now_ms: u64) {
        let last_ms = std::mem::replace(&mut self.last_ms, now_ms);
        if last_ms == 0 || now_ms.abs_diff(last_ms) < CLOCK_STEP_MS {
            return;
        }
        let moved = |at_ms: u64| at_ms.saturating_add(now_ms).saturating_sub(last_ms);
        self.scopes
            .iter_mut()
            .for_each(|(_, scope)| scope.move_times(moved));
        self.next_sweep_ms = moved(self.next_sweep_ms);
        self.evicted_ms = moved(self.evicted_ms);
        self.relieved_ms = moved(self.relieved_ms);
    }

    fn sweep(&mut self, now_ms: u64) {
        self.absorb_clock_step(now_ms);
        if self.layouts.wanted || self.budget.wanted {
            self.relieve(now_ms);
        }
        // Further away than it ever is: the clock was set back.
        let waits = self.next_sweep_ms.saturating_sub(now_ms);
        if (1..=SWEEP_MS).contains(&waits) {
            return;
        }
        self.next_sweep_ms = now_ms.saturating_add(SWEEP_MS);
        let oldest_template = now_ms.saturating_sub(self.limits.template_age_ms);
        let oldest_set = now_ms.saturating_sub(self.limits.held_age_ms);
        let (budget, expired) = (&mut self.budget, &mut self.expired_sets);
        self.scopes.retain(|key, scope| {
            if key.session.transport == Transport::Datagram {
                scope.forget_templates(oldest_template);
            }
            *expired += scope.held.forget(oldest_set, key.session.sender(), budget);
            !scope.is_empty()
        });
    }
}
