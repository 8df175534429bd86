//! The walk through one NetFlow v9 or IPFIX message: templates put in force, data
//! decoded ([`data`]), what has no template kept. A malformed set leaves no trace, and
//! takes none of its neighbours along: exporters pad messages with octets that are no
//! set, and send options templates that cannot be.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::assume::Known;
use crate::cache::Layouts;
use crate::held::Budget;
use crate::layout::Layout;
use crate::limits::Limits;
use crate::message::{self, Header, SetKind};
use crate::options::OptionsRecord;
use crate::reader::Reader;
use crate::record::Record;
use crate::reject::Reject;
use crate::scope::{Scope, Template};
use crate::scopes::Siblings;
use crate::session::{SenderNetwork, Session};
use crate::summary::Summary;

mod data;
mod templates;

/// What the walk works on.
pub(crate) struct State<'w> {
    /// Of the session and domain of the message.
    pub scope: &'w mut Scope,
    /// What other sessions of its address know.
    pub siblings: Siblings<'w>,
    pub layouts: &'w mut Layouts,
    pub known: &'w mut Known,
    pub budget: &'w mut Budget,
    pub limits: &'w Limits,
    pub traces: &'w mut TemplateUndoLog,
}

/// What a message did to the templates; kept from one to the next for its room.
#[derive(Debug, Default)]
pub(crate) struct TemplateUndoLog {
    /// What the templates of the message replaced, to be put back on failure.
    undo: Vec<(u16, Option<Template>)>,
    /// Templates that the message defined.
    defined: Vec<u16>,
    /// Templates that a malformed set of the message was about. Their data is not read
    /// by what they were before.
    spoiled: BTreeSet<u16>,
}

/// Octets that a record costs of what a message may yield: a record takes many times
/// the memory of the octets that make it. An address and a counter of four octets each
/// have as many.
const RECORD_PRICE: usize = 8;

/// What a message may spend beside the octets of its data: a few short records are
/// worth no thought.
const SMALL_CHANGE: usize = 8 * RECORD_PRICE;

/// One message on its way.
pub(crate) struct Walk<'w> {
    state: State<'w>,
    session: Session,
    header: Header,
    now_ms: u64,
    out: &'w mut Vec<Record>,
    /// Records in `out` before this message.
    start: usize,
    /// Records in `out` before the datagram that it is in.
    first: usize,
    options: Vec<OptionsRecord>,
    tally: Tally,
    /// Template sets and data sets that were well-formed.
    sets_read: usize,
    set_fault: Option<Reject>,
    /// The message has one set only, as OVS's data has.
    alone: bool,
    /// What may still be spent on records, in octets.
    credit: usize,
}

/// What was gone through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walked {
    pub header: Header,
    /// As in [`Summary::data_records`].
    pub data_records: usize,
}

/// The numbers of a [`Summary`] that sets bring, of which a malformed one has none. A
/// datagram has 65,535 octets at most, and none of these counts more than them.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    options_records: u32,
    data_records: u32,
    released_records: u32,
    records_skipped: u32,
    biflow_records: u32,
    reverse_records: u32,
    structured_records: u32,
    templates_learned: u32,
    templates_refreshed: u32,
    templates_refused: u32,
    templates_assumed: u32,
    templates_borrowed: u32,
    templates_withdrawn: u32,
    withdrawals_ignored: u32,
    sets_held: u32,
    sets_dropped: u32,
    sets_skipped: u32,
    sets_malformed: u32,
    sets_without_record: u32,
    leftover_bytes: u32,
    trailing_bytes: u32,
}

/// Where a set began.
#[derive(Debug, Clone, Copy)]
struct Mark {
    records: usize,
    options: usize,
    undo: usize,
    defined: usize,
    credit: usize,
    tally: Tally,
}

/// A number of octets or records of one datagram.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Data sets without a template.
type Orphans<'a> = Vec<(u16, Reader<'a>)>;

impl<'w> Walk<'w> {
    pub(crate) fn new(
        state: State<'w>,
        session: Session,
        header: Header,
        now_ms: u64,
        (out, first): (&'w mut Vec<Record>, usize),
    ) -> Self {
        state.traces.undo.clear();
        state.traces.defined.clear();
        if !state.traces.spoiled.is_empty() {
            state.traces.spoiled.clear();
        }
        Self {
            state,
            session,
            header,
            now_ms,
            start: out.len(),
            out,
            options: Vec::new(),
            tally: Tally::default(),
            sets_read: 0,
            set_fault: None,
            alone: false,
            credit: SMALL_CHANGE,
            first,
        }
    }

    /// Decodes the sets of the message, then those that waited for its templates.
    ///
    /// # Errors
    /// What was wrong with the first set, when none was well-formed; nothing has
    /// changed then.
    pub(crate) fn message(&mut self, sets: Reader<'_>, summary: &mut Summary) -> Result<Walked, Reject> {
        let orphans = self.sets(sets);
        if self.sets_read == 0
            && let Some(fault) = self.set_fault.take()
        {
            return Err(fault);
        }
        for (id, body) in orphans {
            if !self.assume(id, &body) {
                self.hold(id, body);
            }
        }
        self.release();
        self.tell(summary);
        Ok(Walked {
            header: self.header,
            data_records: self.tally.data_records as usize,
        })
    }

    fn tell(&mut self, summary: &mut Summary) {
        let tally = &self.tally;
        let number = |count: u32| count as usize;
        summary.records += self.out.len() - self.start;
        summary.options.append(&mut self.options);
        if let Some(fault) = self.set_fault.take() {
            summary.set_fault.get_or_insert(fault);
        }
        summary.options_records += number(tally.options_records);
        summary.released_records += number(tally.released_records);
        summary.records_skipped += number(tally.records_skipped);
        summary.biflow_records += number(tally.biflow_records);
        summary.reverse_records += number(tally.reverse_records);
        summary.structured_records += number(tally.structured_records);
        summary.templates_learned += number(tally.templates_learned);
        summary.templates_refreshed += number(tally.templates_refreshed);
        summary.templates_refused += number(tally.templates_refused);
        summary.templates_assumed += number(tally.templates_assumed);
        summary.templates_borrowed += number(tally.templates_borrowed);
        summary.templates_withdrawn += number(tally.templates_withdrawn);
        summary.withdrawals_ignored += number(tally.withdrawals_ignored);
        summary.sets_held += number(tally.sets_held);
        summary.sets_dropped += number(tally.sets_dropped);
        summary.sets_skipped += number(tally.sets_skipped);
        summary.sets_malformed += number(tally.sets_malformed);
        summary.sets_without_record += number(tally.sets_without_record);
        summary.leftover_bytes += number(tally.leftover_bytes);
        summary.trailing_bytes += number(tally.trailing_bytes);
    }

    /// Goes through the sets in order; returns the data sets that have no template
    /// even at the end of the message.
    fn sets<'a>(&mut self, mut sets: Reader<'a>) -> Orphans<'a> {
        let (mut orphans, mut first) = (Orphans::new(), true);
        loop {
            match message::next_set(&mut sets, self.header.protocol) {
                Ok(None) => break,
                Ok(Some((kind, body))) => {
                    self.alone = first && sets.left() == 0;
                    first = false;
                    self.set(kind, body, &mut orphans);
                }
                Err(fault) => {
                    self.trailing(&sets, fault);
                    break;
                }
            }
        }
        let mut left = Orphans::new();
        for (id, body) in orphans {
            match self.layout_of_data(id) {
                Some((layout, is_borrowed)) => self.data_set(id, &layout, is_borrowed, body),
                None => left.push((id, body)),
            }
        }
        left
    }

    fn set<'a>(&mut self, kind: SetKind, mut body: Reader<'a>, orphans: &mut Orphans<'a>) {
        match kind {
            SetKind::Templates => self.template_set(&mut body, false),
            SetKind::OptionsTemplates => self.template_set(&mut body, true),
            SetKind::Data(_) if body.left() == 0 => self.tally.sets_skipped += 1,
            SetKind::Data(id) => match self.layout_of_data(id) {
                Some((layout, is_borrowed)) => self.data_set(id, &layout, is_borrowed, body),
                None => {
                    self.sets_read += 1;
                    orphans.push((id, body));
                }
            },
            SetKind::Reserved => self.tally.sets_skipped += 1,
        }
    }

    /// What follows the last set. Zeros are padding, however many: NetFlow v9 has no
    /// message length, and exporters fill up what they send.
    fn trailing(&mut self, rest: &Reader<'_>, fault: Reject) {
        self.tally.trailing_bytes += count(rest.left());
        if rest.rest().iter().any(|byte| *byte != 0) {
            self.fault(fault, u32::from(rest.left() >= 4));
        }
    }

    /// Goes through one set, and leaves no trace of it if it is malformed.
    fn guarded(&mut self, read: impl FnOnce(&mut Self, &Mark) -> Result<(), Reject>) -> bool {
        let mark = self.mark();
        match read(self, &mark) {
            Ok(()) => {
                self.sets_read += 1;
                true
            }
            Err(fault) => {
                self.back_to(&mark);
                self.fault(fault, 1);
                false
            }
        }
    }

    fn fault(&mut self, fault: Reject, sets: u32) {
        self.set_fault.get_or_insert(fault);
        self.tally.sets_malformed += sets;
    }

    fn mark(&self) -> Mark {
        Mark {
            records: self.out.len(),
            options: self.options.len(),
            undo: self.state.traces.undo.len(),
            defined: self.state.traces.defined.len(),
            credit: self.credit,
            tally: self.tally,
        }
    }

    fn back_to(&mut self, mark: &Mark) {
        self.out.truncate(mark.records);
        self.options.truncate(mark.options);
        self.state.traces.defined.truncate(mark.defined);
        while self.state.traces.undo.len() > mark.undo {
            if let Some((id, template)) = self.state.traces.undo.pop() {
                self.put(id, template);
                self.state.traces.spoiled.insert(id);
            }
        }
        self.credit = mark.credit;
        self.tally = mark.tally;
    }

    /// The template that data of this id is read by: the session's own, else that of
    /// another session of the address.
    fn layout(&self, id: u16) -> Option<&Arc<Layout>> {
        let own = self.state.scope.layout(id);
        own.or_else(|| self.state.siblings.layout(id))
    }

    /// The same, and whether it is another session's, unless a malformed set of this
    /// message was about it.
    #[inline]
    fn layout_of_data(&self, id: u16) -> Option<(Arc<Layout>, bool)> {
        let spoiled = &self.state.traces.spoiled;
        if !spoiled.is_empty() && spoiled.contains(&id) {
            return None;
        }
        match self.state.scope.layout(id) {
            Some(own) => Some((Arc::clone(own), false)),
            None => self
                .state
                .siblings
                .layout(id)
                .map(|other| (Arc::clone(other), true)),
        }
    }

    /// Puts a template in force or, with `None`, out of it; returns what was.
    fn put(&mut self, id: u16, template: Option<Template>) -> Option<Template> {
        let new = template.as_ref().map(|template| Arc::clone(&template.layout));
        let old = self.state.scope.set(id, template);
        let replaced = old.as_ref().map(|template| &template.layout);
        self.state.siblings.replaced(id, replaced, new.as_ref());
        old
    }

    fn sender(&self) -> SenderNetwork {
        self.session.sender()
    }
}
