//! What a node is told whose turn has not come: what it has, without what is only taken
//! away. Pure.

use weir_api::export::{BridgeExport, NodeFlowExportSpec};
use weir_api::{IpfixExport, NetFlowExport, Protocol, SFlowExport};

/// The spec of a node that has `present` and is to have `wanted` later.
///
/// Where records only go to fewer places, those that they are not to go to any longer are
/// taken out at once: what is removed is removed. Where a place takes another's, both wait,
/// so that nobody is blind meanwhile.
pub fn held(present: &NodeFlowExportSpec, wanted: &NodeFlowExportSpec) -> NodeFlowExportSpec {
    if !wanted.exports_anything() {
        // Nothing can go wrong there.
        return wanted.clone();
    }
    if !goes_to_fewer(present, wanted) {
        return present.clone();
    }
    let mut spec = present.clone();
    spec.bridges
        .retain(|bridge| of_name(wanted, &bridge.name).is_some());
    for bridge in &mut spec.bridges {
        let Some(wanted) = of_name(wanted, &bridge.name) else {
            continue;
        };
        keep_targets(bridge, wanted);
    }
    if spec.bridges == wanted.bridges {
        wanted.clone()
    } else {
        spec
    }
}

fn of_name<'a>(spec: &'a NodeFlowExportSpec, name: &str) -> Option<&'a BridgeExport> {
    spec.bridges.iter().find(|bridge| bridge.name == name)
}

/// Whether each place that `wanted` sends to is one that `present` sends to.
fn goes_to_fewer(present: &NodeFlowExportSpec, wanted: &NodeFlowExportSpec) -> bool {
    let is_there = |bridge: &BridgeExport, protocol: Protocol| {
        let present = of_name(present, &bridge.name).and_then(|bridge| bridge.targets(protocol));
        let targets = bridge.targets(protocol).unwrap_or_default();
        targets
            .iter()
            .all(|target| present.is_some_and(|present| present.contains(target)))
    };
    let mut pairs = wanted
        .bridges
        .iter()
        .flat_map(|bridge| Protocol::ALL.map(|protocol| (bridge, protocol)));
    pairs.all(|(bridge, protocol)| is_there(bridge, protocol))
}

fn keep_targets(bridge: &mut BridgeExport, wanted: &BridgeExport) {
    let wants = |protocol: Protocol| wanted.targets(protocol).unwrap_or_default();
    bridge.net_flow = bridge.net_flow.take().and_then(|export| {
        let targets = those(export.targets, wants(Protocol::NetFlow))?;
        Some(NetFlowExport { targets, ..export })
    });
    bridge.s_flow = bridge.s_flow.take().and_then(|export| {
        let targets = those(export.targets, wants(Protocol::SFlow))?;
        Some(SFlowExport { targets, ..export })
    });
    bridge.ipfix = bridge.ipfix.take().and_then(|export| {
        let targets = those(export.targets, wants(Protocol::Ipfix))?;
        let told = wanted
            .ipfix
            .as_ref()
            .map(|ipfix| ipfix.interface_names.as_slice());
        let interface_names = those(export.interface_names, told.unwrap_or_default()).unwrap_or_default();
        Some(IpfixExport {
            targets,
            interface_names,
            ..export
        })
    });
}

fn those(mut targets: Vec<String>, wanted: &[String]) -> Option<Vec<String>> {
    targets.retain(|target| wanted.contains(target));
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
