//! Filters and look-ups of labels that several metrics have in common: a new metric takes one
//! that is there, or the place of one that nobody has any more.

use super::Registry;
use crate::definition::Definition;
use crate::filter::{Filter, Reading};
use crate::series::LabelTable;
use crate::shared::{LabelGroup, SharedFilter};
use crate::source::Source;

impl Registry {
    pub(super) fn share_filter(&mut self, filter: Filter) -> usize {
        let same = |shared: &SharedFilter| shared.users > 0 && shared.filter == filter;
        if let Some(at) = self.filters.iter().position(same) {
            self.filters[at].users += 1;
            return at;
        }
        let shared = SharedFilter::new(filter);
        place(&mut self.filters, shared, |shared| shared.users == 0)
    }

    pub(super) fn share_labels(&mut self, definition: &Definition) -> usize {
        let fields = definition.labels.iter().map(|label| match label.reading {
            Reading::Record(source) => Some(source),
            Reading::Part { .. } => None,
        });
        let sources = if definition.flatten.is_empty() {
            fields.collect()
        } else {
            None
        };
        let same = |group: &LabelGroup| group.users > 0 && sources.is_some() && group.sources == sources;
        if let Some(at) = self.groups.iter().position(same) {
            self.groups[at].users += 1;
            return at;
        }
        let of_flow = sources.iter().flatten().enumerate();
        let own = of_flow.filter(|(_, source): &(_, &Source)| !source.follows_from_identities());
        let group = LabelGroup {
            own: own.map(|(at, _)| at).collect(),
            sources,
            table: LabelTable::default(),
            users: 1,
            generation: 0,
            hash: 0,
            slot: None,
        };
        place(&mut self.groups, group, |group| group.users == 0)
    }
}

/// Puts it where a free one was, or at the end.
fn place<T>(list: &mut Vec<T>, item: T, is_free: impl Fn(&T) -> bool) -> usize {
    match list.iter().position(is_free) {
        Some(at) => {
            list[at] = item;
            at
        }
        None => {
            list.push(item);
            list.len() - 1
        }
    }
}
