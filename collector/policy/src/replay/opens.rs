//! Pairs that a change allows though nobody tried: by classes of ends that no policy tells
//! apart, not by flows.

use std::collections::{BTreeSet, HashSet};

use crate::classes::{End, EndClass, PortRange, ends_of_both, owners, port_ranges};
use crate::edges::Edge;
use crate::engine::{Connection, Endpoint, EndpointKind, RuleRef};
use crate::facts::Protocol;
use crate::inventory::Inventory;
use crate::judge::EdgeJudge;
use crate::policy::{Direction, Policy, PolicyKey};
use crate::verdict::{Answer, Decider, Verdict};

/// How many pairs of classes and ports are looked at.
pub const MOST_PAIRS: u64 = 1_000_000;
/// How many are listed.
const MOST_LISTED: usize = 1_000;

/// A pair that is allowed only after the change, and that no edge has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opened {
    /// The rule that allows it at the end where it was denied; none where nothing isolates
    /// that end any more.
    pub rule: Option<RuleRef>,
    /// Who may call: a workload, a pod, `nodes`, a network, or `anywhere else`.
    pub client: String,
    /// Who may be called.
    pub server: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The first of its ports.
    pub first_port: u16,
    /// The last of its ports.
    pub last_port: u16,
}

/// What a change opens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opens {
    /// Pairs of classes and range of ports; IPv4 and IPv6 apart.
    pub pairs: u64,
    /// The first thousand of them, sorted.
    pub listed: Vec<Opened>,
    /// Not all pairs were looked at, for there are too many.
    pub is_cut: bool,
}

/// Ends in both clusters.
struct Pair {
    client: [Endpoint; 2],
    server: [Endpoint; 2],
}

type ClassKey = (EndpointKind, u32, u32);

/// What tells which pairs were tried: class of client and server, protocol and port.
type Tried = HashSet<(ClassKey, ClassKey, u8, u16)>;

struct Search<'a, 'e> {
    before: &'a EdgeJudge<'e>,
    after: &'a EdgeJudge<'e>,
    tried: Tried,
    /// The numbers of the policies that changed, after the change.
    touched: BTreeSet<u32>,
    ranges: Vec<PortRange>,
    looked_at: u64,
    found: Opens,
}

/// The pairs that policies of these keys, which changed, open.
pub(super) fn opens(
    allowed: &[Edge],
    inventory: &Inventory,
    before: &EdgeJudge<'_>,
    after: &EdgeJudge<'_>,
    touched: &BTreeSet<PolicyKey>,
) -> Opens {
    let classes = both(inventory, before, after);
    let [old, new] = [before, after].map(|judge| judge.snapshot().policy_numbers(touched));
    // what is gone, or other labels, may open anything; what comes only what its rules name
    let is_loose = |(was, is): &(EndClass, EndClass)| {
        was.labels != is.labels || before.snapshot().is_about(&was.endpoint, &old)
    };
    let loose: Vec<bool> = classes.iter().map(is_loose).collect();
    let is_subject = |((_, is), is_loose): (&(EndClass, EndClass), &bool)| {
        *is_loose || after.snapshot().is_about(&is.endpoint, &new)
    };
    let subjects: Vec<bool> = classes.iter().zip(&loose).map(is_subject).collect();
    if !subjects.contains(&true) {
        return Opens::default();
    }
    let mut concerned: BTreeSet<&PolicyKey> = touched.iter().collect();
    let of_subjects = classes
        .iter()
        .zip(&subjects)
        .filter(|(_, is_subject)| **is_subject);
    for ((was, is), _) in of_subjects {
        concerned.extend(before.snapshot().policies_about(&was.endpoint));
        concerned.extend(after.snapshot().policies_about(&is.endpoint));
    }
    let policies = [before, after]
        .into_iter()
        .flat_map(|judge| judge.engine().all_policies());
    let all: Vec<Policy> = policies
        .filter(|policy| concerned.contains(&policy.key()))
        .cloned()
        .collect();
    let mut search = Search {
        before,
        after,
        tried: tried(allowed, after),
        touched: new,
        ranges: port_ranges(&all, after.engine().all_pods(), &BTreeSet::new()),
        looked_at: 0,
        found: Opens::default(),
    };
    search.all_pairs(&classes, &subjects, &loose);
    search.found.listed.sort();
    search.found.listed.dedup();
    search.found
}

/// Classes that neither cluster tells apart further; of each the first by name.
fn both(inventory: &Inventory, before: &EdgeJudge<'_>, after: &EdgeJudge<'_>) -> Vec<(EndClass, EndClass)> {
    let addresses: BTreeSet<_> = [before, after]
        .iter()
        .flat_map(|judge| judge.snapshot().sample_addresses())
        .collect();
    let owners = owners(inventory);
    let class = |end: &End<'_>, judge: &EdgeJudge<'_>| end.class(&owners, judge.snapshot());
    let mut all: Vec<(EndClass, EndClass)> = ends_of_both(before.engine(), after.engine(), &addresses)
        .iter()
        .map(|(old, new)| (class(old, before), class(new, after)))
        .collect();
    all.sort_by(|(_, one), (_, other)| one.id.cmp(&other.id));
    all
}

/// The pairs of edges that are newly allowed.
fn tried(allowed: &[Edge], after: &EdgeJudge<'_>) -> Tried {
    let readings = allowed.iter().flat_map(|edge| after.readings(edge));
    readings
        .map(|reading| {
            let (client, server) = (reading.client.class_key(), reading.server.class_key());
            (client, server, reading.protocol, reading.port)
        })
        .collect()
}

impl Search<'_, '_> {
    fn all_pairs(&mut self, classes: &[(EndClass, EndClass)], subjects: &[bool], loose: &[bool]) {
        for (at, client) in classes.iter().enumerate() {
            for (other, server) in classes.iter().enumerate() {
                let is_concerned = subjects[at] || subjects[other];
                if !is_concerned || client.1.is_ipv6 != server.1.is_ipv6 {
                    continue;
                }
                if !loose[at] && !loose[other] && !self.is_named(&client.1, &server.1) {
                    continue;
                }
                self.pair(client, server);
                if self.found.is_cut {
                    return;
                }
            }
        }
    }

    /// Whether a rule that came names one as the peer of the other.
    fn is_named(&self, client: &EndClass, server: &EndClass) -> bool {
        let (client, server) = (&client.endpoint, &server.endpoint);
        let snapshot = self.after.snapshot();
        snapshot.has_peer_in(client, server, Direction::Egress, &self.touched)
            || snapshot.has_peer_in(server, client, Direction::Ingress, &self.touched)
    }

    fn pair(&mut self, client: &(EndClass, EndClass), server: &(EndClass, EndClass)) {
        let ends = Pair {
            client: [client.0.endpoint, client.1.endpoint],
            server: [server.0.endpoint, server.1.endpoint],
        };
        self.looked_at += self.ranges.len() as u64;
        self.found.is_cut = self.looked_at > MOST_PAIRS;
        if !self.may_open(&ends) {
            return;
        }
        let mut last: Option<Opened> = None;
        for at in 0..self.ranges.len() {
            let range = self.ranges[at];
            let Some((decider, direction)) = self.opened(&ends, &range) else {
                continue;
            };
            self.found.pairs += 1;
            if self.found.listed.len() >= MOST_LISTED {
                continue;
            }
            let opened = Opened {
                rule: decider.and_then(|decider| self.after.snapshot().rule(decider, direction)),
                client: client.1.name.clone(),
                server: server.1.name.clone(),
                protocol: range.protocol,
                first_port: range.first,
                last_port: range.last,
            };
            match &mut last {
                Some(last) if last.is_followed_by(&opened) => last.last_port = opened.last_port,
                _ => self.list(last.replace(opened)),
            }
        }
        self.list(last);
    }

    fn list(&mut self, opened: Option<Opened>) {
        if self.found.listed.len() < MOST_LISTED {
            self.found.listed.extend(opened);
        }
    }

    /// Whether both ends may let the other pass at some port after the change.
    fn may_open(&self, ends: &Pair) -> bool {
        let snapshot = self.after.snapshot();
        let ([_, client], [_, server]) = (&ends.client, &ends.server);
        snapshot.may_allow(client, server, Direction::Egress)
            && snapshot.may_allow(server, client, Direction::Ingress)
    }

    /// If a range of ports between two ends is opened: who decides that, at which end.
    fn opened(&self, ends: &Pair, range: &PortRange) -> Option<(Option<Decider>, Direction)> {
        let verdict = |judge: &EdgeJudge<'_>, at: usize| -> Verdict {
            let protocol = range.protocol.number();
            let connection = Connection::new(ends.client[at], ends.server[at], protocol, range.first);
            judge.snapshot().evaluate(&connection)
        };
        let before = verdict(self.before, 0);
        if before.answer != Answer::Deny {
            return None;
        }
        let after = verdict(self.after, 1);
        if after.answer != Answer::Allow || self.is_tried(ends, range) {
            return None;
        }
        Some(match before.egress.answer {
            Answer::Deny => (after.egress.decider, Direction::Egress),
            _ => (after.ingress.decider, Direction::Ingress),
        })
    }

    fn is_tried(&self, ends: &Pair, range: &PortRange) -> bool {
        let [_, client] = ends.client.map(|end| end.class_key());
        let [_, server] = ends.server.map(|end| end.class_key());
        let pair = (client, server, range.protocol.number(), range.first);
        range.first == range.last && self.tried.contains(&pair)
    }
}

impl Opened {
    fn is_followed_by(&self, next: &Opened) -> bool {
        (self.protocol, &self.rule) == (next.protocol, &next.rule)
            && self.last_port.checked_add(1) == Some(next.first_port)
    }
}
