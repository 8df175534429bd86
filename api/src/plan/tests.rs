use super::*;
use crate::network::Collectors;
use crate::profile::{ExportSwitch, IpfixTuning};

fn flows(net_flow: &[&str], ipfix: &[&str]) -> ExportNetworkFlows {
    let list = |entries: &[&str]| {
        (!entries.is_empty()).then(|| Collectors {
            collectors: Some(entries.iter().map(|e| (*e).into()).collect()),
        })
    };
    ExportNetworkFlows {
        net_flow: list(net_flow),
        s_flow: None,
        ipfix: list(ipfix),
    }
}

fn node() -> NodeFacts {
    NodeFacts {
        name: "node-a".into(),
        address: Some("1.2.5.6".parse().unwrap()),
    }
}

fn planned(
    flows: &ExportNetworkFlows,
    config: Option<&FlowsConfig>,
    tuning: ExportProfileSpec,
) -> BridgeExport {
    let (targets, problems) = Targets::resolve(Some(flows), config, &no_services);
    assert_eq!(problems, []);
    let profile = ExportProfile::new("tuned", tuning);
    let (mut spec, problems) = plan(&targets, Some(&profile), &node(), &|_| 0x0203);
    assert_eq!(problems, []);
    assert_eq!(spec.bridges.len(), 1);
    spec.bridges.remove(0)
}

fn config(sampling: Option<u32>) -> FlowsConfig {
    FlowsConfig {
        target: ":8888".into(),
        target_key: "nodePort",
        cache_active_timeout: Some(0),
        cache_max_flows: None,
        sampling,
    }
}

#[test]
fn targets_are_normalised_localised_and_deduplicated() {
    let flows = flows(
        &[
            "10.0.0.2:3030",
            ":8888",
            "[2020:1111:f::1:0933]:3333",
            "1.2.5.6:8888",
            "10.0.0.2:3030",
        ],
        &[],
    );
    let bridge = planned(&flows, None, ExportProfileSpec::default());
    let targets = bridge.net_flow.unwrap().targets;
    assert_eq!(
        targets,
        ["10.0.0.2:3030", "1.2.5.6:8888", "[2020:1111:f::1:933]:3333"]
    );
}

#[test]
fn the_exporter_id_becomes_the_identity_of_each_protocol() {
    let bridge = planned(
        &flows(&["10.0.0.2:1"], &["10.0.0.2:2"]),
        None,
        ExportProfileSpec::default(),
    );
    let net_flow = bridge.net_flow.unwrap();
    assert_eq!((net_flow.engine_type, net_flow.engine_id), (Some(2), Some(3)));
    assert_eq!(bridge.ipfix.unwrap().obs_domain_id, Some(0x0203));
}

#[test]
fn a_bad_entry_is_named_and_the_others_still_count() {
    let flows = flows(&["10.0.0.09:2055", "10.0.0.2:2055", "web.shop.svc:1"], &[]);
    let (targets, problems) = Targets::resolve(Some(&flows), None, &no_services);
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 2);
    assert!(
        text[0].starts_with(r#"spec.exportNetworkFlows.netFlow.collectors[0] "10.0.0.09:2055" "#),
        "{text:?}"
    );
    assert!(
        text[1].contains("collectors[2]") && text[1].contains("without Kubernetes"),
        "{text:?}"
    );
    let (spec, _) = plan(&targets, None, &node(), &|_| 1);
    assert_eq!(
        spec.bridges[0].net_flow.as_ref().unwrap().targets,
        ["10.0.0.2:2055"]
    );
}

#[test]
fn the_eleventh_collector_is_named_and_skipped() {
    let entries: Vec<String> = (1..=11).map(|i| format!("10.0.0.{i}:2055")).collect();
    let flows = flows(&entries.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let (targets, problems) = Targets::resolve(Some(&flows), None, &no_services);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].entry, "10.0.0.11:2055");
    assert_eq!(targets.net_flow.len(), 10);
}

#[test]
fn a_service_becomes_its_address() {
    let flows = flows(&["web.shop.svc:2055"], &[]);
    let (targets, problems) = Targets::resolve(Some(&flows), None, &|s| {
        assert_eq!((s.namespace.as_str(), s.name.as_str()), ("shop", "web"));
        Ok("10.96.0.7".parse().unwrap())
    });
    assert_eq!(problems, []);
    let (spec, _) = plan(&targets, None, &node(), &|_| 1);
    assert_eq!(
        spec.bridges[0].net_flow.as_ref().unwrap().targets,
        ["10.96.0.7:2055"]
    );
    assert_eq!(named_services(&flows, None).len(), 1);
}

#[test]
fn names_of_pods_are_for_weirs_own_collector_and_for_others_when_asked_for() {
    let flows = flows(
        &[],
        &[
            "weir-collector.weir-system.svc:4739",
            "192.0.2.9:4739",
            "weir-collector.other.svc:4739",
        ],
    );
    let address = |service: &ServiceRef| match service.namespace.as_str() {
        "weir-system" => Ok("10.96.0.7".parse().unwrap()),
        _ => Ok("10.96.0.8".parse().unwrap()),
    };
    let (targets, problems) = Targets::resolve(Some(&flows), None, &address);
    assert_eq!(problems, []);
    let told = |asked| {
        let mut tuning = ExportProfileSpec::default();
        tuning.ipfix.interface_names = asked;
        let profile = ExportProfile::new("tuned", tuning);
        let (mut spec, _) = plan(&targets, Some(&profile), &node(), &|_| 1);
        spec.bridges.remove(0).ipfix.unwrap().interface_names
    };
    assert_eq!(told(None), ["10.96.0.7:4739"]);
    assert_eq!(told(Some(false)), ["10.96.0.7:4739"]);
    assert_eq!(
        told(Some(true)),
        ["10.96.0.7:4739", "192.0.2.9:4739", "10.96.0.8:4739"]
    );
}

#[test]
fn a_node_without_an_address_loses_only_the_node_local_entries() {
    let (targets, _) = Targets::resolve(Some(&flows(&[":1", "10.0.0.2:1"], &[])), None, &no_services);
    let nowhere = NodeFacts {
        name: "node-x".into(),
        address: None,
    };
    let (spec, problems) = plan(&targets, None, &nowhere, &|_| 1);
    assert_eq!(spec.bridges[0].net_flow.as_ref().unwrap().targets, ["10.0.0.2:1"]);
    assert!(problems[0].to_string().contains("node-x"), "{problems:?}");
}

#[test]
fn the_config_map_appends_its_target_and_its_zeros_count() {
    let bridge = planned(
        &flows(&[], &["10.0.0.2:4739"]),
        Some(&config(Some(200))),
        ExportProfileSpec::default(),
    );
    let ipfix = bridge.ipfix.unwrap();
    assert_eq!(ipfix.targets, ["10.0.0.2:4739", "1.2.5.6:8888"]);
    assert_eq!((ipfix.sampling, ipfix.cache_active_timeout), (Some(200), Some(0)));
    assert_eq!(ipfix.cache_max_flows, Some(defaults::IPFIX_CACHE_MAX_FLOWS));
}

#[test]
fn the_profile_counts_before_the_config_map() {
    let tuning = ExportProfileSpec {
        ipfix: IpfixTuning {
            cache_active_timeout: Some(7),
            ..Default::default()
        },
        ..Default::default()
    };
    let ipfix = planned(&flows(&[], &[]), Some(&config(None)), tuning)
        .ipfix
        .unwrap();
    assert_eq!(
        (ipfix.cache_active_timeout, ipfix.sampling),
        (Some(7), Some(defaults::SAMPLING))
    );
}

/// What one bridge gets, and what is said of it.
fn planned_with_problems(config: Option<&FlowsConfig>, tuning: ExportProfileSpec) -> (BridgeExport, String) {
    let mut flows = flows(&["10.0.0.2:2055"], &["10.0.0.2:4739"]);
    flows.s_flow = flows.ipfix.clone();
    let (targets, _) = Targets::resolve(Some(&flows), config, &no_services);
    let profile = ExportProfile::new("tuned", tuning);
    let (mut spec, problems) = plan(&targets, Some(&profile), &node(), &|_| 1);
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    (spec.bridges.remove(0), text.join("\n"))
}

#[test]
fn export_that_would_feed_itself_keeps_its_cache_wherever_it_was_turned_off() {
    let uncached = |sampling, cache_active_timeout, cache_max_flows| ExportProfileSpec {
        ipfix: IpfixTuning {
            sampling,
            cache_active_timeout,
            cache_max_flows,
            ..Default::default()
        },
        ..Default::default()
    };
    let cases = [
        (None, uncached(Some(1), Some(0), None)),
        (None, uncached(Some(99), Some(7), Some(0))),
        (None, uncached(Some(1), None, Some(1))),
        // The ConfigMap turns the cache off, and the profile samples often, or the other way round.
        (Some(config(None)), uncached(Some(50), None, None)),
        (Some(config(Some(2))), uncached(None, None, None)),
    ];
    for (config, tuning) in cases {
        let (bridge, problems) = planned_with_problems(config.as_ref(), tuning.clone());
        let ipfix = bridge.ipfix.unwrap();
        assert!(ipfix.sampling.unwrap() < 100, "{tuning:?}");
        let cache = (ipfix.cache_active_timeout, ipfix.cache_max_flows);
        assert!(cache.0 > Some(0) && cache.1 >= Some(100), "{tuning:?}: {cache:?}");
        assert!(
            problems.contains("ExportProfile tuned") && problems.contains("feed itself"),
            "{problems}"
        );
    }
    for sampling in [Some(100), None, Some(0)] {
        let (bridge, problems) = planned_with_problems(None, uncached(sampling, None, Some(0)));
        assert_eq!(problems, "", "{sampling:?}");
        assert!(bridge.ipfix.is_none_or(|ipfix| ipfix.cache_max_flows == Some(0)));
    }
}

#[test]
fn sflow_that_would_feed_itself_is_sampled_more_coarsely_and_named() {
    let mut tuning = ExportProfileSpec::default();
    (tuning.s_flow.sampling, tuning.s_flow.header) = (Some(1), Some(1_299));
    let (bridge, problems) = planned_with_problems(None, tuning.clone());
    assert_eq!(bridge.s_flow.unwrap().sampling, Some(2));
    assert!(
        problems.contains("sFlow.sampling") && problems.contains("feed itself"),
        "{problems}"
    );
    tuning.s_flow.header = None;
    let (bridge, problems) = planned_with_problems(None, tuning);
    assert_eq!(
        (bridge.s_flow.unwrap().sampling, problems.as_str()),
        (Some(1), "")
    );
}

#[test]
fn a_floor_that_lets_nothing_be_throttled_is_named() {
    let budget = crate::export::Budget {
        action: crate::export::BudgetAction::Throttle,
        floor: Some(100),
        ..Default::default()
    };
    let tuning = ExportProfileSpec {
        budget: Some(budget),
        ..ExportProfileSpec::default()
    };
    let (_, problems) = planned_with_problems(None, tuning);
    assert!(
        problems.contains("budget.floor") && problems.contains("400"),
        "{problems}"
    );
}

#[test]
fn a_spec_that_did_not_come_of_this_planner_cannot_start_a_storm_either() {
    let (targets, _) = Targets::resolve(Some(&flows(&[], &["192.0.2.9:1"])), None, &no_services);
    let (safe, _) = plan(&targets, None, &node(), &|_| 1);
    let mut same = safe.clone();
    assert_eq!((enforce(&mut same), &same), (Vec::new(), &safe));
    let mut storm = safe;
    let ipfix = storm.bridges[0].ipfix.as_mut().unwrap();
    (ipfix.sampling, ipfix.cache_max_flows, ipfix.cache_active_timeout) = (Some(1), None, Some(7));
    storm.bridges[0].s_flow = Some(SFlowExport {
        targets: vec!["192.0.2.9:2".to_owned(); 10],
        sampling: Some(1),
        ..Default::default()
    });
    let problems = enforce(&mut storm);
    let ipfix = storm.bridges[0].ipfix.as_ref().unwrap();
    assert_eq!(
        (ipfix.cache_active_timeout, ipfix.cache_max_flows),
        (Some(7), Some(5_000))
    );
    assert_eq!(storm.bridges[0].s_flow.as_ref().unwrap().sampling, Some(4));
    assert!(
        problems.len() == 2 && problems[0].place == "bridge br-int",
        "{problems:?}"
    );
    assert_eq!(enforce(&mut storm), Vec::new());
}

#[test]
fn what_ovs_would_cut_off_or_never_send_is_bounded_and_named() {
    let mut tuning = ExportProfileSpec::default();
    tuning.s_flow.header = Some(1300);
    tuning.net_flow.active_timeout = Some(1 << 40);
    let (bridge, problems) = planned_with_problems(None, tuning);
    assert_eq!(bridge.s_flow.unwrap().header, Some(1299));
    assert_eq!(bridge.net_flow.unwrap().active_timeout, Some(86_400));
    assert!(
        problems.contains("spec.sFlow.header") && problems.contains("spec.netFlow.activeTimeout"),
        "{problems}"
    );
}

#[test]
fn ipfix_sampling_of_zero_exports_nothing() {
    let bridge = planned(
        &flows(&[], &["10.0.0.2:4739"]),
        Some(&config(Some(0))),
        ExportProfileSpec::default(),
    );
    assert_eq!(bridge.ipfix, None);
}

#[test]
fn zero_stays_zero_in_a_profile() {
    let mut tuning = ExportProfileSpec::default();
    tuning.net_flow.active_timeout = Some(0);
    tuning.ipfix.cache_max_flows = Some(0);
    tuning.ipfix.obs_domain_id = Some(0);
    let bridge = planned(&flows(&["10.0.0.2:1"], &["10.0.0.2:2"]), None, tuning);
    assert_eq!(bridge.net_flow.unwrap().active_timeout, Some(0));
    let ipfix = bridge.ipfix.unwrap();
    assert_eq!((ipfix.cache_max_flows, ipfix.obs_domain_id), (Some(0), Some(0)));
}

#[test]
fn nothing_asked_for_plans_bridges_without_protocols() {
    let (targets, _) = Targets::resolve(None, None, &no_services);
    let (spec, _) = plan(&targets, None, &node(), &|_| 9);
    assert!(!spec.exports_anything());
    assert_eq!(spec.bridges[0].exporter_id, 9);
}

#[test]
fn export_is_turned_off_by_profile_and_by_protocol() {
    let flows = flows(&["10.0.0.2:1"], &["10.0.0.2:2"]);
    let off = ExportProfileSpec {
        export: ExportSwitch::Disabled,
        ..Default::default()
    };
    assert!(!planned(&flows, None, off).exports_anything());
    let mut partly = ExportProfileSpec::default();
    partly.net_flow.enabled = Some(false);
    partly.ipfix.enabled = Some(true);
    let bridge = planned(&flows, Some(&config(None)), partly);
    assert_eq!(bridge.targets(Protocol::NetFlow), None);
    assert_eq!(bridge.targets(Protocol::Ipfix).map(<[String]>::len), Some(2));
}

#[test]
fn a_protocol_that_is_off_names_no_problem_of_its_entries() {
    let flows = flows(&[":2055"], &[]);
    let (targets, _) = Targets::resolve(Some(&flows), None, &no_services);
    let mut spec = ExportProfileSpec::default();
    spec.net_flow.enabled = Some(false);
    let nowhere = NodeFacts {
        name: "node-b".into(),
        address: None,
    };
    let profile = ExportProfile::new("off", spec);
    assert_eq!(plan(&targets, Some(&profile), &nowhere, &|_| 1).1, []);
}

#[test]
fn what_open_vswitch_or_the_gate_would_refuse_is_bounded_or_left_out_and_named() {
    let (targets, _) = Targets::resolve(Some(&flows(&[], &["192.0.2.9:1"])), None, &no_services);
    let (mut spec, _) = plan(&targets, None, &node(), &|_| 1);
    let bridge = &mut spec.bridges[0];
    bridge.net_flow = Some(NetFlowExport {
        targets: vec![
            "collector.example:1".to_owned(),
            "192.0.2.9:2".to_owned(),
            "192.0.2.9:0".to_owned(),
        ],
        active_timeout: Some(i64::MAX),
        ..Default::default()
    });
    bridge.s_flow = Some(SFlowExport {
        targets: (1..=11).map(|port| format!("192.0.2.9:{port}")).collect(),
        agent: Some("eth0\n".to_owned()),
        header: Some(u32::MAX),
        ..Default::default()
    });
    let ipfix = bridge.ipfix.as_mut().unwrap();
    ipfix.virtual_obs_id = Some("rack\t7".to_owned());
    (
        ipfix.cache_active_timeout,
        ipfix.stats_interval,
        ipfix.template_interval,
    ) = (Some(4201), Some(0), Some(3601));
    let problems = enforce(&mut spec);
    assert_eq!(problems.len(), 10, "{problems:?}");
    let BridgeExport {
        net_flow,
        s_flow,
        ipfix,
        ..
    } = spec.bridges[0].clone();
    let (net_flow, s_flow, ipfix) = (net_flow.unwrap(), s_flow.unwrap(), ipfix.unwrap());
    assert_eq!(net_flow.targets, ["192.0.2.9:2"]);
    assert_eq!(net_flow.active_timeout, Some(86_400));
    assert_eq!(
        (s_flow.targets.len(), s_flow.agent, s_flow.header),
        (10, None, Some(1299))
    );
    assert_eq!(ipfix.virtual_obs_id, None);
    assert_eq!(
        (
            ipfix.cache_active_timeout,
            ipfix.stats_interval,
            ipfix.template_interval
        ),
        (Some(4200), Some(1), Some(3600))
    );
    assert_eq!(enforce(&mut spec), Vec::new());
}

#[test]
fn control_characters_in_a_profiles_texts_are_left_out_and_named() {
    let mut tuning = ExportProfileSpec::default();
    tuning.ipfix.virtual_obs_id = Some("rack\t7".to_owned());
    tuning.s_flow.agent = Some("eth0\r".to_owned());
    assert_eq!(tuning.unusable().len(), 2);
    let (bridge, problems) = planned_with_problems(None, tuning);
    assert_eq!(bridge.ipfix.unwrap().virtual_obs_id, None);
    assert_eq!(bridge.s_flow.unwrap().agent.as_deref(), Some("1.2.5.6"));
    assert!(
        problems.contains("virtualObsId") && problems.contains("sFlow.agent"),
        "{problems}"
    );
}
