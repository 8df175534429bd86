//! Values of one record that are put together at its end: times out of uptimes and
//! durations, a rate out of the parts of a sampler, a stack out of labels.

use std::fmt::Write;

use super::NoteSink;
use super::icmp::{self, IcmpElements};
use super::layers::Outer;
use super::reverse::ReverseFlow;
use super::section::Sections;
use crate::attribute::{Attribute, AttributeValue};
use crate::clock::{self, Clock};
use crate::element::{Note, Side, TimeForm};
use crate::record::Record;
use crate::sampling::SamplingElements;
use crate::store;
use crate::text::Text;

/// Most labels that a record tells (IE 70 to 79).
const LABELS: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Notes<'a> {
    start_uptime: Option<u64>,
    end_uptime: Option<u64>,
    system_init_ms: Option<u64>,
    start: Option<(TimeForm, u64)>,
    end: Option<(TimeForm, u64)>,
    duration_ns: Option<u64>,
    observed: Option<(TimeForm, u64)>,
    sampling: SamplingElements,
    outer: Outer,
    icmp: IcmpElements,
    reverse: ReverseFlow,
    sections: Sections<'a>,
    labels: [u32; LABELS],
}

impl<'a> NoteSink<'a> for Notes<'a> {
    fn note(&mut self, clock: Clock, note: Note, bytes: &'a [u8]) {
        match note {
            Note::Outer(layered) => return self.outer.put(layered, bytes),
            Note::Section(section) => return self.sections.put(section, bytes),
            Note::Icmp(icmp) => return self.icmp.put(icmp, bytes),
            Note::Reverse(reverse) => return self.reverse.put(clock, reverse, bytes),
            Note::Sampling(element) => return self.sampling.put(element, bytes),
            Note::MplsLabel(depth) => return self.label(depth, bytes),
            _ => {}
        }
        let Some(value) = store::integer(bytes) else {
            return;
        };
        match note {
            Note::Uptime(Side::First) => self.start_uptime = Some(value),
            Note::Uptime(Side::Second) => self.end_uptime = Some(value),
            Note::SystemInit => self.system_init_ms = Some(value),
            Note::Time(Side::First, form) => finest(&mut self.start, form, absolute(clock, form, value)),
            Note::Time(Side::Second, form) => finest(&mut self.end, form, absolute(clock, form, value)),
            Note::Observed(form) => finest(&mut self.observed, form, absolute(clock, form, value)),
            Note::DurationMilliseconds => self.duration_ns = value.checked_mul(1_000_000),
            Note::DurationMicroseconds => self.duration_ns = value.checked_mul(1_000),
            _ => {}
        }
    }
}

impl Notes<'_> {
    fn label(&mut self, depth: u8, bytes: &[u8]) {
        if let ([a, b, c] | [a, b, c, _], Some(place)) = (bytes, self.labels.get_mut(usize::from(depth))) {
            *place = u32::from_be_bytes([0, *a, *b, *c]);
        }
    }

    /// Puts everything into the record.
    pub(super) fn settle(&mut self, clock: Clock, record: &mut Record, has_icmp: bool) {
        self.outer.settle(record);
        self.settle_times(clock, record);
        record.sampling = record.sampling.or_else(|| self.sampling.rate());
        self.icmp.fill(record);
        if has_icmp {
            icmp::settle(record);
        }
        self.sections.settle(record);
        if let Some(labels) = self.stack() {
            record.attributes.set(Attribute::MplsLabels, labels);
        }
    }

    /// The reverse direction, if it was counted.
    pub(super) fn reverse(&self) -> Option<Box<ReverseFlow>> {
        self.reverse.counts().then(|| Box::new(self.reverse))
    }

    fn settle_times(&mut self, clock: Clock, record: &mut Record) {
        let at = |uptime: Option<u64>| match (uptime, self.system_init_ms.filter(|init| *init > 0)) {
            (Some(uptime), Some(init)) => clock::from_milliseconds(init.checked_add(uptime)?),
            (Some(uptime), None) => clock.at_uptime(u32::try_from(uptime).ok()?),
            (None, _) => None,
        };
        // No flow began and ended when its exporter was started: both were left out.
        let is_told = (self.start_uptime, self.end_uptime) != (Some(0), Some(0));
        let uptime = |uptime| at(uptime).filter(|_| is_told);
        let (start, end) = (uptime(self.start_uptime), uptime(self.end_uptime));
        finest(&mut self.start, TimeForm::Uptime, start);
        finest(&mut self.end, TimeForm::Uptime, end);
        let ns = |time: Option<(TimeForm, u64)>| time.map(|(_, ns)| ns);
        record.start_ns = record.start_ns.or(ns(self.start));
        record.end_ns = record.end_ns.or(ns(self.end));
        // One end and the duration are both ends.
        if let Some(duration) = self.duration_ns {
            let start = |end: u64| end.checked_sub(duration);
            let end = |start: u64| start.checked_add(duration);
            (record.start_ns, record.end_ns) = (
                record.start_ns.or(record.end_ns.and_then(start)),
                record.end_ns.or(record.start_ns.and_then(end)),
            );
        }
        // An event is when it was observed, and so is the end of a flow that has none.
        if let Some(observed) = ns(self.observed) {
            record.end_ns = record.end_ns.or(record.start_ns.max(Some(observed)));
            record.start_ns = record.start_ns.or(Some(observed).min(record.end_ns));
        }
    }

    /// The labels from the top to the bottom of the stack (RFC 3032 §2.1).
    fn stack(&self) -> Option<AttributeValue> {
        let mut text = String::new();
        for entry in self.labels.iter().filter(|entry| **entry != 0) {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}{}", entry >> 4);
            if entry & 1 != 0 {
                break;
            }
        }
        (!text.is_empty()).then(|| AttributeValue::Text(Text::from(text.as_str())))
    }
}

/// Keeps the finer one of two times; one that is not there says nothing.
pub(super) fn finest(place: &mut Option<(TimeForm, u64)>, form: TimeForm, ns: Option<u64>) {
    if let Some(ns) = ns
        && place.is_none_or(|(known, _)| form > known)
    {
        *place = Some((form, ns));
    }
}

/// The time, ns since the epoch. No flow is of 1970: zero is no time, except where the
/// time is counted back from the export.
#[inline]
pub(super) fn absolute(clock: Clock, form: TimeForm, value: u64) -> Option<u64> {
    if value == 0 && form != TimeForm::DeltaMicroseconds {
        return None;
    }
    match form {
        TimeForm::Seconds => clock::from_seconds(value),
        TimeForm::Milliseconds => clock::from_milliseconds(value),
        TimeForm::NtpMicroseconds => clock::from_ntp_microseconds(value),
        TimeForm::Ntp => clock::from_ntp(value),
        TimeForm::DeltaMicroseconds => clock.before(value),
        TimeForm::Uptime => clock.at_uptime(u32::try_from(value).ok()?),
    }
}
