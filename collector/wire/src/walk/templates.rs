//! Template sets: templates put in force, taken out of it, and refused.

use std::sync::Arc;

use super::Walk;
use crate::layout::Layout;
use crate::protocol::Protocol;
use crate::reader::Reader;
use crate::reject::Reject;
use crate::scope::Template;
use crate::session::Transport;
use crate::template::{self, Definition, Entry};

/// Age at which the time of a template's last telling is told to the outside, though
/// the template itself is known there.
const STALE_MS: u64 = 600_000;

impl Walk<'_> {
    pub(super) fn template_set(&mut self, body: &mut Reader<'_>, options: bool) {
        let mut last = 0;
        if !self.guarded(|walk, _| walk.templates(body, options, &mut last)) {
            self.state.traces.spoiled.insert(last);
        }
    }

    fn templates(&mut self, set: &mut Reader<'_>, options: bool, last: &mut u16) -> Result<(), Reject> {
        loop {
            *last = set.clone().u16().unwrap_or(0);
            let Some(entry) = template::next_entry(set, self.header.protocol, options)? else {
                return Ok(());
            };
            match entry {
                Entry::Definition(definition) => self.define(&definition)?,
                Entry::Withdrawal(_) if self.header.protocol != Protocol::Ipfix => {
                    self.tally.templates_refused += 1;
                }
                Entry::Withdrawal(_) if self.session.transport == Transport::Datagram => {
                    self.tally.withdrawals_ignored += 1;
                }
                Entry::Withdrawal(id) => self.withdraw(id, options),
            }
        }
    }

    /// Takes a template out of force, or all of a kind, whose set id then stands in
    /// the place of theirs (RFC 7011 §8.1).
    fn withdraw(&mut self, id: u16, options: bool) {
        if id < 256 {
            for id in self.state.scope.ids(options) {
                self.withdraw_one(id);
            }
        } else if self
            .state
            .scope
            .layout(id)
            .is_some_and(|layout| layout.options == options)
        {
            self.withdraw_one(id);
        } else {
            self.tally.withdrawals_ignored += 1;
        }
    }

    fn withdraw_one(&mut self, id: u16) {
        let replaced = self.put(id, None);
        self.state.traces.undo.push((id, replaced));
        self.tally.templates_withdrawn += 1;
    }

    /// Puts a template in force. One that is refused takes its predecessor along:
    /// the exporter does not mean that one any more. Over a stream a different
    /// definition without a withdrawal is a fault of the exporter (RFC 7011 §8).
    fn define(&mut self, definition: &Definition<'_>) -> Result<(), Reject> {
        let id = definition.id;
        let known = self.state.scope.layout(id);
        let same = known.filter(|layout| layout.is(definition)).cloned();
        let (is_same, is_known) = (same.is_some(), known.is_some());
        if self.session.transport == Transport::Stream && is_known && !is_same {
            return Err(Reject::Redefined {
                offset: definition.offset,
                found: id,
            });
        }
        let at_ms = self.now_ms;
        let layout = same.or_else(|| self.new_layout(definition, is_known));
        let refused = layout.is_none();
        let replaced = self.put(id, layout.map(|layout| Template { layout, at_ms }));
        self.state.traces.undo.push((id, replaced));
        let stale = at_ms.abs_diff(self.state.scope.told_ms) >= STALE_MS;
        self.state.scope.changed |= stale || !is_same;
        match (refused, is_same) {
            (true, _) => self.tally.templates_refused += 1,
            (false, true) => self.tally.templates_refreshed += 1,
            (false, false) => self.tally.templates_learned += 1,
        }
        self.state.traces.spoiled.remove(&id);
        if !refused {
            self.state.traces.defined.push(id);
        }
        Ok(())
    }

    fn new_layout(&mut self, definition: &Definition<'_>, known: bool) -> Option<Arc<Layout>> {
        if definition.count > self.state.limits.fields_per_template
            || (!known && self.state.scope.template_count() >= self.state.limits.templates_per_scope)
        {
            return None;
        }
        let sender = self.sender();
        self.state.layouts.of(definition, sender, self.now_ms)
    }
}
