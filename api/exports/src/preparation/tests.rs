use super::*;
use proptest::prelude::*;
use serde_json::Value;
use weir_api::Protocol;

struct Cluster {
    flows: Option<ExportNetworkFlows>,
    profiles: Vec<ExportProfile>,
    nodes: Vec<(NodeFacts, BTreeMap<String, String>)>,
    exports: Vec<NodeFlowExport>,
    rollout: Option<ExportRolloutSpec>,
}

fn cluster(flows: Value, profiles: Value) -> Cluster {
    let nodes = ["a", "b"].map(|name| {
        let facts = NodeFacts {
            name: name.to_owned(),
            address: Some("10.0.0.1".parse().unwrap()),
        };
        (facts, BTreeMap::from([("name".to_owned(), name.to_owned())]))
    });
    Cluster {
        flows: serde_json::from_value(flows).unwrap(),
        profiles: serde_json::from_value(profiles).unwrap(),
        nodes: nodes.to_vec(),
        exports: Vec::new(),
        rollout: None,
    }
}

fn services(service: &ServiceRef) -> Result<IpAddr, String> {
    match service.name.as_str() {
        "known" => Ok("10.96.0.9".parse().unwrap()),
        _ => Err("is not there".to_owned()),
    }
}

impl Cluster {
    fn prepare(&self, asked: &Asked) -> Result<Prepared, NotPrepared> {
        let present = Present {
            source: self.flows.is_some().then_some(SourceKind::Network),
            flows: self.flows.as_ref(),
            profiles: &self.profiles,
            nodes: &self.nodes,
            exports: &self.exports,
            rollout: self.rollout.as_ref(),
        };
        prepare(&present, asked, &services)
    }

    /// Makes the nodes be told what is asked for.
    fn settle(&mut self) {
        let intent = Intent {
            flows: self.flows.clone(),
            profiles: self.profiles.clone(),
        };
        let present = Present {
            source: Some(SourceKind::Network),
            flows: None,
            profiles: &[],
            nodes: &self.nodes,
            exports: &[],
            rollout: None,
        };
        let ids = numbers(&present, &[&intent]);
        let told = plans(&present, &intent, &ids, &services).0;
        self.exports = told
            .into_iter()
            .map(|(name, spec)| NodeFlowExport::new(&name, spec))
            .collect();
    }
}

fn collectors(protocol: Protocol, entries: &[&str]) -> Asked {
    Asked {
        collectors: [(
            protocol,
            entries.iter().map(|entry| (*entry).to_owned()).collect(),
        )]
        .into(),
        ..Asked::default()
    }
}

fn settings(pairs: &[(&str, &str)]) -> Asked {
    Asked {
        settings: pairs
            .iter()
            .map(|(place, value)| ((*place).to_owned(), (*value).to_owned()))
            .collect(),
        ..Asked::default()
    }
}

fn profile(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "weir.dev/v1alpha1", "kind": "ExportProfile", "metadata": {"name": name}, "spec": spec})
}

#[test]
fn a_collector_that_is_added_is_told_node_by_node_with_its_patch() {
    let mut cluster = cluster(json!({"ipfix": {"collectors": ["192.0.2.1:4739"]}}), json!([]));
    cluster.settle();
    let prepared = cluster
        .prepare(&collectors(
            Protocol::Ipfix,
            &["192.0.2.1:4739", "known.flows.svc:4739", ":4739"],
        ))
        .unwrap();
    assert_eq!((prepared.changed, prepared.total), (2, 2));
    assert_eq!(
        prepared.nodes[0].differences,
        ["br-int.ipfix.targets 192.0.2.1:4739 → 192.0.2.1:4739, 10.96.0.9:4739, 10.0.0.1:4739"]
    );
    assert!(
        prepared.problems.is_empty() && prepared.warnings.is_empty(),
        "{prepared:?}"
    );
    let document = &prepared.documents[0];
    assert_eq!(document.object, "network.operator cluster");
    assert_eq!(
        document.command,
        r#"kubectl patch network.operator cluster --type merge -p '{"spec":{"exportNetworkFlows":{"ipfix":{"collectors":["192.0.2.1:4739","known.flows.svc:4739",":4739"]}}}}'"#
    );
    let read: Value = serde_saphyr::from_str(&document.yaml).unwrap();
    assert_eq!(
        read["spec"]["exportNetworkFlows"]["ipfix"]["collectors"][2],
        ":4739"
    );
}

#[test]
fn what_would_be_skipped_is_named_and_the_rest_is_planned() {
    let cluster = cluster(json!(null), json!([]));
    let prepared = cluster
        .prepare(&collectors(
            Protocol::NetFlow,
            &["nonsense", "gone.flows.svc:2055", "192.0.2.1:2055"],
        ))
        .unwrap();
    assert_eq!(prepared.problems.len(), 2, "{:?}", prepared.problems);
    assert!(prepared.problems[1].contains("is not there"));
    assert!(
        prepared.nodes[0]
            .differences
            .iter()
            .any(|line| line.contains("netFlow.targets nothing → 192.0.2.1:2055"))
    );
}

#[test]
fn to_take_all_collectors_away_removes_the_export_and_says_so() {
    let mut cluster = cluster(json!({"ipfix": {"collectors": ["192.0.2.1:4739"]}}), json!([]));
    cluster.settle();
    let prepared = cluster.prepare(&collectors(Protocol::Ipfix, &[])).unwrap();
    assert_eq!(prepared.changed, 2);
    assert!(
        prepared.warnings[0].contains("nothing is exported any more"),
        "{:?}",
        prepared.warnings
    );
    assert!(prepared.documents[0].command.contains(r#"{"ipfix":null}"#));
}

#[test]
fn a_setting_is_that_of_the_only_profile_of_all_nodes_or_of_a_new_one() {
    let flows = json!({"ipfix": {"collectors": ["192.0.2.1:4739"]}});
    let mut none = cluster(flows.clone(), json!([]));
    none.settle();
    let prepared = none.prepare(&settings(&[("ipfix.sampling", "100")])).unwrap();
    assert_eq!(prepared.documents[0].object, "exportprofile default");
    assert!(
        prepared.documents[0]
            .command
            .starts_with("kubectl apply -f - <<'EOF'\n")
    );
    assert!(
        prepared.nodes[0]
            .differences
            .contains(&"br-int.ipfix.sampling 400 → 100".to_owned())
    );
    assert!(
        prepared.warnings[0].contains("4 times as many packets"),
        "{:?}",
        prepared.warnings
    );

    let mut one = cluster(
        flows.clone(),
        json!([
            profile("mine", json!({"ipfix": {"sampling": 50}})),
            profile("special", json!({"nodeSelector": {"matchLabels": {"name": "b"}}}))
        ]),
    );
    one.settle();
    let prepared = one.prepare(&settings(&[("ipfix.sampling", "default")])).unwrap();
    assert_eq!(
        prepared.documents[0].command,
        r#"kubectl patch exportprofile mine --type merge -p '{"spec":{"ipfix":{"sampling":null}}}'"#
    );
    // The other node has a profile of its own.
    assert_eq!(prepared.changed, 1);
    assert_eq!(prepared.nodes[0].differences, ["br-int.ipfix.sampling 50 → 400"]);

    let two = cluster(flows, json!([profile("x", json!({})), profile("y", json!({}))]));
    assert_eq!(
        two.prepare(&settings(&[("ipfix.sampling", "1")])),
        Err(NotPrepared::WhichProfile(2))
    );
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_what_can_be() {
    let cluster = cluster(json!(null), json!([]));
    assert_eq!(cluster.prepare(&Asked::default()), Err(NotPrepared::Nothing));
    let unknown = cluster.prepare(&settings(&[("ipfix.targets", "x")])).unwrap_err();
    assert!(unknown.to_string().contains("ipfix.sampling"), "{unknown}");
    assert!(matches!(
        cluster.prepare(&settings(&[("ipfix.sampling", "often")])),
        Err(NotPrepared::WrongSetting(..))
    ));
    let named = Asked {
        profile: Some("No Name".to_owned()),
        ..settings(&[("ipfix.sampling", "1")])
    };
    assert_eq!(
        cluster.prepare(&named),
        Err(NotPrepared::ProfileName("No Name".to_owned()))
    );
    let prepared = cluster
        .prepare(&settings(&[("netFlow.activeTimeout", "100000")]))
        .unwrap();
    assert!(
        prepared.problems[0].contains("activeTimeout"),
        "{:?}",
        prepared.problems
    );
}

#[test]
fn nodes_that_are_told_otherwise_than_planned_are_counted() {
    let mut cluster = cluster(json!({"ipfix": {"collectors": ["192.0.2.1:4739"]}}), json!([]));
    cluster.settle();
    cluster.exports[1].spec.bridges[0]
        .ipfix
        .as_mut()
        .unwrap()
        .sampling = Some(7);
    let prepared = cluster.prepare(&settings(&[("export", "Disabled")])).unwrap();
    assert!(
        prepared
            .warnings
            .iter()
            .any(|line| line.starts_with("1 nodes are told otherwise")),
        "{:?}",
        prepared.warnings
    );
}

#[test]
fn a_profile_that_is_for_some_nodes_is_not_taken_for_that_of_all_because_of_its_name() {
    let some = json!({"nodeSelector": {"matchLabels": {"name": "a"}}, "bridges": ["br-ex"]});
    let mut cluster = cluster(
        json!({"ipfix": {"collectors": ["192.0.2.1:4739"]}}),
        json!([profile("default", some)]),
    );
    cluster.settle();
    let asked = settings(&[("ipfix.sampling", "100")]);
    let refused = cluster.prepare(&asked).unwrap_err();
    assert!(refused.to_string().contains("name the one"), "{refused}");
    let named = Asked {
        profile: Some("default".to_owned()),
        ..asked
    };
    let prepared = cluster.prepare(&named).unwrap();
    assert_eq!(prepared.changed, 1);
    assert_eq!(prepared.nodes[0].differences, ["br-ex.ipfix.sampling 400 → 100"]);
}

#[test]
fn where_nothing_says_where_flows_go_the_whole_object_is_given() {
    let prepared = cluster(json!(null), json!([]))
        .prepare(&collectors(Protocol::Ipfix, &["192.0.2.1:4739"]))
        .unwrap();
    let document = &prepared.documents[0];
    assert!(document.command.starts_with("kubectl apply -f -"), "{document:?}");
    let whole: Value = serde_saphyr::from_str(&document.yaml).unwrap();
    assert_eq!(whole["kind"], "Network");
    assert_eq!(
        whole["spec"]["exportNetworkFlows"]["ipfix"]["collectors"][0],
        "192.0.2.1:4739"
    );
}

/// As `kubectl patch --type merge` does (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        match value.is_null() {
            true => drop(target.as_object_mut().unwrap().remove(name)),
            false => merge(&mut target[name.as_str()], value),
        }
    }
}

/// The objects after what is to be written was written.
fn written(cluster: &Cluster, documents: &[Document]) -> (Option<ExportNetworkFlows>, Vec<ExportProfile>) {
    let (mut flows, mut profiles) = (cluster.flows.clone(), cluster.profiles.clone());
    for document in documents {
        let yaml: Value = serde_saphyr::from_str(&document.yaml).unwrap();
        if document.object == "network.operator cluster" {
            let mut all = json!({"exportNetworkFlows": flows});
            merge(&mut all, &yaml["spec"]);
            flows = serde_json::from_value(all["exportNetworkFlows"].take()).unwrap();
            continue;
        }
        let name = document.object.strip_prefix("exportprofile ").unwrap();
        let known = profiles
            .iter_mut()
            .find(|one| one.metadata.name.as_deref() == Some(name));
        match known {
            Some(known) => {
                let mut spec = json!(known.spec);
                merge(&mut spec, &yaml["spec"]);
                known.spec = serde_json::from_value(spec).unwrap();
            }
            None => profiles.push(serde_json::from_value(yaml).unwrap()),
        }
    }
    (flows, profiles)
}

fn some_profile() -> impl Strategy<Value = Value> {
    let selector = prop::option::of("[ab]");
    let bridges = prop::option::of(Just(["br-ex"]));
    ("default|x|y", selector, bridges, prop::option::of(1_u32..9)).prop_map(
        |(name, selector, bridges, sampling)| {
            let selector = selector.map(|node| json!({"matchLabels": {"name": node}}));
            profile(
                &name,
                json!({"nodeSelector": selector, "bridges": bridges, "ipfix": {"sampling": sampling}}),
            )
        },
    )
}

proptest! {
    /// Once what is to be written was written, nodes are told what was planned.
    #[test]
    fn what_is_planned_is_what_the_documents_do(
        profiles in prop::collection::vec(some_profile(), 0..4),
        present in prop::option::of(prop::collection::vec("192\\.0\\.2\\.[1-9]:2[0-9]{3}", 0..2)),
        entries in prop::option::of(prop::collection::vec("192\\.0\\.2\\.[1-9]:2[0-9]{3}", 0..2)),
        name in prop::option::of("default|x|z"),
        set in prop::collection::vec(
            prop_oneof![
                Just(("ipfix.sampling", "7")), Just(("ipfix.sampling", "default")),
                Just(("export", "Disabled")), Just(("export", "default")), Just(("sFlow.polling", "3")),
            ],
            0..3,
        ),
    ) {
        let flows = present.map(|entries| json!({"ipfix": {"collectors": entries}}));
        let named: BTreeMap<String, Value> = profiles
            .into_iter()
            .map(|one| (one["metadata"]["name"].to_string(), one))
            .collect();
        let mut cluster = cluster(json!(flows), json!(named.values().collect::<Vec<_>>()));
        cluster.settle();
        let mut asked = settings(&set);
        asked.profile = name;
        asked.collectors = entries.map(|entries| (Protocol::Ipfix, entries)).into_iter().collect();
        let Ok(prepared) = cluster.prepare(&asked) else { return Ok(()) };
        let before = cluster.exports.clone();
        (cluster.flows, cluster.profiles) = written(&cluster, &prepared.documents);
        cluster.settle();
        let told = before.iter().zip(&cluster.exports).filter_map(|(before, after)| {
            change(before.metadata.name.as_deref().unwrap(), Some(&before.spec), &after.spec)
        });
        let shown = |changes: Vec<NodeChange>| changes.into_iter().map(|change| {
            // A bridge that is new is given numbers, which depend on those that are held.
            let lines = change.differences.into_iter();
            let lines: Vec<String> = lines.filter(|line| !line.contains("Id ")).collect();
            (change.node, lines)
        }).collect::<Vec<_>>();
        prop_assert_eq!(shown(told.collect()), shown(prepared.nodes));
    }

    /// Whatever is asked, a second time it makes no difference.
    #[test]
    fn what_is_asked_for_already_changes_no_node(
        entries in prop::collection::vec("192\\.0\\.2\\.[1-9]:2[0-9]{3}", 0..4),
        sampling in 1_u32..100_000,
    ) {
        let mut cluster = cluster(json!(null), json!([]));
        let asked = Asked {
            collectors: [(Protocol::Ipfix, entries)].into(),
            settings: vec![("ipfix.sampling".to_owned(), sampling.to_string())],
            profile: Some("p".to_owned()),
        };
        let profile = asked.profile(&cluster.profiles).unwrap().unwrap();
        cluster.flows = asked.flows(cluster.flows.as_ref());
        cluster.profiles = vec![profile];
        cluster.settle();
        let prepared = cluster.prepare(&asked).unwrap();
        prop_assert_eq!(prepared.changed, 0);
        prop_assert!(prepared.warnings.is_empty());
    }
}
