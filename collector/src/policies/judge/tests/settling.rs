//! While changes settle: only what policies may have judged otherwise before is `changed`. Held
//! against a model that evaluates everything that may have been, each in an engine of its own.

use super::*;

fn namespace(name: &str, team: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": team}}})
}

fn in_bank(n: u8, app: &str) -> Value {
    let mut pod = pod(n, app);
    pod["metadata"]["namespace"] = json!("bank");
    pod
}

fn from_team(team: &str) -> Value {
    let spec = json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
        {"from": [{"namespaceSelector": {"matchLabels": {"team": team}}}]}]});
    policy("teams", spec)
}

/// A call as [`call`], of pods that may be in another namespace.
fn call_between(src: &Value, dst: &Value, at: u64) -> FlowRecord {
    let number = |pod: &Value| -> u8 { pod["metadata"]["name"].as_str().unwrap()[1..].parse().unwrap() };
    let mut record = call(number(src), number(dst), 8_080, at, at);
    for (side, pod) in [(&mut record.src, src), (&mut record.dst, dst)] {
        side.identity = Identity {
            kind: Kind::Pod,
            ns: pod["metadata"]["namespace"].as_str().unwrap().into(),
            name: pod["metadata"]["name"].as_str().unwrap().into(),
            ..Identity::default()
        }
        .into();
    }
    record
}

#[test]
fn a_pod_that_is_new_while_a_change_settles_is_judged_at_once() {
    let mut world = World::new(&[pod(1, "client"), pod(2, "web")], false);
    let at = START + 100 * SECOND;
    // A policy about others, and a namespace with pods, as they are rolled out together.
    world.put(
        at,
        &policy("other", json!({"podSelector": {"matchLabels": {"app": "other"}}})),
    );
    world.put(at + SECOND, &pod(3, "web"));
    world.put(at + 10 * SECOND, &namespace("bank", "x"));
    world.put(at + 11 * SECOND, &in_bank(4, "client"));
    let time = at + 15 * SECOND;
    for (src, dst) in [
        (pod(1, ""), pod(3, "")),
        (in_bank(4, ""), pod(2, "")),
        (in_bank(4, ""), pod(3, "")),
    ] {
        let judged = world.judged(&call_between(&src, &dst, time));
        assert_eq!(named(&judged)[..2], ["allow", "default"], "{src} {dst}");
    }
    // One that the policy is about, whose word may not have come everywhere.
    world.put(at + 16 * SECOND, &pod(5, "other"));
    let judged = world.judged(&call_between(&pod(1, ""), &pod(5, ""), at + 20 * SECOND));
    assert_eq!(named(&judged)[..2], ["unknown", "changed"]);
}

#[test]
fn a_namespace_that_is_told_after_its_pods_changes_nothing_of_them() {
    let mut world = World::new(&[pod(2, "web"), from_team("x"), namespace("shop", "y")], false);
    let at = START + 100 * SECOND;
    world.put(at, &in_bank(4, "client"));
    world.put(at + SECOND, &namespace("bank", "x"));
    let record = call_between(&in_bank(4, ""), &pod(2, ""), at + 5 * SECOND);
    assert_eq!(named(&world.judged(&record))[..2], ["allow", "rule"]);
}

#[test]
fn a_new_policy_is_asked_of_what_a_pod_was_though_none_told_that_apart() {
    let mut world = World::new(&[namespace("shop", "x"), pod(1, "client"), pod(2, "web")], false);
    let at = START + 100 * SECOND;
    world.put(at, &pod(1, "web"));
    world.put(at + 9 * SECOND, &pod(1, "other"));
    // It denies what the pod was, which may not be over everywhere.
    world.put(at + 29 * SECOND, &from_team("web"));
    let mut judged = |time: u64| {
        let record = call_between(&pod(2, ""), &pod(1, ""), at + time * SECOND);
        let judged = world.judged(&record);
        (judged.answer, judged.reason)
    };
    assert_eq!(judged(34), ("unknown", "changed"));
    assert_eq!(judged(45), ("allow", "default"));
}

/// Clients of a team.
fn from_clients_of(team: &str) -> Value {
    let client = json!({"namespaceSelector": {"matchLabels": {"team": team}},
        "podSelector": {"matchLabels": {"app": "client"}}});
    policy(
        "teams",
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [client]}]}),
    )
}

/// What is said of a client's call before the change of its pod, once its namespace is told, too.
fn called_before(change: impl FnOnce(&mut World, u64)) -> (&'static str, &'static str) {
    let objects = [pod(2, "web"), from_clients_of("x"), namespace("shop", "y")];
    let mut world = World::new(&objects, false);
    let at = START + 100 * SECOND;
    world.put(at, &in_bank(4, "client"));
    change(&mut world, at + 20 * SECOND);
    let judged = world.judged(&call_between(&in_bank(4, ""), &pod(2, ""), at + 8 * SECOND));
    (judged.answer, judged.reason)
}

#[test]
fn a_namespace_that_is_told_after_its_pods_changes_nothing_of_what_those_were() {
    let relabelled = called_before(|world, at| {
        world.put(at, &in_bank(4, "other"));
        world.put(at + SECOND, &namespace("bank", "x"));
    });
    let gone = called_before(|world, at| {
        world.change(at, |known| known.remove(&key_of(&in_bank(4, ""))));
        world.put(at + SECOND, &namespace("bank", "x"));
    });
    let at_once = called_before(|world, at| {
        let changed = [in_bank(4, "other"), namespace("bank", "x")];
        world.change(at, |known| {
            changed
                .iter()
                .for_each(|object| known.put(key_of(object), object));
        });
    });
    assert_eq!([relabelled, gone, at_once], [("allow", "rule"); 3]);
}

#[test]
fn a_node_that_is_new_while_a_change_settles_is_judged_at_once() {
    let mut world = World::new(&[pod(2, "web")], false);
    let at = START + 100 * SECOND;
    world.put(
        at,
        &policy("other", json!({"podSelector": {"matchLabels": {"app": "other"}}})),
    );
    world.put(at + 10 * SECOND, &node("n2", "x/y", "192.0.2.2"));
    let mut record = call(3, 2, 8_080, at + 15 * SECOND, at + 15 * SECOND);
    record.src.addr = Some([192, 0, 2, 2].into());
    record.src.identity = Identity {
        kind: Kind::Node,
        name: "n2".into(),
        ..Identity::default()
    }
    .into();
    assert_eq!(world.judged(&record).answer, "allow");
}

/// All that there is from one event to the next.
#[derive(Debug, Clone, Default)]
struct State {
    from: u64,
    objects: Vec<Value>,
}

impl State {
    fn of_kind<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'s Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    fn find(&self, like: &Value) -> Option<&Value> {
        self.objects.iter().find(|object| key_of(object) == key_of(like))
    }
}

/// What a call may have been to policies, by everything that may have been in force.
fn answers(states: &[State], (src, dst): (&Value, &Value), port: u16, at: u64) -> Vec<&'static str> {
    // A state counts until its end has settled.
    let ends = states.iter().skip(1).map(|next| next.from).chain([u64::MAX]);
    let counting: Vec<usize> = (0..states.len())
        .zip(ends)
        .filter(|(_, end)| *end > at - 30 * SECOND)
        .map(|(n, _)| n)
        .collect();
    // What a pod was since it came, as long as that counts.
    let labels = |pod: &Value| -> Vec<Value> {
        let there = states
            .iter()
            .rev()
            .map_while(|state| Some((state.from, state.find(pod)?)));
        let mut seen: Vec<Value> = Vec::new();
        let mut until = u64::MAX;
        for (from, was) in there {
            if until > at - 30 * SECOND && !seen.contains(was) {
                seen.push(was.clone());
            }
            until = from;
        }
        seen
    };
    let mut answers = Vec::new();
    for n in counting {
        let mut namespaces: Vec<Value> = Vec::new();
        for state in &states[n..] {
            let new = state
                .of_kind("Namespace")
                .filter(|one| !namespaces.iter().any(|known| key_of(known) == key_of(one)));
            let new: Vec<Value> = new.cloned().collect();
            namespaces.extend(new);
        }
        for (src, dst) in labels(src)
            .iter()
            .flat_map(|src| labels(dst).into_iter().map(move |dst| (src.clone(), dst)))
        {
            let mut objects = Objects::default();
            let all = namespaces
                .iter()
                .chain(states[n].of_kind("NetworkPolicy"))
                .chain([&src, &dst]);
            all.for_each(|object| objects.add(object));
            let engine = Engine::compile(weir_policy::Profile::default(), objects.cluster);
            let end = |pod: &Value| {
                let text = |place: &str| pod.pointer(place).and_then(Value::as_str).unwrap();
                let address = text("/status/podIP").parse().unwrap();
                engine
                    .pod(text("/metadata/namespace"), text("/metadata/name"), address)
                    .unwrap()
            };
            let connection = Connection::new(end(&src), end(&dst), 6, port);
            answers.push(engine.snapshot().evaluate(&connection).answer.name());
        }
    }
    answers.sort_unstable();
    answers.dedup();
    answers
}

/// One event of the history, to the world and the model.
fn event(world: &mut World, state: &mut State, n: u8, at: u64) {
    let app = ["client", "web", "other"][usize::from(n / 16) % 3];
    let number = 1 + n / 48 % 4;
    let object = match n % 16 {
        0..=6 if number == 4 => in_bank(number, app),
        0..=6 => pod(number, app),
        7 | 8 => open_to(app),
        9 => from_team(app),
        10 | 11 => namespace("bank", ["client", "web"][usize::from(n / 16) % 2]),
        12 => policy("all", json!({"podSelector": {}, "policyTypes": ["Ingress"]})),
        _ => {
            let gone = [
                if number == 4 {
                    in_bank(number, "")
                } else {
                    pod(number, "")
                },
                open_to(""),
                from_team(""),
                policy("all", json!({})),
            ];
            let gone = &gone[usize::from(n / 16) % gone.len()];
            state.objects.retain(|object| key_of(object) != key_of(gone));
            return world.change(at, |known| known.remove(&key_of(gone)));
        }
    };
    state.objects.retain(|known| key_of(known) != key_of(&object));
    state.objects.push(object.clone());
    world.put(at, &object);
}

/// `PROPTEST_CASES` sets another number of cases.
fn config() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(96),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_did_not_change_is_certain_and_what_may_have_is_not(
        history in prop::collection::vec((any::<u8>(), 9_u64..40), 1..12),
        calls in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u64..1_000), 4),
    ) {
        let first = State { from: 0, objects: vec![namespace("shop", "x"), pod(1, "client"), pod(2, "web")] };
        let mut world = World::new(&first.objects, false);
        let mut states = vec![first];
        let mut now = START + 100 * SECOND;
        for (n, pause) in history {
            let mut state = State { from: now, ..states.last().unwrap().clone() };
            event(&mut world, &mut state, n, now);
            states.push(state);
            for (src, dst, place) in &calls {
                let at = now + 3 * SECOND + (pause - 6) * SECOND * place / 1_000;
                // Not where what counts is about to settle: the model has no tolerances.
                let is_close = states.iter().any(|state| at.abs_diff(state.from + 30 * SECOND) < 3 * SECOND);
                let pods: Vec<&Value> = states.last().unwrap().of_kind("Pod").collect();
                if is_close || pods.len() < 2 {
                    continue;
                }
                let (src, dst) = (pods[src.index(pods.len())], pods[dst.index(pods.len())]);
                if src == dst {
                    continue;
                }
                let judged = world.judged(&call_between(src, dst, at));
                match &answers(&states, (src, dst), 8_080, at)[..] {
                    [one] => prop_assert_eq!(judged.answer, *one, "{} {} {}", src, dst, judged.reason),
                    several => prop_assert_eq!((judged.answer, judged.reason), ("unknown", "changed"), "{:?}", several),
                }
            }
            now += pause * SECOND;
        }
    }
}
