//! The rules of one direction as bits: a row for each endpoint class and each port
//! class, a column for each rule; and for each group the rules that are about it.

use std::sync::Arc;

use ipnet::IpNet;

use super::lowering::{LoweredRule, NamedMatch};
use super::networks::Networks;
use crate::policy::{Action, IpBlock, PolicyKey, Tier};

/// Bits in a word.
const WORD: usize = 64;
/// Words in a cache line.
const LINE: usize = 8;
/// Rows that a copy has room for.
const SPARE_ROWS: usize = 64;

/// Rows of bits of equal length.
#[derive(Debug, Clone)]
pub(crate) struct BitRows {
    words: Arc<Vec<u64>>,
    /// Words in a row.
    stride: usize,
}

impl BitRows {
    fn new() -> BitRows {
        BitRows {
            words: Arc::default(),
            stride: 1,
        }
    }

    /// One row; all zero where there is none.
    pub(crate) fn row(&self, row: u32) -> &[u64] {
        let start = row as usize * self.stride;
        self.words.get(start..start + self.stride).unwrap_or(&[])
    }

    /// Whether each row that has one column has another too.
    pub(crate) fn column_covers(&self, wide: u32, narrow: u32) -> bool {
        self.words
            .chunks_exact(self.stride)
            .all(|row| is_set(row, wide) || !is_set(row, narrow))
    }

    fn rows(&self) -> usize {
        self.words.len() / self.stride
    }

    /// The words, copied if a reader holds them, with room for some rows more.
    fn words_mut(&mut self) -> &mut Vec<u64> {
        if Arc::get_mut(&mut self.words).is_none() {
            let mut words = Vec::with_capacity(self.words.len() + SPARE_ROWS * self.stride);
            words.extend_from_slice(&self.words);
            self.words = Arc::new(words);
        }
        Arc::make_mut(&mut self.words)
    }

    fn push(&mut self) {
        let length = self.words.len() + self.stride;
        self.words_mut().resize(length, 0);
    }

    fn push_copy(&mut self, row: u32) {
        let start = row as usize * self.stride;
        let end = start + self.stride;
        self.words_mut().extend_from_within(start..end);
    }

    fn set(&mut self, row: u32, column: u32) {
        let (word, bit) = (column as usize / WORD, column as usize % WORD);
        let at = row as usize * self.stride + word;
        self.words_mut()[at] |= 1 << bit;
    }

    /// Sets a column from the first row on.
    fn fill(&mut self, column: u32, values: impl Iterator<Item = bool>) {
        let (word, bit) = (column as usize / WORD, column as usize % WORD);
        let stride = self.stride;
        let rows = self.words_mut().chunks_exact_mut(stride);
        for (row, value) in rows.zip(values) {
            row[word] = (row[word] & !(1 << bit)) | (u64::from(value) << bit);
        }
    }

    /// Room for so many columns.
    fn widen(&mut self, columns: usize) {
        if columns <= self.stride * WORD {
            return;
        }
        // an odd number of cache lines: the same column of many rows is in many cache sets
        let lines = columns.div_ceil(WORD * LINE);
        let wider = ((lines + lines / 8) | 1) * LINE;
        let mut words = vec![0; self.rows() * wider];
        for (to, from) in words
            .chunks_exact_mut(wider)
            .zip(self.words.chunks_exact(self.stride))
        {
            to[..self.stride].copy_from_slice(from);
        }
        *self = BitRows {
            words: Arc::new(words),
            stride: wider,
        };
    }
}

/// Whether a column's bit is set in a row.
pub(crate) fn is_set(row: &[u64], column: u32) -> bool {
    row.get(column as usize / WORD)
        .is_some_and(|word| word >> (column as usize % WORD) & 1 == 1)
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
    pub(crate) has_blocks: bool,
    /// Of a NetworkPolicy and not for all peers: nodes match by blocks alone, or by the profile.
    pub(crate) has_no_nodes: bool,
    /// The profile makes it another than the API says.
    pub(crate) by_profile: bool,
    pub(crate) detail: Arc<RuleDetail>,
}

/// What is needed of a rule only when it decides.
#[derive(Debug, Default)]
pub(crate) struct RuleDetail {
    pub(crate) name: String,
    pub(crate) everyone: bool,
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
    pub(crate) fn new(
        rule: &LoweredRule,
        sets: Vec<u32>,
        ports: Vec<u32>,
        networks: &Networks,
    ) -> RuleDetail {
        let id = |network: &IpNet| networks.id(network);
        let block = |block: &IpBlock| {
            let except = block.except.iter().filter_map(id).collect();
            Some((id(&block.cidr)?, except))
        };
        RuleDetail {
            name: rule.name.clone(),
            everyone: rule.everyone,
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
        self.blocks
            .iter()
            .any(|(cidr, except)| within(cidr) && !except.iter().any(within))
    }
}

/// The rules about one group in one direction, in one piece: where each part ends, then all of
/// them. First stands what denies most connections without a look at a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubjectList(Arc<[u32]>);

/// The parts of a [`SubjectList`], in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The bits of the rules of NetworkPolicies: for each word its number and its two halves.
    Masks,
    /// The NetworkPolicies that isolate the group, by name.
    Isolating,
    /// Foreign objects that select it.
    Foreign,
    /// Rules of the Admin tier, by priority.
    Admin,
    /// Rules of NetworkPolicies, by name.
    Network,
    /// Rules of the Baseline tier, by priority.
    Baseline,
}

const PARTS: usize = 6;

impl From<Tier> for Part {
    fn from(tier: Tier) -> Part {
        match tier {
            Tier::Admin => Part::Admin,
            Tier::NetworkPolicy => Part::Network,
            Tier::Baseline => Part::Baseline,
        }
    }
}

impl Default for SubjectList {
    fn default() -> SubjectList {
        SubjectList(Arc::from([0; PARTS]))
    }
}

impl SubjectList {
    pub(crate) fn part(&self, part: Part) -> &[u32] {
        let (ends, all) = self.0.split_at(PARTS);
        let part = part as usize;
        let start = if part == 0 { 0 } else { ends[part - 1] };
        &all[start as usize..ends[part] as usize]
    }

    /// With other members of a part.
    pub(crate) fn with(&self, part: Part, members: Vec<u32>) -> SubjectList {
        let masks = match part {
            Part::Network => masks(&members),
            _ => self.part(Part::Masks).to_vec(),
        };
        let mut all = vec![0; PARTS];
        for other in [
            Part::Masks,
            Part::Isolating,
            Part::Foreign,
            Part::Admin,
            Part::Network,
            Part::Baseline,
        ] {
            let of_part = match other {
                Part::Masks => &masks,
                other if other == part => &members,
                other => self.part(other),
            };
            all.extend_from_slice(of_part);
            all[other as usize] = (all.len() - PARTS) as u32;
        }
        SubjectList(all.into())
    }

    /// Whether some rule of a NetworkPolicy has both bits, or more than bits.
    pub(crate) fn network_may_match(&self, peers: &[u64], ports: &[u64], special: &[u64]) -> bool {
        let word = |row: &[u64], at: u32| row.get(at as usize).copied().unwrap_or_default();
        self.part(Part::Masks).chunks_exact(3).any(|mask| {
            let bits = u64::from(mask[1]) | u64::from(mask[2]) << 32;
            ((word(peers, mask[0]) & word(ports, mask[0])) | word(special, mask[0])) & bits != 0
        })
    }
}

fn masks(rules: &[u32]) -> Vec<u32> {
    let mut words: std::collections::BTreeMap<u32, u64> = std::collections::BTreeMap::new();
    for rule in rules {
        *words.entry(rule / WORD as u32).or_default() |= 1 << (*rule as usize % WORD);
    }
    words
        .into_iter()
        .flat_map(|(word, bits)| [word, bits as u32, (bits >> 32) as u32])
        .collect()
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

/// All of one direction. Each table is copied when it changes while a reader holds it.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    pub(crate) peers: BitRows,
    pub(crate) ports: BitRows,
    /// Rules with something that the bits do not know.
    special: Arc<Vec<u64>>,
    rules: Arc<Vec<Rule>>,
    subjects: Arc<Vec<SubjectList>>,
}

/// The number of no policy.
pub(crate) const NO_POLICY: u32 = u32::MAX;

impl Tables {
    pub(crate) fn new() -> Tables {
        Tables {
            peers: BitRows::new(),
            ports: BitRows::new(),
            special: Arc::default(),
            rules: Arc::default(),
            subjects: Arc::default(),
        }
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(crate) fn rule(&self, column: u32) -> Option<&Rule> {
        self.rules.get(column as usize)
    }

    /// Whether the bits alone do not say if a rule matches.
    pub(crate) fn special(&self) -> &[u64] {
        &self.special
    }

    pub(crate) fn list(&self, group: u32) -> Option<&SubjectList> {
        self.subjects.get(group as usize)
    }

    pub(crate) fn add_group(&mut self) {
        Arc::make_mut(&mut self.subjects).push(SubjectList::default());
    }

    pub(crate) fn put_list(&mut self, group: u32, list: SubjectList) {
        if let Some(place) = Arc::make_mut(&mut self.subjects).get_mut(group as usize) {
            *place = list;
        }
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
        let special = Arc::make_mut(&mut self.special);
        let (word, bit) = (column as usize / WORD, column as usize % WORD);
        special.resize(special.len().max(word + 1), 0);
        special[word] =
            (special[word] & !(1 << bit)) | (u64::from(rule.has_names || rule.has_domains) << bit);
        let rules = Arc::make_mut(&mut self.rules);
        match rules.get_mut(column as usize) {
            Some(place) => *place = rule,
            None => rules.push(rule),
        }
        self.peers.widen(self.rules.len());
        self.ports.widen(self.rules.len());
    }

    /// Sets a rule's bits, for each endpoint class and each port class.
    pub(crate) fn fill(
        &mut self,
        column: u32,
        peers: impl Iterator<Item = bool>,
        ports: impl Iterator<Item = bool>,
    ) {
        self.peers.fill(column, peers);
        self.ports.fill(column, ports);
    }

    /// One more class matches a rule.
    pub(crate) fn set_peer(&mut self, class: u32, column: u32) {
        self.peers.set(class, column);
    }

    /// Frees a rule's column, which is in no list any more; its bits stay until the next
    /// rule there overwrites them.
    pub(crate) fn clear_rule(&mut self, column: u32) {
        if let Some(rule) = Arc::make_mut(&mut self.rules).get_mut(column as usize) {
            rule.policy = NO_POLICY;
            rule.detail = Arc::default();
        }
    }
}
