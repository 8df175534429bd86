//! Judges records where they are received: each by what was in force when it was. One of them
//! belongs to a thread or connection; nothing of it waits for whoever writes versions.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use tokio::sync::watch;
use weir_flow::{FlowRecord, Judged, PolicySide, PolicyVerdict, Server, ServerConfidence};
use weir_identity::Span;
use weir_policy::observed::{Lifetime, across};
use weir_policy::{Answer, Connection, Direction, EndpointKind, Memo, Protocol, Reason, Side, Verdict};

use super::counts::PolicyCounts;
use super::end_cache::EndCache;
use super::ends::{Asked, End, Reading};
use super::versions::{InForce, Version, Versions};
use crate::enrich::server::FIRST_CLIENT_PORT;
use crate::enrich::span;

/// So many verdicts have their words kept.
const MOST_WORDS: usize = 4_096;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// Judges the records of one thread or connection.
#[derive(Debug)]
pub struct Judge {
    /// None: nothing says which policies there are.
    source: Option<watch::Receiver<Arc<Versions>>>,
    versions: Arc<Versions>,
    evaluator: Evaluator,
    /// Records of this port meet a fault of ours.
    #[cfg(test)]
    pub fault: Option<u16>,
}

/// Evaluates, and keeps what it found.
#[derive(Debug)]
struct Evaluator {
    /// In front of the last version.
    memo: Option<Memo>,
    memo_places: usize,
    ends: EndCache,
    words: Words,
    counts: PolicyCounts,
}

/// What a record is about: who opened the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The source did.
    Forward,
    /// The destination did; the port is that of the connection, where it is not the source's.
    Reply(Option<u16>),
    /// Nobody knows which.
    Either,
}

impl Judge {
    /// Judges by what `source` says, with room for so many sides and verdicts.
    pub fn new(source: Option<watch::Receiver<Arc<Versions>>>, room: usize, counts: PolicyCounts) -> Self {
        let room = if source.is_some() { room } else { 0 };
        Self {
            source,
            versions: Arc::default(),
            evaluator: Evaluator {
                memo: None,
                // Connections are more than sides.
                memo_places: 4 * room,
                ends: EndCache::with_room(room),
                words: Words::default(),
                counts,
            },
            #[cfg(test)]
            fault: None,
        }
    }

    /// Judges these records, if there is anything to judge them by.
    #[inline]
    pub fn judge(&mut self, records: &mut [FlowRecord]) {
        if let Some(source) = &mut self.source {
            if source.has_changed().unwrap_or(false) {
                self.versions = source.borrow_and_update().clone();
                self.evaluator.follow(&self.versions);
            }
            if !self.versions.is_empty() {
                self.judge_all(records);
            }
        }
    }

    fn judge_all(&mut self, records: &mut [FlowRecord]) {
        for record in records {
            #[cfg(test)]
            assert!(self.fault.is_none() || record.src.port != self.fault, "a fault");
            if let Some(judged) = self.evaluator.judged(&self.versions, record) {
                record.policy = judged;
            }
        }
    }

    /// Tells how many records were judged how.
    pub fn publish(&mut self) {
        if !self.versions.is_empty() {
            self.evaluator.counts.publish();
        }
    }
}

impl Evaluator {
    fn follow(&mut self, versions: &Versions) {
        let Some(last) = versions.last() else { return };
        match &mut self.memo {
            Some(memo) => memo.follow(Arc::clone(&last.snapshot)),
            None => self.memo = Some(Memo::with_places(Arc::clone(&last.snapshot), self.memo_places)),
        }
        self.words.clear();
    }

    /// What policies say, with what an exporter of the cluster says itself. `None`: nothing,
    /// beside that.
    fn judged(&mut self, versions: &Versions, record: &FlowRecord) -> Option<Judged> {
        let protocol = record.proto?;
        let flow = span(record);
        let lifetime = Lifetime {
            opened: flow.from,
            start: flow.from,
            end: flow.to,
        };
        let ends = |version| Question {
            version,
            record,
            protocol,
            flow,
        };
        let (verdict, version) = match versions.in_force(&lifetime) {
            InForce::Nothing => return None,
            InForce::Gap => (Verdict::unknown(Reason::Gap), versions.last()?),
            InForce::One(version) => (self.verdict(&ends(version)), version),
            InForce::Several(several) => {
                let (first, later) = several.split_first()?;
                let mut outcome = (self.verdict(&ends(first)), first);
                for next in later {
                    let after = self.verdict(&ends(next));
                    let profile = next.snapshot.profile();
                    let mut verdict = across(outcome.0, after, lifetime, next.since, profile);
                    if verdict == Verdict::unknown(Reason::Gap) {
                        // Changes that were taken as one: somebody watched.
                        verdict = Verdict::unknown(Reason::Changed);
                    }
                    // Its words are those of the version that it is of.
                    let of = if verdict == after { next } else { outcome.1 };
                    outcome = (verdict, of);
                }
                outcome
            }
        };
        if verdict.answer == Answer::NotJudged {
            return None;
        }
        let verdict = match verdict.answer == Answer::Deny && lacks_ports(record, protocol) {
            // A rule may allow the port that it had.
            true => Verdict::unknown(Reason::Protocol),
            false => verdict,
        };
        // Of what was computed before nothing is said.
        let said = record.policy.verdict().filter(|_| !record.attributes.is_empty());
        let verdict = said.map_or(verdict, |said| believed(verdict, said));
        let judged = self.words.of(version, verdict, said);
        self.counts.count(&verdict);
        Some(judged)
    }

    /// The verdict of one version: of all readings, where they agree.
    fn verdict(&mut self, question: &Question<'_>) -> Verdict {
        let record = question.record;
        let (src, dst) = (self.end(question, &record.src), self.end(question, &record.dst));
        let (Some(src), Some(dst)) = (src, dst) else {
            return Verdict::not_judged();
        };
        if src == End::NotJudged || dst == End::NotJudged {
            return Verdict::not_judged();
        }
        let forward = (&src, &dst, forward_port(record, question.protocol));
        let reply = |port: Option<u16>| (&dst, &src, port.unwrap_or(record.src.port.unwrap_or_default()));
        match way(record, question.protocol) {
            Way::Forward => self.evaluate(question, forward),
            Way::Reply(port) => self.evaluate(question, reply(port)),
            Way::Either => {
                let readings = [
                    self.evaluate(question, forward),
                    self.evaluate(question, reply(None)),
                ];
                Verdict::agreed(readings, Reason::Direction)
            }
        }
    }

    /// `None`: the side has no address.
    fn end(&mut self, question: &Question<'_>, side: &weir_flow::Side) -> Option<End> {
        let asked = Asked::of(side, question.protocol, question.flow)?;
        Some(self.ends.get(question.version, side.identity.shared(), asked))
    }

    /// A client, a server and its port.
    fn evaluate(&mut self, question: &Question<'_>, (client, server, port): (&End, &End, u16)) -> Verdict {
        let one = |client: &Reading, server: &Reading| Connection {
            through_service: server.port.is_some(),
            ..Connection::new(
                client.endpoint,
                server.endpoint,
                question.protocol,
                server.port.unwrap_or(port),
            )
        };
        let snapshot = &question.version.snapshot;
        match (client, server) {
            (End::One(client), End::One(server)) => match &mut self.memo {
                Some(memo) if Arc::ptr_eq(memo.snapshot(), snapshot) => memo.evaluate(&one(client, server)),
                _ => snapshot.evaluate(&one(client, server)),
            },
            (End::Unknown(reason), other) | (other, End::Unknown(reason)) => match other {
                End::One(Reading { endpoint, .. }) if endpoint.kind() == EndpointKind::Many => {
                    Verdict::not_judged()
                }
                _ => Verdict::unknown(*reason),
            },
            (End::Behind(_), End::Behind(_)) => Verdict::unknown(Reason::Backend),
            (End::Behind(_), _) => {
                let of_clients = |server: &Reading| {
                    let clients = client.seen_by(&server.endpoint);
                    let readings = clients.map(|client| snapshot.evaluate(&one(&client, server)));
                    Verdict::agreed(readings, client.reason())
                };
                Verdict::agreed(server.readings().iter().map(of_clients), server.reason())
            }
            (client, server) => {
                let of_servers = |client: &Reading| {
                    let servers = server.seen_by(&client.endpoint);
                    let readings = servers.map(|server| snapshot.evaluate(&one(client, &server)));
                    Verdict::agreed(readings, server.reason())
                };
                Verdict::agreed(client.readings().iter().map(of_servers), client.reason())
            }
        }
    }
}

/// A record against one version.
struct Question<'q> {
    version: &'q Arc<Version>,
    record: &'q FlowRecord,
    protocol: u8,
    flow: Span,
}

/// A later fragment, or of an exporter that tells no ports.
fn lacks_ports(record: &FlowRecord, protocol: u8) -> bool {
    let is_absent = |side: &weir_flow::Side| side.port.unwrap_or_default() == 0;
    Protocol::of(protocol).is_some() && is_absent(&record.src) && is_absent(&record.dst)
}

/// Only the numbers of ports tell who the server is, and they do not say it plainly: the
/// client's is one that systems give to clients, and the server's is not.
fn is_guessed(record: &FlowRecord) -> bool {
    let (server, client) = match record.server {
        Server::Dst => (&record.dst, &record.src),
        Server::Src | Server::Unknown => (&record.src, &record.dst),
    };
    let is_clients = |side: &weir_flow::Side| side.port.unwrap_or_default() >= FIRST_CLIENT_PORT;
    record.server_confidence == ServerConfidence::Port && (is_clients(server) || !is_clients(client))
}

/// Of ICMP the type tells who asked; of others, who listens.
fn way(record: &FlowRecord, protocol: u8) -> Way {
    let request = |kind: u8| Some(u16::from(kind) << 8);
    match (protocol, record.icmp_type, record.server) {
        (ICMP, Some(0), _) => Way::Reply(request(8)),
        (ICMP6, Some(129), _) => Way::Reply(request(128)),
        (ICMP | ICMP6, Some(_), _) => Way::Forward,
        (..) if is_guessed(record) => Way::Either,
        (_, _, Server::Dst) => Way::Forward,
        (_, _, Server::Src) => Way::Reply(None),
        (_, _, Server::Unknown) => Way::Either,
    }
}

/// The port of the connection that the source opened; of ICMP type and code.
fn forward_port(record: &FlowRecord, protocol: u8) -> u16 {
    match (protocol, record.icmp_type) {
        (ICMP | ICMP6, Some(kind)) => u16::from(kind) << 8 | u16::from(record.icmp_code.unwrap_or_default()),
        _ => record.dst.port.unwrap_or_default(),
    }
}

/// Verdicts as records carry them, each made once.
#[derive(Debug, Default)]
struct Words {
    last: Option<(u64, Verdict, Judged)>,
    made: HashMap<(u64, Verdict), Judged, RandomState>,
}

impl Words {
    fn clear(&mut self) {
        self.last = None;
        self.made.clear();
    }

    fn of(&mut self, version: &Version, verdict: Verdict, said: Option<&PolicyVerdict>) -> Judged {
        if let Some(said) = said {
            return with_said(words(version, verdict), said).into();
        }
        if let Some((stamp, last, judged)) = &self.last
            && *stamp == version.stamp
            && *last == verdict
        {
            return judged.clone();
        }
        if self.made.len() >= MOST_WORDS {
            self.made.clear();
        }
        let made = self.made.entry((version.stamp, verdict));
        let judged = made.or_insert_with(|| words(version, verdict).into()).clone();
        self.last = Some((version.stamp, verdict, judged.clone()));
        judged
    }
}

/// What an exporter of the cluster says itself of a side wins there. It speaks of the connection
/// as verdicts do: ingress is that of the server's policies, in records of answers, too.
fn believed(computed: Verdict, said: &PolicyVerdict) -> Verdict {
    let side = |computed: Side, said: &PolicySide| {
        let answer = match said.action {
            "allow" => Answer::Allow,
            "drop" | "reject" => Answer::Deny,
            _ => return computed,
        };
        Side {
            answer,
            reason: Reason::Rule,
            decider: None,
            notes: computed.notes,
        }
    };
    Verdict::of(
        side(computed.egress, &said.egress),
        side(computed.ingress, &said.ingress),
    )
}

/// The sides that were said in place of those that were computed.
fn with_said(believed: PolicyVerdict, said: &PolicyVerdict) -> PolicyVerdict {
    let or = |said: &PolicySide, computed: PolicySide| match said.is_empty() {
        true => computed,
        false => said.clone(),
    };
    PolicyVerdict {
        ingress: or(&said.ingress, believed.ingress),
        egress: or(&said.egress, believed.egress),
        ..believed
    }
}

fn words(version: &Version, verdict: Verdict) -> PolicyVerdict {
    PolicyVerdict {
        answer: verdict.answer.name(),
        reason: verdict.reason.name(),
        ingress: side(version, &verdict.ingress, Direction::Ingress),
        egress: side(version, &verdict.egress, Direction::Egress),
    }
}

fn side(version: &Version, side: &Side, direction: Direction) -> PolicySide {
    let Some(rule) = side
        .decider
        .and_then(|decider| version.snapshot.rule(decider, direction))
    else {
        return PolicySide::default();
    };
    let name = match (&*rule.name, rule.index, direction) {
        ("", Some(index), Direction::Ingress) => format!("ingress[{index}]"),
        ("", Some(index), Direction::Egress) => format!("egress[{index}]"),
        (name, ..) => name.to_owned(),
    };
    PolicySide {
        policy: rule.policy.to_string().into(),
        rule: name.into(),
        action: match side.answer {
            Answer::Allow => "allow",
            Answer::Deny => "drop",
            Answer::Unknown | Answer::NotJudged => "",
        },
    }
}

#[cfg(test)]
mod tests;
