//! Policies in the tables: their rules' bits, and their place in the lists of those
//! whom they select.

use std::sync::Arc;

use ipnet::IpNet;

use super::lowering::{Lowered, LoweredRule};
use super::tables::{Part, PolicyMeta, Rule, RuleDetail};
use super::{Engine, Snapshot};
use crate::policy::{Action, DIRECTIONS, Direction, Policy, PolicyKey, Tier};

impl Engine {
    /// Adds networks: classes of addresses split, and who has such an address moves.
    pub(super) fn add_networks<'n>(&mut self, networks: impl Iterator<Item = &'n IpNet>) {
        let new: Vec<IpNet> = networks
            .filter(|network| self.snapshot.networks.id(network).is_none())
            .copied()
            .collect();
        if new.is_empty() {
            return;
        }
        let snapshot = self.change();
        let added = Arc::make_mut(&mut snapshot.networks).add(&new);
        snapshot.epoch += 1;
        self.classes_outside();
        self.reclassify(&added);
    }

    /// A number that no policy has.
    pub(super) fn free_policy(&mut self) -> u32 {
        self.free_policies.pop().unwrap_or_else(|| {
            let policies = Arc::make_mut(&mut self.change().policies);
            policies.push(None);
            policies.len() as u32 - 1
        })
    }

    /// Puts a policy, which is not there yet, into the tables.
    pub(super) fn insert_policy(&mut self, policy: Policy, lowered: Lowered) {
        let id = self.free_policy();
        let subject = self.sets.intern_set(&lowered.subject);
        self.sets.set_mut(subject).subjects.push(id);
        let rules = DIRECTIONS.map(|direction| {
            lowered
                .rules(direction)
                .iter()
                .map(|rule| self.insert_rule(id, &lowered, rule, direction))
                .collect()
        });
        let meta = Arc::new(PolicyMeta {
            key: policy.key(),
            tier: lowered.tier,
            priority: lowered.priority,
            subject,
            isolates: lowered.isolates,
            rules,
        });
        let groups = self.sets.set(subject).groups.clone();
        self.policies.insert(policy.key(), (id, Arc::new(policy)));
        let snapshot = self.change();
        Arc::make_mut(&mut snapshot.policies)[id as usize] = Some(Arc::clone(&meta));
        for group in groups {
            for direction in DIRECTIONS {
                snapshot.list_policy(group, id, &meta, direction);
            }
        }
    }

    fn insert_rule(
        &mut self,
        policy: u32,
        lowered: &Lowered,
        rule: &LoweredRule,
        direction: Direction,
    ) -> u32 {
        let side = direction as usize;
        let column = self.free_rules[side]
            .pop()
            .unwrap_or(self.snapshot.tables[side].rules().len() as u32);
        let mut sets: Vec<u32> = rule.sets.iter().map(|set| self.sets.intern_set(set)).collect();
        sets.sort_unstable();
        sets.dedup();
        for set in &sets {
            self.sets.set_mut(*set).peers[side].push(column);
        }
        let ports = rule
            .ports
            .iter()
            .filter_map(|spec| self.add_ports(*spec))
            .collect();
        let detail = RuleDetail::new(rule, sets, ports, &self.snapshot.networks);
        let is_network = lowered.tier == Some(Tier::NetworkPolicy);
        let has_namespaces = detail.named.iter().any(|named| named.namespace.is_some());
        let rule = Rule {
            policy,
            index: rule.index,
            action: rule.action.unwrap_or(Action::Deny),
            network: is_network,
            has_names: !detail.named.is_empty(),
            has_domains: !detail.domains.is_empty(),
            has_blocks: !detail.blocks.is_empty(),
            has_no_nodes: is_network && !rule.everyone,
            by_profile: rule.widened || has_namespaces,
            detail: Arc::new(detail),
        };
        self.fill_rule(side, column, rule);
        column
    }

    /// The number of a range of ports; classes split where it is new.
    fn add_ports(&mut self, spec: super::ports::PortSpec) -> Option<u32> {
        if self.snapshot.ports.id(&spec).is_none() {
            let snapshot = self.change();
            for class in Arc::make_mut(&mut snapshot.ports).add(spec) {
                snapshot
                    .tables
                    .iter_mut()
                    .for_each(|tables| tables.add_port_class(Some(class)));
            }
        }
        self.snapshot.ports.id(&spec)
    }

    fn fill_rule(&mut self, side: usize, column: u32, rule: Rule) {
        let detail = Arc::clone(&rule.detail);
        let mut in_sets = vec![false; self.sets.group_count() as usize];
        for set in &detail.sets {
            let set = self.sets.set(*set);
            let hosts = set.hosts.iter().filter(|_| rule.network);
            set.groups
                .iter()
                .chain(hosts)
                .for_each(|group| in_sets[*group as usize] = true);
        }
        let networks = Arc::clone(&self.snapshot.networks);
        let in_blocks: Vec<bool> = (0..networks.len())
            .map(|class| detail.blocks_hold(networks.around(class)))
            .collect();
        let ports = Arc::clone(&self.snapshot.ports);
        self.wide_rules[side].put(column, &detail);
        let snapshot = Arc::make_mut(&mut self.snapshot);
        let tables = &mut snapshot.tables[side];
        tables.put_rule(column, rule);
        let peers = self.class_parts.iter().map(|(group, network)| {
            detail.everyone || in_sets[*group as usize] || in_blocks[*network as usize]
        });
        let classes = 0..ports.len() as u32;
        let ports = classes.map(|class| detail.all_ports || ports.is_within(class, &detail.ports));
        tables.fill(column, peers, ports);
    }

    /// Takes a policy out of the tables.
    pub(super) fn drop_policy(&mut self, key: &PolicyKey) {
        let Some((id, _)) = self.policies.remove(key) else {
            return;
        };
        self.free_policies.push(id);
        let Some(meta) = Arc::make_mut(&mut self.change().policies)[id as usize].take() else {
            return;
        };
        let groups = self.sets.set(meta.subject).groups.clone();
        self.sets
            .set_mut(meta.subject)
            .subjects
            .retain(|policy| *policy != id);
        for direction in DIRECTIONS {
            let side = direction as usize;
            for group in &groups {
                self.change().unlist_policy(*group, id, &meta, direction);
            }
            for column in &meta.rules[side] {
                let rule = self.snapshot.tables[side].rule(*column);
                let Some(detail) = rule.map(|rule| Arc::clone(&rule.detail)) else {
                    continue;
                };
                for set in &detail.sets {
                    self.sets.set_mut(*set).peers[side].retain(|rule| rule != column);
                }
                self.wide_rules[side].remove(*column, &detail);
                self.change().tables[side].clear_rule(*column);
                self.free_rules[side].push(*column);
            }
        }
    }
}

impl Snapshot {
    /// Puts a policy into the list of a group that it selects.
    pub(super) fn list_policy(&mut self, group: u32, id: u32, meta: &PolicyMeta, direction: Direction) {
        let side = direction as usize;
        let tables = &self.tables[side];
        let Some(list) = tables.list(group) else {
            return;
        };
        let rank = |policy: u32| self.policies[policy as usize].as_deref().map(PolicyMeta::rank);
        let is_before = |policy: u32| rank(policy) < Some(meta.rank());
        let of_rule = |rule: u32| tables.rule(rule).is_some_and(|rule| is_before(rule.policy));
        let inserted =
            |members: &[u32], at: usize, new: &[u32]| [&members[..at], new, &members[at..]].concat();
        let mut changed = None;
        match meta.tier {
            None => changed = Some(list.with(Part::Foreign, [list.part(Part::Foreign), &[id]].concat())),
            Some(tier) if !meta.rules[side].is_empty() => {
                let members = list.part(tier.into());
                let at = members.partition_point(|rule| of_rule(*rule));
                changed = Some(list.with(tier.into(), inserted(members, at, &meta.rules[side])));
            }
            Some(_) => {}
        }
        if meta.isolates[side] {
            let members = list.part(Part::Isolating);
            let at = members.partition_point(|policy| is_before(*policy));
            let members = inserted(members, at, &[id]);
            changed = Some(changed.as_ref().unwrap_or(list).with(Part::Isolating, members));
        }
        if let Some(changed) = changed {
            self.tables[side].put_list(group, changed);
        }
    }

    fn unlist_policy(&mut self, group: u32, id: u32, meta: &PolicyMeta, direction: Direction) {
        let side = direction as usize;
        let Some(list) = self.tables[side].list(group) else {
            return;
        };
        let without = |part: Part, gone: &[u32]| {
            list.part(part)
                .iter()
                .copied()
                .filter(|member| !gone.contains(member))
                .collect()
        };
        let changed = match meta.tier {
            None => list.with(Part::Foreign, without(Part::Foreign, &[id])),
            Some(tier) => list
                .with(tier.into(), without(tier.into(), &meta.rules[side]))
                .with(Part::Isolating, without(Part::Isolating, &[id])),
        };
        self.tables[side].put_list(group, changed);
    }
}
