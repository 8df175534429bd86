//! Rules that another rule makes superfluous, and the rules of whose peers an end is one.

use std::collections::BTreeMap;

use super::snapshot::{Endpoint, Snapshot};
use super::tables::{NO_POLICY, Part, Rule, Tables, is_set};
use crate::policy::Direction;
use crate::verdict::Decider;

/// A rule by the number of its policy and its index.
type RuleKey = (u32, u16);

impl Snapshot {
    /// Visits every rule of a direction of whose peers an end is one.
    pub(crate) fn rules_with_peer(
        &self,
        endpoint: &Endpoint,
        direction: Direction,
        mut visit: impl FnMut(Decider),
    ) {
        let tables = &self.tables[direction as usize];
        let row = tables.peers.row(endpoint.class);
        for (column, rule) in (0u32..).zip(tables.rules()) {
            if rule.policy != NO_POLICY && is_set(row, column) {
                visit(Decider {
                    policy: rule.policy,
                    rule: Some(rule.index),
                });
            }
        }
    }

    /// The rules of NetworkPolicies all of whose connections one other rule allows too, with
    /// that rule. Of two that allow the same the later by name is superfluous.
    pub(crate) fn shadowed(&self, direction: Direction) -> BTreeMap<RuleKey, Decider> {
        let tables = &self.tables[direction as usize];
        let lists: Vec<&[u32]> = (0u32..)
            .map_while(|group| tables.list(group))
            .map(|list| list.part(Part::Network))
            .filter(|rules| !rules.is_empty())
            .collect();
        let mut groups: BTreeMap<u32, Vec<&[u32]>> = BTreeMap::new();
        for list in lists {
            for column in list {
                groups.entry(*column).or_default().push(list);
            }
        }
        let mut shadowed = BTreeMap::new();
        for (column, lists) in groups {
            let Some(rule) = tables.rule(column) else {
                continue;
            };
            let candidates = lists.first().into_iter().flat_map(|list| list.iter().copied());
            let by = candidates
                .filter(|other| *other != column && lists.iter().all(|list| list.contains(other)))
                .find(|other| self.is_shadow(tables, *other, column));
            if let Some(by) = by.and_then(|other| tables.rule(other)) {
                let decider = Decider {
                    policy: by.policy,
                    rule: Some(by.index),
                };
                shadowed.insert((rule.policy, rule.index), decider);
            }
        }
        shadowed
    }

    /// Whether one rule allows all that another does.
    fn is_shadow(&self, tables: &Tables, wide: u32, narrow: u32) -> bool {
        if !self.covers(tables, wide, narrow) {
            return false;
        }
        let rank = |column: u32| {
            let rule = tables.rule(column);
            rule.map(|rule| (self.policy(rule.policy), rule.index))
        };
        rank(wide) < rank(narrow) || !self.covers(tables, narrow, wide)
    }

    fn covers(&self, tables: &Tables, wide: u32, narrow: u32) -> bool {
        let (Some(one), Some(other)) = (tables.rule(wide), tables.rule(narrow)) else {
            return false;
        };
        // what is looked up by name the bits do not know
        let is_special = |rule: &Rule| rule.has_names || rule.has_domains;
        if is_special(other) && !(one.detail.all_ports && one.detail.everyone) {
            return false;
        }
        tables.peers.column_covers(wide, narrow) && tables.ports.column_covers(wide, narrow)
    }
}
