//! One direction of one connection against the rules about its subject, tier by tier.

use super::evaluate::Connection;
use super::lowering::NamedMatch;
use super::snapshot::{Endpoint, EndpointKind, Snapshot};
use super::tables::{Part, Rule, RuleDetail, SubjectList, is_set};
use crate::facts::Protocol;
use crate::policy::{Action, Direction};
use crate::profile::{OtherProtocols, is_icmp_error};
use crate::verdict::{Answer, Reason, Side};

/// Whether a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    No,
    Yes,
    /// It cannot be said.
    Maybe(Reason),
}

/// What is the same for all rules.
pub(super) struct Question<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) connection: &'s Connection<'s>,
    pub(super) direction: Direction,
    pub(super) subject: Endpoint,
    pub(super) peer: Endpoint,
    pub(super) rules: &'s [Rule],
    pub(super) special: &'s [u64],
    pub(super) list: &'s SubjectList,
    pub(super) peer_row: &'s [u64],
    pub(super) port_row: &'s [u64],
}

/// What the rules of one level may lead to.
#[derive(Default)]
struct Outcomes {
    first: Option<Side>,
    differ: bool,
    /// Why one of them is not certain.
    uncertain: Option<Reason>,
}

impl Outcomes {
    fn add(&mut self, side: Side) {
        match self.first {
            None => self.first = Some(side),
            Some(first) => self.differ |= first.answer != side.answer,
        }
    }

    fn agreed(self, otherwise: Side) -> Side {
        match self.differ {
            false => self.first.unwrap_or(otherwise),
            true => Side::new(Answer::Unknown, self.uncertain.unwrap_or(Reason::Order)),
        }
    }
}

impl Question<'_> {
    /// The answer of this end.
    pub(super) fn answer(&self) -> Side {
        if let Some(object) = self.list.part(Part::Foreign).first()
            && !self.snapshot.profile.ignore_foreign
        {
            return Side::new(Answer::Unknown, Reason::Foreign).by(*object, None);
        }
        let mut side = match self.list.part(Part::Admin) {
            [] => self.network_tier(),
            admin => self.cluster_tier(admin, &|| self.network_tier()),
        };
        if side.answer == Answer::Deny && is_icmp_error(self.connection.protocol, self.connection.port) {
            // it may belong to a connection that is allowed
            side = Side {
                answer: Answer::Unknown,
                reason: Reason::Protocol,
                ..side
            };
        }
        side.notes.profile |= self.is_on_one_node() && !self.peer.reaches_own_pods;
        side
    }

    fn network_tier(&self) -> Side {
        let Some(isolating) = self.list.part(Part::Isolating).first() else {
            return self.baseline_tier();
        };
        if self.is_own_node() {
            let side = Side::new(Answer::Allow, Reason::Node);
            return if self.direction == Direction::Egress {
                side.by_profile()
            } else {
                side
            };
        }
        let (profile, protocol) = (&self.snapshot.profile, self.connection.protocol);
        let is_other = Protocol::of(protocol).is_none();
        match profile.other_protocols(protocol) {
            OtherProtocols::Undefined if is_other => return Side::new(Answer::Unknown, Reason::Protocol),
            OtherProtocols::Open if is_other => {
                return Side::new(Answer::Allow, Reason::Default).by_profile();
            }
            _ => {}
        }
        if profile.always_open(protocol, self.connection.port) {
            return Side::new(Answer::Allow, Reason::Default).by_profile();
        }
        let mut side = Side::new(Answer::Deny, Reason::Isolation).by(*isolating, None);
        let may_match = self
            .list
            .network_may_match(self.peer_row, self.port_row, self.special);
        let rules = if may_match {
            self.list.part(Part::Network)
        } else {
            &[]
        };
        for rule in rules {
            match self.matches(*rule) {
                Match::No => {}
                Match::Yes => {
                    side = self.decided(*rule, Answer::Allow);
                    break;
                }
                Match::Maybe(reason) if side.answer == Answer::Deny => {
                    side = Side {
                        reason,
                        ..self.decided(*rule, Answer::Unknown)
                    };
                }
                Match::Maybe(_) => {}
            }
        }
        if is_other { side.by_profile() } else { side }
    }

    fn baseline_tier(&self) -> Side {
        self.cluster_tier(self.list.part(Part::Baseline), &|| {
            let reason = if self.is_own_node() {
                Reason::Node
            } else {
                Reason::Default
            };
            Side::new(Answer::Allow, reason)
        })
    }

    /// The first priority at which a rule matches decides; `next` is what comes after the tier.
    fn cluster_tier(&self, rules: &[u32], next: &dyn Fn() -> Side) -> Side {
        let Some(at) = rules.iter().position(|rule| self.matches(*rule) != Match::No) else {
            return next();
        };
        let priority = self.priority(rules[at]);
        let length = rules[at..]
            .iter()
            .take_while(|rule| self.priority(**rule) == priority)
            .count();
        let (level, later) = rules[at..].split_at(length);
        let mut outcomes = Outcomes::default();
        let mut certain = None;
        let mut seen = Vec::new();
        for number in level {
            let rule = self.rule(*number);
            let matched = self.matches(*number);
            if certain == Some(rule.policy) || matched == Match::No {
                continue;
            }
            match matched {
                Match::Maybe(reason) => outcomes.uncertain = Some(reason),
                _ => certain = Some(rule.policy),
            }
            if !seen.contains(&rule.action) {
                seen.push(rule.action);
                outcomes.add(match rule.action {
                    Action::Accept => self.decided(*number, Answer::Allow),
                    Action::Deny => self.decided(*number, Answer::Deny),
                    Action::Pass => next(),
                });
            }
        }
        if certain.is_none() {
            outcomes.add(self.cluster_tier(later, next));
        }
        outcomes.agreed(Side::new(Answer::Allow, Reason::Default))
    }

    fn rule(&self, rule: u32) -> &Rule {
        &self.rules[rule as usize]
    }

    fn priority(&self, rule: u32) -> u16 {
        let meta = self.snapshot.policies.get(self.rule(rule).policy as usize);
        meta.and_then(Option::as_deref)
            .map_or(u16::MAX, |meta| meta.priority)
    }

    fn is_on_one_node(&self) -> bool {
        self.peer.kind == EndpointKind::Node
            && self.peer.node == self.subject.node
            && self.direction == Direction::Ingress
    }

    /// NetworkPolicies leave open the way from a node to its pods, and a profile that back.
    fn is_own_node(&self) -> bool {
        match self.direction {
            Direction::Ingress => self.is_on_one_node() && self.peer.reaches_own_pods,
            Direction::Egress => {
                self.peer.kind == EndpointKind::Node
                    && self.peer.node == self.subject.node
                    && self.snapshot.profile.own_node_egress()
            }
        }
    }

    /// Whether a rule matches: two bits, and for the few rules with names more.
    #[inline]
    pub(super) fn matches(&self, number: u32) -> Match {
        let bits = (is_set(self.peer_row, number), is_set(self.port_row, number));
        match bits {
            (true, true) => Match::Yes,
            _ if is_set(self.special, number) => self.special_matches(number, bits),
            _ => Match::No,
        }
    }

    /// Whether its ports alone match, or may.
    pub(super) fn port_matches(&self, number: u32) -> bool {
        let rule = self.rule(number);
        is_set(self.port_row, number) || rule.has_names && self.named_port_matches(&rule.detail) != Match::No
    }

    fn special_matches(&self, number: u32, (peer, port): (bool, bool)) -> Match {
        let rule = self.rule(number);
        let peer = match peer {
            true => Match::Yes,
            false if rule.has_domains => self.domain_matches(&rule.detail),
            false => Match::No,
        };
        let port = match port {
            true => Match::Yes,
            false if rule.has_names => self.named_port_matches(&rule.detail),
            false => Match::No,
        };
        match (peer, port) {
            (Match::No, _) | (_, Match::No) => Match::No,
            (Match::Yes, other) | (other, _) => other,
        }
    }

    fn domain_matches(&self, rule: &RuleDetail) -> Match {
        if !matches!(self.peer.kind, EndpointKind::Outside | EndpointKind::Node) {
            return Match::No;
        }
        let Some(names) = self.connection.domains else {
            return Match::Maybe(Reason::Domain);
        };
        let hit = rule
            .domains
            .iter()
            .any(|pattern| names.iter().any(|name| is_domain(pattern, name)));
        if hit { Match::Yes } else { Match::No }
    }

    fn named_port_matches(&self, rule: &RuleDetail) -> Match {
        let Some(protocol) = Protocol::of(self.connection.protocol) else {
            return Match::No;
        };
        let all = rule
            .named
            .iter()
            .filter(|named| named.protocol.is_none_or(|wanted| wanted == protocol));
        let mut result = Match::No;
        for named in all {
            match self.named_port(named, protocol) {
                Match::Yes => return Match::Yes,
                Match::No => {}
                maybe => result = maybe,
            }
        }
        result
    }

    fn named_port(&self, named: &NamedMatch, protocol: Protocol) -> Match {
        let port = self.connection.port;
        let yes = |hit| if hit { Match::Yes } else { Match::No };
        match &named.namespace {
            None => {
                let server = &self.connection.server;
                let ports = self.snapshot.named.get(server.group as usize);
                let same = |p: &crate::facts::NamedPort| {
                    p.name == named.name && p.protocol == protocol && p.number == port
                };
                yes(server.kind == EndpointKind::Pod && ports.is_some_and(|ports| ports.iter().any(same)))
            }
            Some(namespace) => {
                let key = (namespace.clone(), named.name.clone(), protocol);
                let Some(numbers) = self.snapshot.namespace_ports.get(&key) else {
                    return Match::No;
                };
                match (numbers.contains_key(&port), numbers.len()) {
                    (true, 2..) => Match::Maybe(Reason::Order),
                    (hit, _) => yes(hit),
                }
            }
        }
    }

    fn decided(&self, number: u32, answer: Answer) -> Side {
        let rule = self.rule(number);
        let mut side = Side::new(answer, Reason::Rule).by(rule.policy, Some(rule.index));
        let by_block = || {
            rule.detail
                .blocks_hold(self.snapshot.networks.around(self.peer.network))
        };
        // What a rule has besides is far away: it is read where it may matter.
        side.notes.block_hits_pods = rule.has_blocks && self.peer.kind == EndpointKind::Pod && by_block();
        let by_host = rule.has_no_nodes && self.peer.kind == EndpointKind::Node;
        side.notes.profile = rule.by_profile || by_host && !(rule.has_blocks && by_block());
        side
    }
}

/// An exact name, or `*.` for one label or more before the rest.
fn is_domain(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
        None => pattern == name,
    }
}
