//! The rules of one direction as bits: a row for each endpoint class and each port
//! class, a column for each rule; and for each group the rules that are about it.

use std::sync::Arc;

use ipnet::IpNet;

use super::lowering::{LoweredRule, NamedMatch};
use super::networks::Networks;
use crate::policy::{Action, IpBlock, PolicyKey, Tier};

/// Bits in a word.
const WORD: usize = 64;

/// Rows of bits of equal length.
#[derive(Debug, Clone)]
pub(crate) struct BitRows {
    words: Vec<u64>,
    /// Words in a row.
    stride: usize,
}

impl BitRows {
    fn new() -> BitRows {
        BitRows { words: Vec::new(), stride: 1 }
    }

    /// One row; all zero where there is none.
    pub(crate) fn row(&self, row: u32) -> &[u64] {
        let start = row as usize * self.stride;
        self.words.get(start..start + self.stride).unwrap_or(&[])
    }

    fn rows(&self) -> usize {
        self.words.len() / self.stride
    }

    fn push(&mut self) {
        self.words.resize(self.words.len() + self.stride, 0);
    }

    fn push_copy(&mut self, row: u32) {
        let start = row as usize * self.stride;
        self.words.extend_from_within(start..start + self.stride);
    }

    fn set(&mut self, row: u32, column: u32, value: bool) {
        let (word, bit) = (column as usize / WORD, column as usize % WORD);
        let word = &mut self.words[row as usize * self.stride + word];
        *word = (*word & !(1 << bit)) | (u64::from(value) << bit);
    }

    /// Room for so many columns.
    fn widen(&mut self, columns: usize) {
        if columns <= self.stride * WORD {
            return;
        }
        let wider = columns.div_ceil(WORD).next_power_of_two();
        let mut words = vec![0; self.rows() * wider];
        for (to, from) in words.chunks_exact_mut(wider).zip(self.words.chunks_exact(self.stride)) {
            to[..self.stride].copy_from_slice(from);
        }
        *self = BitRows { words, stride: wider };
    }
}

/// Whether a column's bit is set in a row.
pub(crate) fn is_set(row: &[u64], column: u32) -> bool {
    row.get(column as usize / WORD).is_some_and(|word| word >> (column as usize % WORD) & 1 == 1)
}

/// A rule as evaluation reads it. A rule without a policy is free.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) policy: u32,
    pub(crate) index: u16,
    pub(crate) action: Action,
    /// Of a NetworkPolicy.
    pub(crate) network: bool,
    /// Ports by name, which the bits do not know.
    pub(crate) has_names: bool,
    /// Domain names, which the bits do not know.
    pub(crate) has_domains: bool,
    pub(crate) detail: Arc<RuleDetail>,
}

/// What is needed of a rule only when it decides.
#[derive(Debug, Default)]
pub(crate) struct RuleDetail {
    pub(crate) name: String,
    pub(crate) everyone: bool,
    pub(crate) widened: bool,
    pub(crate) named: Vec<NamedMatch>,
    pub(crate) domains: Vec<String>,
    /// Networks by number, with those excepted.
    pub(crate) blocks: Vec<(u32, Vec<u32>)>,
    /// The sets of its peers.
    pub(crate) sets: Vec<u32>,
    pub(crate) all_ports: bool,
    pub(crate) ports: Vec<u32>,
}

impl RuleDetail {
    /// From the one form, with the numbers of what it names.
    pub(crate) fn new(rule: &LoweredRule, sets: Vec<u32>, ports: Vec<u32>, networks: &Networks) -> RuleDetail {
        let id = |network: &IpNet| networks.id(network);
        let block = |block: &IpBlock| {
            let except = block.except.iter().filter_map(id).collect();
            Some((id(&block.cidr)?, except))
        };
        RuleDetail {
            name: rule.name.clone(),
            everyone: rule.everyone,
            widened: rule.widened,
            named: rule.named.clone(),
            domains: rule.domains.clone(),
            blocks: rule.blocks.iter().filter_map(block).collect(),
            sets,
            all_ports: rule.all_ports,
            ports,
        }
    }

    /// Whether one of its blocks is around these networks' class, and no exception of
    /// that block is.
    pub(crate) fn blocks_hold(&self, around: &[u32]) -> bool {
        let within = |network: &u32| around.binary_search(network).is_ok();
        self.blocks.iter().any(|(cidr, except)| within(cidr) && !except.iter().any(within))
    }
}

/// The rules about one group in one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SubjectList {
    /// Admin tier by priority, then NetworkPolicies by name, then Baseline by priority.
    pub(crate) rules: Vec<u32>,
    /// Where the Admin tier ends.
    pub(crate) admin: u32,
    /// Where the NetworkPolicies end.
    pub(crate) network: u32,
    /// The NetworkPolicies that isolate it, by name.
    pub(crate) isolating: Vec<u32>,
    /// Foreign objects that select it.
    pub(crate) foreign: Vec<u32>,
}

impl SubjectList {
    /// The rules of one tier.
    pub(crate) fn tier(&self, tier: Tier) -> &[u32] {
        let (admin, network) = (self.admin as usize, self.network as usize);
        match tier {
            Tier::Admin => &self.rules[..admin],
            Tier::NetworkPolicy => &self.rules[admin..network],
            Tier::Baseline => &self.rules[network..],
        }
    }
}

/// A policy as evaluation knows it.
#[derive(Debug)]
pub(crate) struct PolicyMeta {
    pub(crate) key: PolicyKey,
    /// Foreign objects have none.
    pub(crate) tier: Option<Tier>,
    pub(crate) priority: u16,
    pub(crate) subject: u32,
    pub(crate) isolates: [bool; 2],
    /// Its rules by direction, in order.
    pub(crate) rules: [Vec<u32>; 2],
}

impl PolicyMeta {
    /// The order within a tier.
    pub(crate) fn rank(&self) -> (u16, &PolicyKey) {
        (self.priority, &self.key)
    }
}

/// All of one direction.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    pub(crate) peers: BitRows,
    pub(crate) ports: BitRows,
    pub(crate) rules: Vec<Rule>,
    pub(crate) subjects: Vec<Arc<SubjectList>>,
}

/// The number of no policy.
pub(crate) const NO_POLICY: u32 = u32::MAX;

impl Tables {
    pub(crate) fn new() -> Tables {
        Tables { peers: BitRows::new(), ports: BitRows::new(), rules: Vec::new(), subjects: Vec::new() }
    }

    pub(crate) fn add_class(&mut self) {
        self.peers.push();
    }

    pub(crate) fn add_port_class(&mut self, like: Option<u32>) {
        match like {
            Some(class) => self.ports.push_copy(class),
            None => self.ports.push(),
        }
    }

    /// Puts a rule into a column, which may be new.
    pub(crate) fn put_rule(&mut self, column: u32, rule: Rule) {
        match self.rules.get_mut(column as usize) {
            Some(place) => *place = rule,
            None => self.rules.push(rule),
        }
        self.peers.widen(self.rules.len());
        self.ports.widen(self.rules.len());
    }

    /// Sets a rule's bits, for each endpoint class and each port class.
    pub(crate) fn fill(&mut self, column: u32, peers: impl Iterator<Item = bool>, ports: impl Iterator<Item = bool>) {
        (0u32..).zip(peers).for_each(|(row, value)| self.peers.set(row, column, value));
        (0u32..).zip(ports).for_each(|(row, value)| self.ports.set(row, column, value));
    }

    /// One more class matches a rule.
    pub(crate) fn set_peer(&mut self, class: u32, column: u32) {
        self.peers.set(class, column, true);
    }

    /// Frees a rule's column.
    pub(crate) fn clear_rule(&mut self, column: u32) {
        (0..self.peers.rows() as u32).for_each(|row| self.peers.set(row, column, false));
        (0..self.ports.rows() as u32).for_each(|row| self.ports.set(row, column, false));
        if let Some(rule) = self.rules.get_mut(column as usize) {
            rule.policy = NO_POLICY;
            rule.detail = Arc::default();
        }
    }
}
