//! Data sets: by their template, by one of OVS that is known in advance, or kept until
//! their template comes.

use super::{Mark, RECORD_PRICE, Walk, count};
use crate::assume::Assumed;
use crate::clock::Clock;
use crate::held::HeldSet;
use crate::layout::Layout;
use crate::options::{OptionsRecord, Values};
use crate::plan::Plan;
use crate::protocol::Protocol;
use crate::reader::Reader;
use crate::record::Record;
use crate::reject::Reject;

impl Walk<'_> {
    /// Decodes a data set whose template is known, or leaves it out.
    pub(super) fn data_set(&mut self, id: u16, layout: &Layout, is_borrowed: bool, set: Reader<'_>) {
        let is_read = self.guarded(|walk, mark| walk.data(id, layout, set, mark));
        if is_read && is_borrowed {
            self.tally.templates_borrowed += 1;
            // What came before the other session's template has waited for it, too.
            self.state.traces.defined.push(id);
        }
    }

    /// Decodes a data set of this message. OVS does not pad: what does not end with
    /// its set shows that OVS changed the form of its records and kept its templates,
    /// as it does for up to 600 s when its virtual observation id is set (seen in 3.1.0).
    fn data(&mut self, id: u16, layout: &Layout, set: Reader<'_>, mark: &Mark) -> Result<(), Reject> {
        let result = self.records(layout.plan(), set.clone(), self.header.clock);
        let ends = match &result {
            Ok(rest) => rest.left() == 0 || !self.out.get(mark.records).is_some_and(is_like_ovs),
            Err(_) => false,
        };
        if !ends && let Some(assumed) = self.assumed(id, &set) {
            self.back_to(mark);
            return self.take_assumed(assumed, &set);
        }
        let rest = result?;
        self.end_of_set(&rest, set.left());
        Ok(())
    }

    /// What is left of a set after its last record is padding if it is zero; RFC 7011
    /// §3.3.1 wants it shorter than a record, and so it is.
    fn end_of_set(&mut self, rest: &Reader<'_>, octets: usize) {
        if rest.left() == octets {
            self.tally.sets_without_record += 1;
        } else if rest.rest().iter().any(|byte| *byte != 0) {
            self.tally.leftover_bytes += count(rest.left());
        }
    }

    /// Decodes the records of a data set; returns what is left after the last one.
    fn records<'a>(&mut self, plan: &Plan, mut set: Reader<'a>, clock: Clock) -> Result<Reader<'a>, Reject> {
        if plan.tells_of_flows() {
            self.credit += set.left();
        }
        let price = RECORD_PRICE * plan.most_records();
        let limit = self.state.limits.records_per_datagram;
        while plan.has_record(&set) {
            let made = self.out.len() - self.first + self.tally.options_records as usize;
            if made + plan.most_records() > limit {
                return Err(Reject::Records { limit });
            }
            let Some(credit) = self.credit.checked_sub(price) else {
                let skipped = count(plan.skip_all(&mut set)?);
                self.tally.records_skipped += skipped;
                self.tally.data_records += skipped;
                break;
            };
            self.credit = credit;
            if plan.options {
                self.options_record(plan, &mut set, clock)?;
            } else {
                self.flow(plan, &mut set, clock)?;
            }
            self.tally.data_records += 1;
        }
        Ok(set)
    }

    fn flow(&mut self, plan: &Plan, set: &mut Reader<'_>, clock: Clock) -> Result<(), Reject> {
        self.tally.structured_records += u32::from(plan.structured);
        // Written where it stays: a record is large.
        let empty = || Record::new(self.header.protocol, clock.export_ns);
        self.out.extend(std::iter::repeat_with(empty).take(1));
        let Some(record) = self.out.last_mut() else {
            return Ok(());
        };
        record.observation_domain = Some(self.header.domain);
        let reverse = plan.run(set, clock, record)?;
        self.tally.biflow_records += u32::from(plan.reverse);
        if let Some(reverse) = reverse {
            let second = reverse.record(record);
            self.out.push(second);
            self.tally.reverse_records += 1;
        }
        Ok(())
    }

    fn options_record(&mut self, plan: &Plan, set: &mut Reader<'_>, clock: Clock) -> Result<(), Reject> {
        let mut values = Values::default();
        plan.run_options(set, &mut values)?;
        self.tally.options_records += 1;
        if let Some(content) = values.content() {
            self.options.push(OptionsRecord {
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
    pub(super) fn release(&mut self) {
        let defined = std::mem::take(&mut self.state.traces.defined);
        let sender = self.sender();
        for id in &defined {
            let waited = self.state.scope.held.release(*id, sender, self.state.budget);
            self.state.budget.released = waited.len();
            for held in waited {
                self.released(*id, &held);
                self.state.budget.released -= 1;
            }
        }
        self.state.traces.defined = defined;
    }

    fn released(&mut self, id: u16, held: &HeldSet) {
        let mark = self.mark();
        let set = Reader::new(&held.bytes);
        let result = match self.layout(id).cloned() {
            Some(layout) => self.records(layout.plan(), set.clone(), held.clock),
            None => Ok(set.clone()),
        };
        match result {
            Ok(rest) => self.end_of_set(&rest, set.left()),
            Err(_) => {
                self.back_to(&mark);
                self.tally.sets_dropped += 1;
            }
        }
        self.tally.data_records = mark.tally.data_records;
        let released = self.out.iter_mut().skip(mark.records);
        released.for_each(|record| record.waited_since_ms = Some(held.at_ms));
        self.tally.released_records += count(self.out.len() - mark.records);
    }

    /// Reads a data set without a template as what OVS sends under its id, if it can
    /// be that.
    pub(super) fn assume(&mut self, id: u16, set: &Reader<'_>) -> bool {
        let mark = self.mark();
        let Some(assumed) = self.assumed(id, set) else {
            return false;
        };
        let is_taken = self.take_assumed(assumed, set).is_ok();
        if !is_taken {
            self.back_to(&mark);
        }
        is_taken
    }

    fn assumed(&mut self, id: u16, set: &Reader<'_>) -> Option<Assumed> {
        if !self.state.limits.assume_ovs || !self.alone || self.header.protocol != Protocol::Ipfix {
            return None;
        }
        self.state.known.read(id, set, self.header)
    }

    fn take_assumed(&mut self, assumed: Assumed, set: &Reader<'_>) -> Result<(), Reject> {
        self.tally.templates_assumed += 1;
        match assumed {
            Assumed::Statistics(plan) => {
                self.records(&plan, set.clone(), self.header.clock)?;
            }
            Assumed::Flow(record) => {
                self.out.push(*record);
                self.tally.data_records += 1;
            }
        }
        Ok(())
    }

    pub(super) fn hold(&mut self, id: u16, set: Reader<'_>) {
        let held = HeldSet {
            bytes: set.rest().into(),
            clock: self.header.clock,
            at_ms: self.now_ms,
        };
        let (sender, is_regular) = (self.sender(), self.state.scope.is_regular());
        let budget = &mut *self.state.budget;
        if self.state.scope.held.keep(id, held, sender, budget) {
            self.tally.sets_held += 1;
        } else {
            budget.wanted |= is_regular;
            self.tally.sets_dropped += 1;
        }
    }
}

/// Whether the record has the elements that begin every template of OVS.
fn is_like_ovs(record: &Record) -> bool {
    record.observation_point.is_some() && record.ethernet_header_len.is_some()
}
