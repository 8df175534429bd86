//! What is counted of one exporter.

use std::sync::Arc;

use weir_identity::exporters::Standing;
use wire::{Reject, Summary};

use crate::roles::Role;

/// What was counted of one exporter, and what it is known to be. Times are ms since the
/// epoch UTC, 0: never.
#[derive(Debug, Clone, Default)]
pub struct ExporterCounts {
    /// When it was heard of first.
    pub first_ms: u64,
    /// When it was heard of last.
    pub last_ms: u64,
    /// What its address proves.
    pub standing: Standing,
    /// Its node, if that is proven.
    pub node: Option<Arc<str>>,
    /// The node whose mark it bears without coming from it.
    pub claims: Option<Arc<str>>,
    /// What it was declared to be.
    pub role: Option<Role>,
    /// Some of its records are Open vSwitch's.
    pub is_ovs: bool,
    /// Some of its records are not.
    pub is_foreign: bool,
    /// Formats that it speaks: a bit for each of [`wire::Protocol`].
    pub formats: u8,
    /// Datagrams and messages.
    pub datagrams: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Flow records.
    pub records: u64,
    /// Of them, those without a sampling rate although it told of samplers.
    pub unscaled_records: u64,
    /// Flows, records or datagrams missing by sequence number.
    pub lost: u64,
    /// Datagrams that were refused, by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// The last refusal.
    pub last_reject: Option<LastReject>,
    /// Data sets that wait, or waited, for their template.
    pub sets_held: u64,
    /// Data sets lost for want of a template.
    pub sets_dropped: u64,
    /// Sets with a reserved id, and data sets without a byte.
    pub sets_skipped: u64,
    /// Data sets that had a template and yielded nothing.
    pub sets_without_record: u64,
    /// Sets that were malformed, in messages of which others were read.
    pub sets_malformed: u64,
    /// Bytes after the last record of a set that are no padding, and bytes after the last
    /// set of a datagram.
    pub leftover_bytes: u64,
    /// Data sets read by a template that came from another port of the same address.
    pub templates_borrowed: u64,
    /// Data records too short to be a flow.
    pub records_skipped: u64,
    /// Templates that were new or different.
    pub templates_learned: u64,
    /// Templates that were refused.
    pub templates_refused: u64,
    /// Options data records.
    pub options_records: u64,
    /// Of them, names of interfaces that were not believed.
    pub options_refused: u64,
    /// Datagrams with the mark of a node that they do not come from.
    pub unproven_marks: u64,
}

/// Why a datagram was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReject {
    /// In words.
    pub reason: String,
    /// A word for it.
    pub kind: &'static str,
    /// When, ms since the epoch UTC.
    pub at_ms: u64,
}

impl ExporterCounts {
    /// It was heard of now.
    pub fn seen(&mut self, now_ms: u64) {
        if self.first_ms == 0 {
            self.first_ms = now_ms;
        }
        self.last_ms = now_ms;
    }

    /// A datagram was decoded.
    pub fn count(&mut self, summary: &Summary) {
        self.records += summary.records as u64;
        self.sets_held += summary.sets_held as u64;
        self.sets_dropped += summary.sets_dropped as u64;
        self.sets_skipped += summary.sets_skipped as u64;
        self.sets_without_record += summary.sets_without_record as u64;
        self.sets_malformed += summary.sets_malformed as u64;
        self.leftover_bytes += (summary.leftover_bytes + summary.trailing_bytes) as u64;
        self.templates_borrowed += summary.templates_borrowed as u64;
        self.records_skipped += summary.records_skipped as u64;
        self.templates_learned += summary.templates_learned as u64;
        self.templates_refused += summary.templates_refused as u64;
        self.options_records += summary.options_records as u64;
    }

    /// A datagram was refused.
    pub fn reject(&mut self, kind: &'static str) {
        self.reject_times(kind, 1);
    }

    /// Keeps why something was refused. Words only for the first of its kind in a batch:
    /// a flood must not cost more than that.
    pub fn note_reject(&mut self, reject: &Reject, at_ms: u64) {
        let same = |last: &LastReject| last.kind == reject.kind();
        if !self.last_reject.as_ref().is_some_and(same) {
            self.last_reject = Some(LastReject {
                reason: reject.to_string(),
                kind: reject.kind(),
                at_ms,
            });
        }
    }

    fn reject_times(&mut self, kind: &'static str, times: u64) {
        match self.rejected.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += times,
            None => self.rejected.push((kind, times)),
        }
    }

    /// Adds what was counted since, and takes over what is known now.
    pub fn add(&mut self, fresh: Self) {
        if self.first_ms == 0 {
            self.first_ms = fresh.first_ms;
        }
        self.last_ms = self.last_ms.max(fresh.last_ms);
        // What was refused did not show who sent it.
        if fresh.formats != 0 {
            self.standing = fresh.standing;
            self.node = fresh.node;
        }
        self.role = fresh.role.or(self.role);
        // What is proven now is no claim any more.
        let earlier = self.claims.take().filter(|_| self.standing == Standing::Stranger);
        self.claims = fresh.claims.or(earlier);
        self.is_ovs |= fresh.is_ovs;
        self.is_foreign |= fresh.is_foreign;
        self.formats |= fresh.formats;
        self.last_reject = fresh.last_reject.or(self.last_reject.take());
        for (kind, times) in fresh.rejected {
            self.reject_times(kind, times);
        }
        let sums = [
            (&mut self.datagrams, fresh.datagrams),
            (&mut self.bytes, fresh.bytes),
            (&mut self.records, fresh.records),
            (&mut self.unscaled_records, fresh.unscaled_records),
            (&mut self.lost, fresh.lost),
            (&mut self.sets_held, fresh.sets_held),
            (&mut self.sets_dropped, fresh.sets_dropped),
            (&mut self.sets_skipped, fresh.sets_skipped),
            (&mut self.sets_without_record, fresh.sets_without_record),
            (&mut self.sets_malformed, fresh.sets_malformed),
            (&mut self.leftover_bytes, fresh.leftover_bytes),
            (&mut self.templates_borrowed, fresh.templates_borrowed),
            (&mut self.records_skipped, fresh.records_skipped),
            (&mut self.templates_learned, fresh.templates_learned),
            (&mut self.templates_refused, fresh.templates_refused),
            (&mut self.options_records, fresh.options_records),
            (&mut self.options_refused, fresh.options_refused),
            (&mut self.unproven_marks, fresh.unproven_marks),
        ];
        for (sum, more) in sums {
            *sum += more;
        }
    }
}
