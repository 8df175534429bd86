//! The decoder: datagrams in, records out, and the state between them. It owns
//! the bounds on that state; the walk through one message is `walk`'s.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::archive::{Archive, Learned, Told};
use crate::assume::Known;
use crate::cache::Layouts;
use crate::counters::Counters;
use crate::held::Budget;
use crate::message;
use crate::options::OptionsRecord;
use crate::protocol::{Protocol, sniff};
use crate::reader::Reader;
use crate::record::Record;
use crate::reject::Reject;
use crate::scope::{Scope, ScopeKey, Template};
use crate::session::{Session, Transport};
use crate::sflow::Discard;
use crate::walk::{State, Traces, Walk};
use crate::{netflow5, sflow};

/// Bounds on what a decoder keeps and on what one datagram can make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Pairs of transport session and observation domain. When there are more, an
    /// eighth to a quarter is forgotten: strangers, then those silent longest.
    pub scopes: usize,
    /// Templates in each of them; more are refused.
    pub templates_per_scope: usize,
    /// Fields in a template; larger ones are refused.
    pub fields_per_template: usize,
    /// Octets of different template definitions over all scopes; more are refused.
    pub template_octets: usize,
    /// Age at which a template that is not repeated is forgotten, ms. Over a stream
    /// templates do not age (RFC 7011 §8.1).
    pub template_age_ms: u64,
    /// Octets of data sets that wait for their template, over all scopes; each set is
    /// counted with 64 more.
    pub held_octets: usize,
    /// Data sets that wait in each scope.
    pub held_sets_per_scope: usize,
    /// How long a data set waits, ms.
    pub held_age_ms: u64,
    /// Records that one datagram can yield.
    pub records_per_datagram: usize,
    /// Whether data of OVS is read by the templates known in advance until its own
    /// come ([`crate::ovs`]).
    pub assume_ovs: bool,
}

impl Default for Limits {
    /// Room for thousands of OVS exporters with 89 templates of up to 60 fields
    /// each. OVS repeats templates at least every hour, by default every 10 minutes.
    fn default() -> Self {
        Self {
            scopes: 8_192,
            templates_per_scope: 256,
            fields_per_template: 512,
            template_octets: 4 << 20,
            template_age_ms: 3 * 3_600_000,
            held_octets: 8 << 20,
            held_sets_per_scope: 4_096,
            held_age_ms: 600_000,
            records_per_datagram: 8_192,
            assume_ovs: true,
        }
    }
}

/// What one datagram brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Its protocol.
    pub protocol: Protocol,
    /// IPFIX observation domain, NetFlow v9 source id; 0 in the others.
    pub observation_domain: u32,
    /// sFlow agent address.
    pub agent: Option<IpAddr>,
    /// sFlow sub-agent; 0 in the others.
    pub sub_agent: u32,
    /// NetFlow v5 engine type and id.
    pub engine: Option<(u8, u8)>,
    /// The sequence number in its header. What it counts depends on the protocol:
    /// IPFIX data records, NetFlow v9 messages, NetFlow v5 flows, sFlow datagrams.
    pub sequence: u32,
    /// When it was sent, ns since the epoch UTC; for sFlow, when it was received.
    pub export_ns: u64,
    /// Records appended to the output, those of earlier datagrams
    /// (`released_records`) included.
    pub records: usize,
    /// Records of data sets that had waited for a template of this datagram.
    pub released_records: usize,
    /// Records of options data: they say something about the exporter.
    pub options_records: usize,
    /// Those of them that say something we know.
    pub options: Vec<OptionsRecord>,
    /// Data records of this message, whatever became of them: what the sequence numbers
    /// of IPFIX and NetFlow v5 count. What waits, or was lost, is not among them.
    pub data_records: usize,
    /// Data records too short to be a flow, stepped over: a message yields eight
    /// records and one for each eight octets of data.
    pub records_skipped: usize,
    /// Records of biflows: the reverse half (RFC 5103) is skipped.
    pub biflow_records: usize,
    /// Records with lists (RFC 6313), which are skipped.
    pub structured_records: usize,
    /// Templates that are new or different.
    pub templates_learned: usize,
    /// Templates known from an [`Archive`], of a session that was met again.
    pub templates_recalled: usize,
    /// Templates repeated as they were.
    pub templates_refreshed: usize,
    /// Templates over a limit, or without any octet in their records.
    pub templates_refused: usize,
    /// Data sets read by a template of OVS that is known in advance, because the
    /// exporter's own had not come.
    pub templates_assumed: usize,
    /// Templates withdrawn, over a stream (RFC 7011 §8.1).
    pub templates_withdrawn: usize,
    /// Template withdrawals without effect: all over UDP, where they are ignored
    /// (RFC 7011 §8.4); over a stream those of templates that are not in force.
    pub withdrawals_ignored: usize,
    /// Data sets kept until their template comes.
    pub sets_held: usize,
    /// Data sets lost: no template and no room to wait, or waited in vain for a
    /// template that does not match. Those that waited too long are in
    /// [`Decoder::take_expired_sets`].
    pub sets_dropped: usize,
    /// Sets with a reserved id (RFC 7011 §3.3.2), and data sets without an octet.
    pub sets_skipped: usize,
    /// sFlow counter samples.
    pub counter_samples: usize,
    /// What they say.
    pub counters: Vec<Counters>,
    /// Packets that sFlow told as discarded.
    pub discards: Vec<Discard>,
    /// sFlow samples of other kinds, skipped.
    pub other_samples: usize,
}

impl Summary {
    pub(crate) fn new(protocol: Protocol, export_ns: u64) -> Self {
        Self {
            protocol,
            export_ns,
            ..Self::default()
        }
    }
}

/// Turns datagrams of all sessions into records.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    scopes: HashMap<ScopeKey, Scope, RandomState>,
    layouts: Layouts,
    known: Known,
    budget: Budget,
    next_sweep_ms: u64,
    expired_sets: usize,
    traces: Traces,
    /// Of sessions that were not met yet.
    recalled: HashMap<ScopeKey, Arc<[(u16, Template)]>>,
}

/// Time between two searches for what has grown old.
const SWEEP_MS: u64 = 10_000;

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Decoder {
    /// A decoder that knows no templates yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            scopes: HashMap::default(),
            layouts: Layouts::new(limits.template_octets),
            known: Known::default(),
            budget: Budget::new(limits.held_octets, limits.held_sets_per_scope),
            next_sweep_ms: 0,
            expired_sets: 0,
            traces: Traces::default(),
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
                *expired += scope.held.forget(u64::MAX, budget);
            }
            !goes
        });
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
            let told = Told {
                templates: scope.templates().into(),
                regular: scope.is_regular(),
            };
            Learned { key: *key, told }
        });
        learned.collect()
    }

    /// Gives up the data sets that wait for a template: they count as expired.
    pub fn give_up_waiting(&mut self) {
        for scope in self.scopes.values_mut() {
            self.expired_sets += scope.held.forget(u64::MAX, &mut self.budget);
        }
    }

    /// Pairs of session and observation domain that the decoder keeps state for.
    pub fn scopes(&self) -> usize {
        self.scopes.len()
    }

    /// Templates in force, over all scopes.
    pub fn templates(&self) -> usize {
        self.scopes.values().map(Scope::template_count).sum()
    }

    /// Data sets that waited too long, or whose session was forgotten, since the
    /// last call.
    pub fn take_expired_sets(&mut self) -> usize {
        std::mem::take(&mut self.expired_sets)
    }

    fn decode_templated(
        &mut self,
        session: Session,
        now_ms: u64,
        datagram: &[u8],
        out: &mut Vec<Record>,
    ) -> Result<Summary, Reject> {
        self.sweep(now_ms);
        let mut sets = Reader::new(datagram);
        let header = message::header(&mut sets)?;
        let key = ScopeKey {
            session,
            protocol: header.protocol,
            domain: header.domain,
        };
        let (mut fresh, mut recalled) = (Scope::default(), 0);
        let is_full = self.scopes.len() >= self.limits.scopes.max(1);
        let place = self.scopes.entry(key);
        let (scope, vacant) = match place {
            Entry::Occupied(known) => (known.into_mut(), None),
            Entry::Vacant(vacant) => {
                if let Some(templates) = self.recalled.get(&key) {
                    let oldest_ms = now_ms.saturating_sub(self.limits.template_age_ms);
                    fresh = Scope::recalled(templates, oldest_ms);
                    recalled = fresh.template_count();
                }
                (&mut fresh, Some(vacant))
            }
        };
        scope.seen(now_ms);
        let state = State {
            scope,
            layouts: &mut self.layouts,
            known: &mut self.known,
            budget: &mut self.budget,
            limits: &self.limits,
            traces: &mut self.traces,
        };
        let mut summary = Walk::new(state, session.transport, header, now_ms, out).message(sets)?;
        if let Some(vacant) = vacant.filter(|_| !fresh.is_empty()) {
            if is_full {
                self.make_room();
                self.scopes.insert(key, fresh);
            } else {
                vacant.insert(fresh);
            }
            self.recalled.remove(&key);
            summary.templates_recalled = recalled;
        }
        Ok(summary)
    }

    /// Forgets the scopes that were silent longest, strangers first: so many at a time
    /// that a flood of senders costs each of them little. Streams come last: they tell
    /// their templates only once, and a sender's address is proven there.
    fn make_room(&mut self) {
        let rank = |key: &ScopeKey, scope: &Scope| (key.session.transport, scope.is_regular(), scope.seen_ms);
        let mut seen: Vec<_> = self.scopes.iter().map(|(key, scope)| rank(key, scope)).collect();
        let strangers = seen.iter().filter(|(_, is_regular, _)| !is_regular).count();
        let some = (seen.len() / 8).max(strangers / 4);
        let (_, &mut limit, _) = seen.select_nth_unstable(some);
        let mut left = some + 1;
        let (budget, expired) = (&mut self.budget, &mut self.expired_sets);
        self.scopes.retain(|key, scope| {
            let goes = rank(key, scope) <= limit && left > 0;
            if goes {
                left -= 1;
                *expired += scope.held.forget(u64::MAX, budget);
            }
            !goes
        });
    }

    fn sweep(&mut self, now_ms: u64) {
        if now_ms < self.next_sweep_ms {
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
            *expired += scope.held.forget(oldest_set, budget);
            !scope.is_empty()
        });
    }
}
