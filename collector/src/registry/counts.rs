//! What is counted of one exporter.

use std::ops::AddAssign;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
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
    /// How much of each thing came.
    pub counters: ExporterCounters,
    /// Datagrams that were refused, by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// The last refusal.
    pub last_reject: Option<LastReject>,
}

/// A struct of numbers that add up.
macro_rules! counters {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $counter:ident,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        pub struct $name {
            $($(#[$doc])* pub $counter: u64,)+
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, more: Self) {
                $(self.$counter += more.$counter;)+
            }
        }
    };
}

counters! {
    /// How much of each thing came from an exporter, since it was heard of first.
    ExporterCounters {
        /// Datagrams and messages.
        datagrams,
        /// Bytes in them.
        bytes,
        /// Flow records.
        records,
        /// Of them, those without a sampling rate although it told of samplers.
        unscaled_records,
        /// Of them, those that tell of both directions of a flow.
        biflow_records,
        /// Of them, those that were made of a reverse direction.
        reverse_records,
        /// Of them, those with lists, which are not read.
        structured_records,
        /// Of them, those that name pods or policies and are not believed.
        names_refused,
        /// Missing by sequence number: flows (NetFlow 5), records (IPFIX) or datagrams.
        lost,
        /// Data sets that waited for their template.
        sets_held,
        /// Data sets lost for want of a template.
        sets_dropped,
        /// Sets with a reserved id, and data sets without a byte.
        sets_skipped,
        /// Data sets that had a template and yielded no record.
        sets_without_record,
        /// Malformed sets in messages of which others were read.
        sets_malformed,
        /// Bytes after the last record of a set that are no padding, and after the last set.
        leftover_bytes,
        /// Data sets read by a template that came from another port of the same address.
        templates_borrowed,
        /// Data records too short to be a flow.
        records_skipped,
        /// Templates that were new or different.
        templates_learned,
        /// Templates that were refused.
        templates_refused,
        /// Withdrawals of templates that had no effect.
        withdrawals_ignored,
        /// Options data records.
        options_records,
        /// Of them, names of interfaces that were not believed.
        options_refused,
        /// Datagrams with the mark of a node that they do not come from.
        unproven_marks,
    }
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
        let Summary {
            records,
            biflow_records,
            reverse_records,
            structured_records,
            sets_held,
            sets_dropped,
            sets_skipped,
            sets_without_record,
            sets_malformed,
            leftover_bytes,
            trailing_bytes,
            templates_borrowed,
            records_skipped,
            templates_learned,
            templates_refused,
            withdrawals_ignored,
            options_records,
            ..
        } = summary;
        let count = |number: &usize| *number as u64;
        self.counters += ExporterCounters {
            records: count(records),
            biflow_records: count(biflow_records),
            reverse_records: count(reverse_records),
            structured_records: count(structured_records),
            sets_held: count(sets_held),
            sets_dropped: count(sets_dropped),
            sets_skipped: count(sets_skipped),
            sets_without_record: count(sets_without_record),
            sets_malformed: count(sets_malformed),
            leftover_bytes: count(leftover_bytes) + count(trailing_bytes),
            templates_borrowed: count(templates_borrowed),
            records_skipped: count(records_skipped),
            templates_learned: count(templates_learned),
            templates_refused: count(templates_refused),
            withdrawals_ignored: count(withdrawals_ignored),
            options_records: count(options_records),
            ..ExporterCounters::default()
        };
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
        self.counters += fresh.counters;
    }
}
