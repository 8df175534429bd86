//! The engine, the naive evaluator and replay against what others made of the same API:
//! network-config-analyzer (Python) and the matcher of cyclonus (Go), as programs that
//! `scripts/test-policy-peers` makes of tests/peers and hands over. What is known of their
//! faults is in [`faults`].

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use weir_policy::edges::{Edge, EdgeSet};
use weir_policy::inventory::Inventory;
use weir_policy::replay::{Change, ClusterVersion, ReplayInput, replay};
use weir_policy::{Answer, Cluster, Engine, Policy, Profile, Protocol};

use crate::naive::{self, Call};
use crate::random::Random;
use crate::traffic::{edge_end, seen};
use crate::world::compare;

mod faults;
mod worlds;

use faults::Peer;
use worlds::{calls, end, objects, policy, world, yaml};

/// A program that answers a line of 0 and 1 for each line with a world and calls.
struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(variable: &str) -> Running {
        let command = std::env::var(variable)
            .unwrap_or_else(|_| panic!("{variable} is not set: run scripts/test-policy-peers"));
        let mut words = command.split_whitespace();
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command}: {error}"));
        Running {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn ask(&mut self, question: &Value) -> String {
        writeln!(self.input, "{question}").unwrap();
        self.input.flush().unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn end(self) {
        let Running { mut child, input, .. } = self;
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}

fn question(cluster: &Cluster, calls: &[Call]) -> Value {
    let calls = calls.iter().map(|call| {
        let protocol = Protocol::of(call.protocol).unwrap().name();
        json!([end(&call.client), end(&call.server), protocol, call.port])
    });
    json!({"objects": objects(cluster), "calls": calls.collect::<Vec<_>>()})
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

fn the_peer_says_the_same(peer: Peer, program: &str) {
    let (worlds, first) = (number("WEIR_PEER_WORLDS", 40), number("WEIR_PEER_SEED", 50_000));
    let mut running = Running::start(program);
    let (mut verdicts, mut explained) = (0, 0);
    for seed in first..first + worlds {
        let world = world(&mut Random(seed));
        let (seen, seen_outside) = (peer.sees(&world), peer.sees_outside(&world));
        let engine = Engine::compile(Profile::default(), world.clone());
        let calls = calls(&world);
        let answers = running.ask(&question(&world, &calls));
        assert_eq!(
            answers.len(),
            calls.len(),
            "seed {seed}: {answers}\n{}",
            yaml(&world)
        );
        for (call, said) in calls.iter().zip(answers.chars()) {
            let ours = compare(&engine, &world, call).answer;
            if !peer.is_asked(call) {
                continue;
            }
            let said = match said {
                '1' => Answer::Allow,
                '0' => Answer::Deny,
                other => panic!("seed {seed}: {other} is no answer"),
            };
            verdicts += 1;
            explained += u64::from(said != ours);
            let expected = peer.expected(&seen, &seen_outside, call);
            assert_eq!(
                said,
                expected,
                "seed {seed}, ours {ours:?}: {peer:?} about {call:?}\n{}",
                yaml(&world)
            );
        }
    }
    running.end();
    assert!(verdicts > 0, "nothing was asked");
    println!(
        "{peer:?}: {worlds} worlds from seed {first}, {verdicts} verdicts, {explained} differ by its known faults, no other"
    );
}

/// What becomes of each call: `+` allowed after a change, `-` denied after it, `.` as before.
fn what_changes(before: Answer, after: Answer) -> char {
    match (before, after) {
        (Answer::Deny, Answer::Allow) => '+',
        (Answer::Allow, Answer::Deny) => '-',
        _ => '.',
    }
}

/// The calls as edges, replayed over a change.
fn replayed(world: &Cluster, change: &Change, calls: &[Call]) -> Vec<char> {
    let (nothing, mut edges) = (Inventory::default(), EdgeSet::default());
    let mut places = BTreeMap::new();
    for (place, call) in calls.iter().enumerate() {
        let [client, server] = [&call.client, &call.server].map(|end| edge_end(end, world, &nothing));
        let edge = seen(&mut edges, client, server, call.protocol, call.port);
        places.insert((edge.client, edge.server, edge.protocol, edge.port), place);
    }
    let before = vec![ClusterVersion {
        since: 0,
        cluster: world.clone(),
    }];
    let report = replay(ReplayInput {
        edges: &edges,
        inventory: &nothing,
        before,
        change,
        profile: Profile::default(),
    });
    let mut found = vec!['.'; calls.len()];
    let mut put = |edge: &Edge, what: char| {
        found[places[&(edge.client, edge.server, edge.protocol, edge.port)]] = what;
    };
    report.newly_denied.iter().for_each(|of| put(&of.edge, '-'));
    report.newly_allowed.iter().for_each(|of| put(&of.edge, '+'));
    found
}

#[test]
#[ignore = "needs network-config-analyzer, which scripts/test-policy-peers installs"]
fn a_semantic_difference_says_what_replay_does() {
    let (worlds, first) = (number("WEIR_PEER_WORLDS", 40), number("WEIR_PEER_SEED", 50_000));
    let mut running = Running::start("WEIR_NETWORK_CONFIG_ANALYZER");
    let (mut verdicts, mut changed, mut explained) = (0, 0, 0);
    for seed in first..first + worlds {
        let mut random = Random(seed);
        let before = world(&mut random);
        let mut change = Change::default();
        while change.policies.is_empty() {
            change.policies.extend(policy(&mut random).map(Policy::Network));
        }
        if let Some(policy) = before.policies.first().filter(|_| random.chance(50)) {
            change.deleted.push(policy.key());
        }
        let mut after = before.clone();
        change.apply(&mut after, &mut Inventory::default());
        let mut calls = calls(&before);
        calls.retain(|call| Peer::Analyzer.is_asked(call));
        let mut question = question(&after, &calls);
        question["before"] = objects(&before).into();
        let answers = running.ask(&question);
        assert_eq!(answers.len(), calls.len(), "seed {seed}: {answers}");
        let taken = [&before, &after].map(|world| {
            let (seen, outside) = (Peer::Analyzer.sees(world), Peer::Analyzer.sees_outside(world));
            move |call: &Call| Peer::Analyzer.expected(&seen, &outside, call)
        });
        let ours = replayed(&before, &change, &calls);
        for ((call, said), ours) in calls.iter().zip(answers.chars()).zip(ours) {
            verdicts += 1;
            changed += u64::from(ours != '.');
            explained += u64::from(said != ours);
            let naive = [&before, &after].map(|world| naive::judge(world, &Profile::default(), call));
            let [was, is] = naive.map(|opinions| naive::together(&opinions));
            assert_eq!(ours, what_changes(was, is), "seed {seed}: {call:?}");
            let expected = what_changes(taken[0](call), taken[1](call));
            assert_eq!(
                said,
                expected,
                "seed {seed}, ours {ours}, theirs {said}: {call:?}\n{}\nand after the change\n{}",
                yaml(&before),
                yaml(&after)
            );
        }
    }
    running.end();
    assert!(changed > 0, "no change changes anything");
    println!(
        "a change: {worlds} worlds from seed {first}, {verdicts} calls, {changed} change, {explained} differ by its known faults, no other"
    );
}

#[test]
#[ignore = "needs cyclonus, which scripts/test-policy-peers builds"]
fn cyclonus_says_the_same() {
    the_peer_says_the_same(Peer::Cyclonus, "WEIR_CYCLONUS");
}

#[test]
#[ignore = "needs network-config-analyzer, which scripts/test-policy-peers installs"]
fn network_config_analyzer_says_the_same() {
    the_peer_says_the_same(Peer::Analyzer, "WEIR_NETWORK_CONFIG_ANALYZER");
}
