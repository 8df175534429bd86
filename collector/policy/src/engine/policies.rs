//! Policies in the tables: their rules' bits, and their place in the lists of those
//! whom they select.

use std::sync::Arc;

use ipnet::IpNet;

use super::lowering::{Lowered, LoweredRule};
use super::tables::{PolicyMeta, Rule, RuleDetail, SubjectList};
use super::{Engine, Snapshot};
use crate::policy::{Action, DIRECTIONS, Direction, Policy, PolicyKey, Tier};

impl Engine {
    /// Adds networks: classes of addresses split, and who has such an address moves.
    pub(super) fn add_networks<'n>(&mut self, networks: impl Iterator<Item = &'n IpNet>) {
        let new: Vec<IpNet> =
            networks.filter(|network| self.snapshot.networks.id(network).is_none()).copied().collect();
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
            let policies = &mut self.change().policies;
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
            lowered.rules(direction).iter().map(|rule| self.insert_rule(id, &lowered, rule, direction)).collect()
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
        self.policies.insert(policy.key(), (id, policy));
        let snapshot = self.change();
        snapshot.policies[id as usize] = Some(Arc::clone(&meta));
        for group in groups {
            for direction in DIRECTIONS {
                snapshot.list_policy(group, id, &meta, direction);
            }
        }
    }

    fn insert_rule(&mut self, policy: u32, lowered: &Lowered, rule: &LoweredRule, direction: Direction) -> u32 {
        let side = direction as usize;
        let column = self.free_rules[side].pop().unwrap_or(self.snapshot.tables[side].rules.len() as u32);
        let mut sets: Vec<u32> = rule.sets.iter().map(|set| self.sets.intern_set(set)).collect();
        sets.sort_unstable();
        sets.dedup();
        for set in &sets {
            self.sets.set_mut(*set).peers[side].push(column);
        }
        let ports = rule.ports.iter().filter_map(|spec| self.add_ports(*spec)).collect();
        let detail = RuleDetail::new(rule, sets, ports, &self.snapshot.networks);
        let rule = Rule {
            policy,
            index: rule.index,
            action: rule.action.unwrap_or(Action::Deny),
            network: lowered.tier == Some(Tier::NetworkPolicy),
            has_names: !detail.named.is_empty(),
            has_domains: !detail.domains.is_empty(),
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
                snapshot.tables.iter_mut().for_each(|tables| tables.add_port_class(Some(class)));
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
            set.groups.iter().chain(hosts).for_each(|group| in_sets[*group as usize] = true);
        }
        let networks = Arc::clone(&self.snapshot.networks);
        let in_blocks: Vec<bool> =
            (0..networks.len()).map(|class| detail.blocks_hold(networks.around(class))).collect();
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
        let Some(meta) = self.change().policies[id as usize].take() else {
            return;
        };
        let groups = self.sets.set(meta.subject).groups.clone();
        self.sets.set_mut(meta.subject).subjects.retain(|policy| *policy != id);
        for direction in DIRECTIONS {
            let side = direction as usize;
            for group in &groups {
                self.change().unlist_policy(*group, id, direction);
            }
            for column in &meta.rules[side] {
                let detail = Arc::clone(&self.snapshot.tables[side].rules[*column as usize].detail);
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
    /// The list of a group in one direction, to be changed.
    fn list_mut(&mut self, group: u32, direction: Direction) -> &mut SubjectList {
        Arc::make_mut(&mut self.tables[direction as usize].subjects[group as usize])
    }

    /// Puts a policy into the list of a group that it selects.
    pub(super) fn list_policy(&mut self, group: u32, id: u32, meta: &PolicyMeta, direction: Direction) {
        let side = direction as usize;
        let Some(tier) = meta.tier else {
            return self.list_mut(group, direction).foreign.push(id);
        };
        if !meta.isolates[side] && meta.rules[side].is_empty() {
            return;
        }
        let rank = |policy: u32| self.policies[policy as usize].as_deref().map(PolicyMeta::rank);
        let is_before = |policy: u32| rank(policy) < Some(meta.rank());
        let tables = &self.tables[side];
        let list = &tables.subjects[group as usize];
        let (start, rules) = match tier {
            Tier::Admin => (0, list.tier(tier)),
            Tier::NetworkPolicy => (list.admin as usize, list.tier(tier)),
            Tier::Baseline => (list.network as usize, list.tier(tier)),
        };
        let at = start + rules.partition_point(|rule| is_before(tables.rules[*rule as usize].policy));
        let isolating = list.isolating.partition_point(|policy| is_before(*policy));
        let list = self.list_mut(group, direction);
        list.rules.splice(at..at, meta.rules[side].iter().copied());
        let count = meta.rules[side].len() as u32;
        list.admin += if tier == Tier::Admin { count } else { 0 };
        list.network += if tier == Tier::Baseline { 0 } else { count };
        if meta.isolates[side] {
            list.isolating.insert(isolating, id);
        }
    }

    fn unlist_policy(&mut self, group: u32, id: u32, direction: Direction) {
        let tables = &self.tables[direction as usize];
        let list = &tables.subjects[group as usize];
        let is_other = |rule: &u32| tables.rules[*rule as usize].policy != id;
        let [admin, network, baseline] = [Tier::Admin, Tier::NetworkPolicy, Tier::Baseline]
            .map(|tier| list.tier(tier).iter().copied().filter(is_other).collect::<Vec<_>>());
        let rest = |policies: &[u32]| policies.iter().copied().filter(|policy| *policy != id).collect();
        let list = SubjectList {
            admin: admin.len() as u32,
            network: (admin.len() + network.len()) as u32,
            isolating: rest(&list.isolating),
            foreign: rest(&list.foreign),
            rules: [admin, network, baseline].concat(),
        };
        self.tables[direction as usize].subjects[group as usize] = Arc::new(list);
    }
}
