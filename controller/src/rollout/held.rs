//! What a node is told whose turn has not come: what it has, without what is taken away.
//! Pure.

use weir_api::export::{BridgeExport, NodeFlowExportSpec};
use weir_api::{IpfixExport, NetFlowExport, Protocol, SFlowExport};

/// The spec of a node that has `present` and is to have `wanted` later.
///
/// Places that records are not to go to any longer are taken out at once: a removal never
/// waits. Only where nothing of a protocol would be left that is still asked for, or nothing
/// at all, does that wait for what takes its place, so that nobody is blind meanwhile.
pub fn held(present: &NodeFlowExportSpec, wanted: &NodeFlowExportSpec) -> NodeFlowExportSpec {
    if !wanted.exports_anything() {
        // Nothing can go wrong there.
        return wanted.clone();
    }
    let mut spec = narrowed(present, |bridge, protocol| {
        let wanted = of_name(wanted, &bridge.name)?;
        Some((
            wanted.targets(protocol).unwrap_or_default().to_vec(),
            names_of(wanted),
        ))
    });
    for protocol in Protocol::ALL {
        let exports = |spec: &NodeFlowExportSpec| spec.bridges.iter().any(|b| b.exports(protocol));
        if exports(present) && exports(wanted) && !exports(&spec) {
            put_back(&mut spec, present, protocol);
        }
    }
    if !spec.exports_anything() {
        return present.clone();
    }
    // A bridge that exports nothing any longer goes, unless it is to stay.
    spec.bridges.retain(|bridge| {
        of_name(wanted, &bridge.name).is_some() || Protocol::ALL.iter().any(|p| bridge.exports(*p))
    });
    let only_the_profile = NodeFlowExportSpec {
        profile: wanted.profile.clone(),
        ..spec.clone()
    };
    if only_the_profile == *wanted {
        return only_the_profile;
    }
    spec
}

/// `spec` without places that neither `present` nor `wanted` has: what was taken away while
/// the node waited does not come back.
pub fn without_what_went(
    spec: &NodeFlowExportSpec,
    present: &NodeFlowExportSpec,
    wanted: &NodeFlowExportSpec,
) -> NodeFlowExportSpec {
    narrowed(spec, |bridge, protocol| {
        let known = [present, wanted].map(|spec| of_name(spec, &bridge.name));
        let bridges = || known.iter().flatten();
        let targets = bridges().flat_map(|b| b.targets(protocol).unwrap_or_default());
        let targets = targets.cloned().collect();
        Some((targets, bridges().flat_map(|b| names_of(b)).collect()))
    })
}

/// A spec with only those of its targets, and of the targets that are told names, that
/// `allowed` says for a bridge; `None`: no target.
fn narrowed(
    spec: &NodeFlowExportSpec,
    allowed: impl Fn(&BridgeExport, Protocol) -> Option<(Vec<String>, Vec<String>)>,
) -> NodeFlowExportSpec {
    let mut spec = spec.clone();
    for bridge in &mut spec.bridges {
        let [net_flow, s_flow, ipfix] = [Protocol::NetFlow, Protocol::SFlow, Protocol::Ipfix]
            .map(|protocol| allowed(bridge, protocol).unwrap_or_default());
        bridge.net_flow = bridge.net_flow.take().and_then(|export| {
            let targets = those(export.targets, &net_flow.0)?;
            Some(NetFlowExport { targets, ..export })
        });
        bridge.s_flow = bridge.s_flow.take().and_then(|export| {
            let targets = those(export.targets, &s_flow.0)?;
            Some(SFlowExport { targets, ..export })
        });
        bridge.ipfix = bridge.ipfix.take().and_then(|export| {
            let targets = those(export.targets, &ipfix.0)?;
            let interface_names = those(export.interface_names, &ipfix.1).unwrap_or_default();
            Some(IpfixExport {
                targets,
                interface_names,
                ..export
            })
        });
    }
    spec
}

/// The protocol as `present` has it, on all bridges.
fn put_back(spec: &mut NodeFlowExportSpec, present: &NodeFlowExportSpec, protocol: Protocol) {
    for bridge in &mut spec.bridges {
        let Some(present) = of_name(present, &bridge.name) else {
            continue;
        };
        match protocol {
            Protocol::NetFlow => bridge.net_flow.clone_from(&present.net_flow),
            Protocol::SFlow => bridge.s_flow.clone_from(&present.s_flow),
            Protocol::Ipfix => bridge.ipfix.clone_from(&present.ipfix),
        }
    }
}

fn of_name<'a>(spec: &'a NodeFlowExportSpec, name: &str) -> Option<&'a BridgeExport> {
    spec.bridges.iter().find(|bridge| bridge.name == name)
}

fn names_of(bridge: &BridgeExport) -> Vec<String> {
    let ipfix = bridge.ipfix.as_ref();
    ipfix
        .map(|ipfix| ipfix.interface_names.clone())
        .unwrap_or_default()
}

fn those(mut targets: Vec<String>, allowed: &[String]) -> Option<Vec<String>> {
    targets.retain(|target| allowed.contains(target));
    (!targets.is_empty()).then_some(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(bridges: Value) -> NodeFlowExportSpec {
        serde_json::from_value(json!({ "bridges": bridges })).unwrap()
    }

    fn net_flow(targets: &[&str], timeout: i64) -> NodeFlowExportSpec {
        spec(json!([{"name": "br-int", "netFlow": {"targets": targets, "activeTimeout": timeout}}]))
    }

    #[test]
    fn what_is_only_taken_away_goes_at_once_and_settings_wait() {
        let present = net_flow(&["a", "b"], 60);
        assert_eq!(held(&present, &net_flow(&["a"], 60)), net_flow(&["a"], 60));
        assert_eq!(held(&present, &net_flow(&["a"], 5)), net_flow(&["a"], 60));
        let nothing = spec(json!([{"name": "br-int"}]));
        assert_eq!(held(&present, &nothing), nothing);
        let other = spec(json!([]));
        assert_eq!(held(&present, &other), other);
    }

    #[test]
    fn what_takes_the_place_of_something_waits_with_it() {
        let present = net_flow(&["a"], 60);
        assert_eq!(held(&present, &net_flow(&["b"], 60)), present);
        let swap = spec(json!([{"name": "br-int", "ipfix": {"targets": ["a"]}}]));
        assert_eq!(held(&present, &swap), present);
        let both = spec(
            json!([{"name": "br-int", "netFlow": {"targets": ["a"], "activeTimeout": 60}},
            {"name": "br-ex", "netFlow": {"targets": ["a"]}}]),
        );
        assert_eq!(held(&present, &both), present);
        assert_eq!(held(&both, &present), present);
        let elsewhere = spec(json!([{"name": "br-ex", "netFlow": {"targets": ["a"]}}]));
        assert_eq!(held(&present, &elsewhere), present);
    }

    #[test]
    fn a_place_that_is_taken_away_goes_though_another_is_still_to_come() {
        let present = net_flow(&["a", "b"], 60);
        assert_eq!(held(&present, &net_flow(&["a", "c"], 5)), net_flow(&["a"], 60));
        let wanted = spec(
            json!([{"name": "br-int", "netFlow": {"targets": ["a"]}, "ipfix": {"targets": ["c"]}},
            {"name": "br-ex", "netFlow": {"targets": ["a"]}}]),
        );
        assert_eq!(held(&present, &wanted), net_flow(&["a"], 60));
        let two =
            spec(json!([{"name": "br-int", "netFlow": {"targets": ["a"]}, "sFlow": {"targets": ["b"]}}]));
        let wanted =
            spec(json!([{"name": "br-int", "netFlow": {"targets": ["a"]}, "ipfix": {"targets": ["c"]}}]));
        let told = spec(json!([{"name": "br-int", "netFlow": {"targets": ["a"]}}]));
        assert_eq!(held(&two, &wanted), told);
    }

    #[test]
    fn another_conflict_policy_waits_and_another_name_of_the_profile_does_not() {
        let present = net_flow(&["a", "b"], 60);
        let mut wanted = net_flow(&["a"], 60);
        wanted.profile = Some("p".to_owned());
        assert_eq!(held(&present, &wanted), wanted);
        wanted.conflict_policy = weir_api::export::ConflictPolicy::Adopt;
        assert_eq!(held(&present, &wanted), net_flow(&["a"], 60));
    }

    #[test]
    fn what_went_meanwhile_does_not_come_back() {
        let completed = net_flow(&["a", "b"], 60);
        let wanted = net_flow(&["a", "c"], 5);
        let present = net_flow(&["a"], 17);
        assert_eq!(
            without_what_went(&completed, &present, &wanted),
            net_flow(&["a"], 60)
        );
        let nothing = spec(json!([{"name": "br-int"}]));
        let went = without_what_went(&net_flow(&["b"], 60), &nothing, &net_flow(&["c"], 60));
        assert_eq!(held(&went, &net_flow(&["c"], 60)), nothing);
    }

    #[test]
    fn a_protocol_and_the_names_that_are_taken_away_go_at_once() {
        let present = spec(json!([{"name": "br-int", "netFlow": {"targets": ["a"]},
            "ipfix": {"targets": ["c", "d"], "sampling": 400, "interfaceNames": ["c", "d"]}}]));
        let wanted = spec(json!([{"name": "br-int", "ipfix": {"targets": ["c"], "sampling": 1}}]));
        let told = spec(json!([{"name": "br-int", "ipfix": {"targets": ["c"], "sampling": 400}}]));
        assert_eq!(held(&present, &wanted), told);
        assert_eq!(held(&told, &wanted), told);
    }
}
