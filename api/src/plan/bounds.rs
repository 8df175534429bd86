//! What a column of OVSDB takes, and what passes the gate: values beyond that are bounded or
//! left out, since one transaction carries all changes of a node, and one value that is refused
//! would hold all of them back. `node-daemon/gate/src/filter/vocabulary.rs` has the same bounds.

use std::fmt::{Debug, Display};
use std::net::SocketAddr;

use crate::export::{BridgeExport, IpfixExport, NetFlowExport, NodeFlowExportSpec, SFlowExport};
use crate::network::MAX_COLLECTORS;
use crate::plan::Problem;
use crate::profile::{
    MAX_IPFIX_CACHE_TIMEOUT, MAX_IPFIX_INTERVAL, MAX_NETFLOW_ACTIVE_TIMEOUT, MAX_SFLOW_HEADER, MAX_TEXT,
};

const CONTROLS: &str = "is left out: it has control characters, or is too long";

/// Bounds all settings of a node.
pub fn keep_within(spec: &mut NodeFlowExportSpec, problems: &mut Vec<Problem>) {
    for bridge in &mut spec.bridges {
        keep_bridge(bridge, problems);
    }
}

fn keep_bridge(bridge: &mut BridgeExport, problems: &mut Vec<Problem>) {
    let place = format!("bridge {}", bridge.name);
    if let Some(net_flow) = &mut bridge.net_flow {
        keep_net_flow(net_flow, &place, problems);
    }
    if let Some(s_flow) = &mut bridge.s_flow {
        keep_s_flow(s_flow, &place, problems);
    }
    if let Some(ipfix) = &mut bridge.ipfix {
        keep_ipfix(ipfix, &place, problems);
    }
}

fn keep_net_flow(export: &mut NetFlowExport, place: &str, problems: &mut Vec<Problem>) {
    targets(&mut export.targets, place, "netFlow.targets", problems);
    let bounds = (i64::MIN, MAX_NETFLOW_ACTIVE_TIMEOUT);
    number(
        &mut export.active_timeout,
        bounds,
        place,
        "netFlow.activeTimeout",
        problems,
    );
}

fn keep_s_flow(export: &mut SFlowExport, place: &str, problems: &mut Vec<Problem>) {
    targets(&mut export.targets, place, "sFlow.targets", problems);
    text(&mut export.agent, place, "sFlow.agent", problems);
    number(
        &mut export.header,
        (0, MAX_SFLOW_HEADER),
        place,
        "sFlow.header",
        problems,
    );
}

fn keep_ipfix(export: &mut IpfixExport, place: &str, problems: &mut Vec<Problem>) {
    targets(&mut export.targets, place, "ipfix.targets", problems);
    text(&mut export.virtual_obs_id, place, "ipfix.virtualObsId", problems);
    let intervals = (1, MAX_IPFIX_INTERVAL);
    for (field, value, bounds) in [
        (
            "ipfix.cacheActiveTimeout",
            &mut export.cache_active_timeout,
            (0, MAX_IPFIX_CACHE_TIMEOUT),
        ),
        ("ipfix.statsInterval", &mut export.stats_interval, intervals),
        ("ipfix.templateInterval", &mut export.template_interval, intervals),
    ] {
        number(value, bounds, place, field, problems);
    }
}

/// No name that OVS would look up, no other way to send.
fn targets(targets: &mut Vec<String>, place: &str, field: &str, problems: &mut Vec<Problem>) {
    targets.retain(|target| {
        let is_one = target.parse().is_ok_and(|at: SocketAddr| at.port() != 0);
        if !is_one {
            let why = "is left out: it is no ADDRESS:PORT";
            problems.push(problem(place, field, target, why));
        }
        is_one
    });
    for target in targets.drain(targets.len().min(MAX_COLLECTORS)..) {
        let why = format!("is left out: there are {MAX_COLLECTORS} before it");
        problems.push(problem(place, field, &target, &why));
    }
}

/// A text of a setting, which is left out where it is none that is printed.
pub fn text(value: &mut Option<String>, place: &str, field: &str, problems: &mut Vec<Problem>) {
    if let Some(odd) = value.take_if(|text| !is_text(text)) {
        problems.push(problem(place, field, &odd, CONTROLS));
    }
}

fn number<N: Ord + Copy + Display + Debug>(
    value: &mut Option<N>,
    (least, most): (N, N),
    place: &str,
    field: &str,
    problems: &mut Vec<Problem>,
) {
    let Some(asked) = *value else { return };
    let kept = asked.clamp(least, most);
    if kept != asked {
        *value = Some(kept);
        let why = format!("is taken as {kept}: Open vSwitch takes no other");
        problems.push(problem(place, field, &asked.to_string(), &why));
    }
}

/// Whether a text has no control characters, and at most [`MAX_TEXT`] bytes.
pub fn is_text(text: &str) -> bool {
    text.len() <= MAX_TEXT && !text.contains(char::is_control)
}

fn problem(place: &str, field: &str, entry: &str, reason: &str) -> Problem {
    Problem {
        place: format!("{place} {field}"),
        entry: entry.chars().take(64).collect(),
        reason: reason.to_owned(),
    }
}
