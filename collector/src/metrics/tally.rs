//! How one worker counts: by itself while it works on a batch, then all at once
//! into the shared counters. That costs less than a shared counter a datagram,
//! and what belongs together shows together.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use wire::{Protocol, Reject, Summary};

use super::reason::{
    IGNORED, IGNORED_KINDS, PANIC, RECORD_KINDS, SET_EVENTS, STOPPING, STRANGER, TEMPLATE_EVENTS,
    reject_reasons,
};
use super::{Counters, Metrics, position, to_signed};
use weir_identity::exporters::Exporter;

/// One worker's counts. Nobody sees them before [`DecodeCounters::publish`].
#[derive(Debug)]
pub struct DecodeCounters {
    metrics: Arc<Metrics>,
    received: Count,
    rejected: Vec<(&'static str, Count)>,
    decoded: [Count; 4],
    records: [Count; 4],
    lost: [Count; 4],
    templates: [Count; 8],
    sets: [Count; 6],
    ignored: [Count; 4],
    record_kinds: [Count; 3],
    unscaled: Count,
    unproven_marks: Count,
    options_refused: Count,
    names_refused: Count,
}

/// Where `expired` stands in [`SET_EVENTS`].
const EXPIRED: usize = 2;

/// A shared counter and what is to be added to it.
#[derive(Debug)]
struct Count {
    shared: Counter,
    fresh: u64,
}

impl Count {
    fn new(shared: &Counter) -> Self {
        Self {
            shared: shared.clone(),
            fresh: 0,
        }
    }

    fn one(family: &Counters, key: &'static str, value: &'static str) -> Self {
        Self::new(&family.get_or_create(&[(key, value)]))
    }

    fn add(&mut self, count: usize) {
        self.fresh += count as u64;
    }

    fn publish(&mut self) {
        if self.fresh != 0 {
            self.shared.inc_by(std::mem::take(&mut self.fresh));
        }
    }
}

impl DecodeCounters {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let m = &*metrics;
        let formats = |family| Protocol::ALL.map(|p| Count::one(family, "format", p.as_str()));
        let reasons = reject_reasons().into_iter();
        Self {
            received: Count::new(&m.received),
            rejected: reasons
                .map(|r| (r, Count::one(&m.rejected, "reason", r)))
                .collect(),
            decoded: formats(&m.decoded),
            records: formats(&m.records),
            lost: formats(&m.lost),
            templates: TEMPLATE_EVENTS.map(|e| Count::one(&m.templates, "event", e)),
            sets: SET_EVENTS.map(|e| Count::one(&m.sets, "event", e)),
            ignored: IGNORED_KINDS.map(|k| Count::one(&m.ignored, "kind", k)),
            record_kinds: RECORD_KINDS.map(|k| Count::one(&m.record_kinds, "kind", k)),
            unscaled: Count::new(&m.unscaled),
            unproven_marks: Count::new(&m.unproven_marks),
            options_refused: Count::new(&m.options_refused),
            names_refused: Count::new(&m.names_refused),
            metrics,
        }
    }

    /// A datagram was received; one of the next three follows.
    pub fn received(&mut self) {
        self.received.add(1);
    }

    /// A datagram was refused.
    pub fn reject(&mut self, reject: &Reject) {
        self.reject_for(reject.kind(), 1);
    }

    /// A datagram was refused for who sent it. Returns the word for it.
    pub fn reject_stranger(&mut self) -> &'static str {
        self.reject_for(STRANGER, 1);
        STRANGER
    }

    /// A datagram was let go, since its exporter's role says so.
    pub fn reject_ignored(&mut self) -> &'static str {
        self.reject_for(IGNORED, 1);
        IGNORED
    }

    /// A datagram met a fault of the collector's.
    pub fn reject_for_panic(&mut self) {
        self.reject_for(PANIC, 1);
    }

    /// Datagrams were received and refused, since the collector is stopping.
    pub fn reject_late(&mut self, datagrams: usize) {
        self.received.add(datagrams);
        self.reject_for(STOPPING, datagrams);
    }

    fn reject_for(&mut self, reason: &str, datagrams: usize) {
        let (_, count) = self
            .rejected
            .iter_mut()
            .find(|(known, _)| *known == reason)
            .expect("the table has every reason");
        count.add(datagrams);
    }

    /// A datagram was decoded.
    pub fn decoded(&mut self, summary: &Summary, expired_sets: usize) {
        let format = position(summary.protocol);
        self.decoded[format].add(1);
        self.records[format].add(summary.records);
        let add = |counts: &mut [Count], more: &[usize]| {
            for (count, more) in counts.iter_mut().zip(more) {
                count.add(*more);
            }
        };
        let s = summary;
        add(
            &mut self.templates,
            &[
                s.templates_learned,
                s.templates_refreshed,
                s.templates_refused,
                s.templates_assumed,
                s.templates_withdrawn,
                s.templates_recalled,
                s.templates_borrowed,
                s.withdrawals_ignored,
            ],
        );
        add(
            &mut self.sets,
            &[
                s.sets_held,
                s.sets_dropped,
                expired_sets,
                s.sets_skipped,
                s.sets_malformed,
                s.sets_without_record,
            ],
        );
        add(
            &mut self.ignored,
            &[
                s.options_records,
                s.counter_samples,
                s.other_samples,
                s.records_skipped,
            ],
        );
        add(
            &mut self.record_kinds,
            &[s.biflow_records, s.reverse_records, s.structured_records],
        );
    }

    /// Data sets waited in vain for their template.
    pub fn expired(&mut self, sets: usize) {
        self.sets[EXPIRED].add(sets);
    }

    /// A datagram said this beside its records.
    pub fn told(&self, summary: &Summary, now_ms: u64, exporter: Option<&Exporter>) {
        if !summary.discards.is_empty() {
            self.metrics.discarded(exporter, &summary.discards);
        }
        if let Some(exporter) = exporter {
            let switches = &self.metrics.switches;
            switches.count(exporter, &summary.counters, now_ms);
            switches.learn(exporter, &summary.options, now_ms);
        }
    }

    /// So many interfaces have a pod that is known.
    pub fn interfaces(&self, known: usize) {
        self.metrics.interfaces.set(to_signed(known as u64));
    }

    /// Units are missing by sequence number.
    pub fn lost(&mut self, protocol: Protocol, units: u64, node: Option<&Arc<str>>) {
        self.lost[position(protocol)].fresh += units;
        if let Some(node) = node {
            self.metrics.lost_on(node, protocol, units);
        }
    }

    /// So many records have no sampling rate, though their exporter tells of samplers.
    pub fn unscaled(&mut self, records: usize) {
        self.unscaled.add(records);
    }

    /// A datagram bears the mark of a node that it does not come from.
    pub fn unproven_mark(&mut self) {
        self.unproven_marks.add(1);
    }

    /// So many names of interfaces came from somebody who may not give them.
    pub fn options_refused(&mut self, names: usize) {
        self.options_refused.add(names);
    }

    /// So many records named pods or policies, and came from somebody who may not.
    pub fn names_refused(&mut self, records: usize) {
        self.names_refused.add(records);
    }

    /// Adds what was counted to what everybody sees.
    pub fn publish(&mut self) {
        let metrics = Arc::clone(&self.metrics);
        let _gate = metrics.gate();
        let records = self.records.iter().map(|count| count.fresh).sum();
        metrics.queued.inc_by(to_signed(records));
        self.received.publish();
        self.rejected.iter_mut().for_each(|(_, count)| count.publish());
        let formats = [&mut self.decoded, &mut self.records, &mut self.lost];
        formats.into_iter().flatten().for_each(Count::publish);
        let others = self
            .templates
            .iter_mut()
            .chain(&mut self.sets)
            .chain(&mut self.ignored)
            .chain(&mut self.record_kinds);
        others.for_each(Count::publish);
        self.unscaled.publish();
        self.unproven_marks.publish();
        self.options_refused.publish();
        self.names_refused.publish();
    }
}
