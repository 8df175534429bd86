//! The walk through one NetFlow v9 or IPFIX message: templates put in force, data
//! decoded, what has no template kept. Nothing of a message that turns out to be
//! malformed stays (RFC 7011 §9.1).

use std::sync::Arc;

use crate::assume::Known;
use crate::cache::Layouts;
use crate::clock::Clock;
use crate::decoder::{Limits, Summary};
use crate::held::{Budget, HeldSet};
use crate::layout::Layout;
use crate::message::{self, Header, SetKind};
use crate::options::{OptionsRecord, Values};
use crate::plan::Plan;
use crate::protocol::Protocol;
use crate::reader::Reader;
use crate::record::Record;
use crate::reject::Reject;
use crate::scope::{Scope, Template};
use crate::session::Transport;
use crate::template::{self, Definition, Entry};

/// What the walk works on.
pub(crate) struct State<'w> {
    /// Of the session and domain of the message.
    pub scope: &'w mut Scope,
    pub layouts: &'w mut Layouts,
    pub known: &'w mut Known,
    pub budget: &'w mut Budget,
    pub limits: &'w Limits,
    pub traces: &'w mut Traces,
}

/// What a message did to the templates; kept from one to the next for its room.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    /// What the templates of the message replaced, to be put back on failure.
    undo: Vec<(u16, Option<Template>)>,
    /// Templates that the message defined.
    defined: Vec<u16>,
}

/// Octets that a record costs of what a message may yield: a record takes many times
/// the memory of the octets that make it. An address and a counter of four octets each
/// have as many.
const RECORD_PRICE: usize = 8;

/// What a message may spend beside the octets of its data: a few short records are
/// worth no thought.
const SMALL_CHANGE: usize = 8 * RECORD_PRICE;

/// Age at which the time of a template's last telling is told to the outside, though
/// the template itself is known there.
const STALE_MS: u64 = 600_000;

/// One message on its way.
pub(crate) struct Walk<'w> {
    scope: &'w mut Scope,
    layouts: &'w mut Layouts,
    known: &'w mut Known,
    budget: &'w mut Budget,
    limits: &'w Limits,
    traces: &'w mut Traces,
    transport: Transport,
    header: Header,
    now_ms: u64,
    out: &'w mut Vec<Record>,
    /// Records in `out` before this message.
    start: usize,
    summary: Summary,
    /// The message has one set only, as OVS's data has.
    alone: bool,
    /// What may still be spent on records, in octets.
    credit: usize,
}

impl<'w> Walk<'w> {
    pub(crate) fn new(
        state: State<'w>,
        transport: Transport,
        header: Header,
        now_ms: u64,
        out: &'w mut Vec<Record>,
    ) -> Self {
        let summary = Summary {
            observation_domain: header.domain,
            sequence: header.sequence,
            ..Summary::new(header.protocol, header.clock.export_ns)
        };
        let start = out.len();
        let State {
            scope,
            layouts,
            known,
            budget,
            limits,
            traces,
        } = state;
        traces.undo.clear();
        traces.defined.clear();
        Self {
            scope,
            layouts,
            known,
            budget,
            limits,
            traces,
            transport,
            header,
            now_ms,
            out,
            start,
            summary,
            alone: false,
            credit: SMALL_CHANGE,
        }
    }

    /// Decodes the sets of the message, then those that waited for its templates.
    pub(crate) fn message(&mut self, sets: Reader<'_>) -> Result<Summary, Reject> {
        let orphans = match self.sets(sets) {
            Ok(orphans) => orphans,
            Err(reject) => {
                self.put_back();
                return Err(reject);
            }
        };
        for (id, body) in orphans {
            if !self.assume(id, &body) {
                self.hold(id, body);
            }
        }
        let summary = &mut self.summary;
        summary.data_records =
            self.out.len() - self.start + summary.options_records + summary.records_skipped;
        self.release();
        self.summary.records = self.out.len() - self.start;
        Ok(std::mem::take(&mut self.summary))
    }

    /// Goes through the sets in order; returns the data sets that have no template
    /// even at the end of the message.
    fn sets<'a>(&mut self, mut sets: Reader<'a>) -> Result<Vec<(u16, Reader<'a>)>, Reject> {
        let mut orphans = Vec::new();
        let mut first = true;
        while let Some((kind, mut body)) = message::next_set(&mut sets, self.header.protocol)? {
            self.alone = first && sets.left() == 0;
            first = false;
            match kind {
                SetKind::Templates => self.templates(&mut body, false)?,
                SetKind::OptionsTemplates => self.templates(&mut body, true)?,
                SetKind::Data(_) if body.left() == 0 => self.summary.sets_skipped += 1,
                SetKind::Data(id) => match self.scope.layout(id).cloned() {
                    Some(layout) => self.data(id, layout.plan(), body)?,
                    None => orphans.push((id, body)),
                },
                SetKind::Reserved => self.summary.sets_skipped += 1,
            }
        }
        let mut left = Vec::new();
        for (id, body) in orphans {
            match self.scope.layout(id).cloned() {
                Some(layout) => self.data(id, layout.plan(), body)?,
                None => left.push((id, body)),
            }
        }
        Ok(left)
    }

    fn templates(&mut self, set: &mut Reader<'_>, options: bool) -> Result<(), Reject> {
        while let Some(entry) = template::next_entry(set, self.header.protocol, options)? {
            match entry {
                Entry::Definition(definition) => self.define(&definition)?,
                Entry::Withdrawal(_) if self.header.protocol != Protocol::Ipfix => {
                    self.summary.templates_refused += 1;
                }
                Entry::Withdrawal(_) if self.transport == Transport::Datagram => {
                    self.summary.withdrawals_ignored += 1;
                }
                Entry::Withdrawal(id) => self.withdraw(id, options),
            }
        }
        Ok(())
    }

    /// Takes a template out of force, or all of a kind, whose set id then stands in
    /// the place of theirs (RFC 7011 §8.1).
    fn withdraw(&mut self, id: u16, options: bool) {
        if id < 256 {
            for id in self.scope.ids(options) {
                self.withdraw_one(id);
            }
        } else if self
            .scope
            .layout(id)
            .is_some_and(|layout| layout.options == options)
        {
            self.withdraw_one(id);
        } else {
            self.summary.withdrawals_ignored += 1;
        }
    }

    fn withdraw_one(&mut self, id: u16) {
        let replaced = self.scope.set(id, None);
        self.traces.undo.push((id, replaced));
        self.summary.templates_withdrawn += 1;
    }

    /// Puts a template in force. One that is refused takes its predecessor along:
    /// the exporter does not mean that one any more. Over a stream a different
    /// definition without a withdrawal is a fault of the exporter (RFC 7011 §8).
    fn define(&mut self, definition: &Definition<'_>) -> Result<(), Reject> {
        let id = definition.id;
        let known = self.scope.layout(id);
        let same = known.filter(|layout| layout.is(definition)).cloned();
        let (is_same, is_known) = (same.is_some(), known.is_some());
        if self.transport == Transport::Stream && is_known && !is_same {
            return Err(Reject::Redefined {
                offset: definition.offset,
                found: id,
            });
        }
        let at_ms = self.now_ms;
        let layout = same.or_else(|| self.layout(definition, is_known));
        let refused = layout.is_none();
        let replaced = self
            .scope
            .set(id, layout.map(|layout| Template { layout, at_ms }));
        self.traces.undo.push((id, replaced));
        let stale = at_ms.abs_diff(self.scope.told_ms) >= STALE_MS;
        self.scope.changed |= stale || !is_same;
        match (refused, is_same) {
            (true, _) => self.summary.templates_refused += 1,
            (false, true) => self.summary.templates_refreshed += 1,
            (false, false) => self.summary.templates_learned += 1,
        }
        if !refused {
            self.traces.defined.push(id);
        }
        Ok(())
    }

    fn layout(&mut self, definition: &Definition<'_>, known: bool) -> Option<Arc<Layout>> {
        if definition.count > self.limits.fields_per_template
            || (!known && self.scope.template_count() >= self.limits.templates_per_scope)
        {
            return None;
        }
        self.layouts.of(definition, self.now_ms)
    }

    fn put_back(&mut self) {
        while let Some((id, template)) = self.traces.undo.pop() {
            self.scope.set(id, template);
        }
    }

    /// Decodes a data set of this message. OVS does not pad: what does not end with
    /// its set shows that OVS changed the form of its records and kept its templates,
    /// as it does for up to 600 s when its virtual observation id is set (seen in 3.1.0).
    fn data(&mut self, id: u16, plan: &Plan, set: Reader<'_>) -> Result<(), Reject> {
        let before = self.out.len();
        let result = self.records(plan, set.clone(), self.header.clock);
        let ends = match &result {
            Ok(left) => *left == 0 || !self.out.get(before).is_some_and(is_like_ovs),
            Err(_) => false,
        };
        if !ends && self.assume(id, &set) {
            self.out.drain(before..self.out.len() - 1);
            return Ok(());
        }
        result.map(|_| ())
    }

    /// Decodes a data set; returns the octets after its last record.
    fn records(&mut self, plan: &Plan, mut set: Reader<'_>, clock: Clock) -> Result<usize, Reject> {
        if plan.tells_of_flows() {
            self.credit += set.left();
        }
        while plan.has_record(&set) {
            if self.out.len() - self.start + self.summary.options_records >= self.limits.records_per_datagram
            {
                return Err(Reject::Records {
                    limit: self.limits.records_per_datagram,
                });
            }
            let Some(credit) = self.credit.checked_sub(RECORD_PRICE) else {
                self.summary.records_skipped += plan.skip_all(&mut set)?;
                break;
            };
            self.credit = credit;
            if plan.options {
                self.options(plan, &mut set, clock)?;
            } else {
                self.summary.biflow_records += usize::from(plan.reverse);
                self.summary.structured_records += usize::from(plan.structured);
                // Written where it stays: a record is large.
                let empty = || Record::new(self.header.protocol, clock.export_ns);
                self.out.extend(std::iter::repeat_with(empty).take(1));
                if let Some(record) = self.out.last_mut() {
                    record.observation_domain = Some(self.header.domain);
                    plan.run(&mut set, clock, record)?;
                }
            }
        }
        Ok(set.left())
    }

    fn options(&mut self, plan: &Plan, set: &mut Reader<'_>, clock: Clock) -> Result<(), Reject> {
        let mut values = Values::default();
        plan.run_options(set, &mut values)?;
        self.summary.options_records += 1;
        if let Some(content) = values.content() {
            self.summary.options.push(OptionsRecord {
                protocol: self.header.protocol,
                observation_domain: self.header.domain,
                export_ns: clock.export_ns,
                content,
            });
        }
        Ok(())
    }

    /// Decodes what waited for the templates of this message. A set that does not
    /// match its template is lost, and the message that brought it is long gone.
    fn release(&mut self) {
        let defined = std::mem::take(&mut self.traces.defined);
        for id in &defined {
            for held in self.scope.held.release(*id, self.budget) {
                self.released(*id, &held);
            }
        }
        self.traces.defined = defined;
    }

    fn released(&mut self, id: u16, held: &HeldSet) {
        let (before, options) = (self.out.len(), self.summary.options.len());
        let result = match self.scope.layout(id).cloned() {
            Some(layout) => self.records(layout.plan(), Reader::new(&held.octets), held.clock),
            None => Ok(0),
        };
        if result.is_err() {
            self.out.truncate(before);
            self.summary.options.truncate(options);
            self.summary.sets_dropped += 1;
        }
        self.summary.released_records += self.out.len() - before;
    }

    /// Reads a data set without a template as what OVS sends under its id, if it can
    /// be that.
    fn assume(&mut self, id: u16, set: &Reader<'_>) -> bool {
        if !self.limits.assume_ovs || !self.alone || self.header.protocol != Protocol::Ipfix {
            return false;
        }
        let clock = self.header.clock;
        if let Some(plan) = self.known.statistics(id, set, self.header.domain) {
            self.summary.templates_assumed += 1;
            return self.records(&plan, set.clone(), clock).is_ok();
        }
        let mut record = Record::new(self.header.protocol, clock.export_ns);
        record.observation_domain = Some(self.header.domain);
        let is_ovs = self.known.read(id, set, clock, &mut record);
        if is_ovs {
            self.summary.templates_assumed += 1;
            self.out.push(record);
        }
        is_ovs
    }

    fn hold(&mut self, id: u16, set: Reader<'_>) {
        let held = HeldSet {
            octets: set.rest().into(),
            clock: self.header.clock,
            at_ms: self.now_ms,
        };
        if self.scope.held.keep(id, held, self.budget) {
            self.summary.sets_held += 1;
        } else {
            self.summary.sets_dropped += 1;
        }
    }
}

/// Whether the record has the elements that begin every template of OVS.
fn is_like_ovs(record: &Record) -> bool {
    record.observation_point.is_some() && record.ethernet_header_len.is_some()
}
