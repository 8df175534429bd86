//! Tuning that cannot hurt: the profile's word and the ConfigMap's in one, with what
//! would start a storm or never leave the node put right and named. The API server
//! refuses most of the same in new profiles; those that are older, files and the ConfigMap
//! come here. [`enforce`] does the same once more where a node carries it out, since a
//! `NodeFlowExport` may be of an older controller, or of a person.

use crate::export::{Budget, BudgetAction, IpfixExport, NodeFlowExportSpec, SFlowExport};
use crate::flows_config::{self, FlowsConfig};
use crate::plan::{Problem, bounds, defaults};
use crate::profile::{
    ExportProfile, ExportProfileSpec, IpfixTuning, MAX_NETFLOW_ACTIVE_TIMEOUT, MAX_SFLOW_HEADER,
    MIN_CACHE_FLOWS, MIN_UNCACHED_SAMPLING, SFlowTuning, is_ipfix_storm, min_s_flow_sampling,
};

/// The settings for a node, and what of them is not as it was asked for. The profile's
/// word counts before the ConfigMap's.
pub fn tuning(
    profile: Option<&ExportProfile>,
    config: Option<&FlowsConfig>,
    s_flow_targets: usize,
) -> (ExportProfileSpec, Vec<Problem>) {
    let mut tuning = profile.map(|p| p.spec.clone()).unwrap_or_default();
    if let Some(config) = config {
        merge(&mut tuning.ipfix, config);
    }
    let place = place(profile, config);
    let mut problems = Vec::new();
    keep_cache(&mut tuning.ipfix, &place, &mut problems);
    bound(
        &mut tuning.s_flow.header,
        MAX_SFLOW_HEADER,
        "sFlow.header",
        "what is longer does not fit into a datagram of OVS and is never sent",
        &place,
        &mut problems,
    );
    bound(
        &mut tuning.net_flow.active_timeout,
        MAX_NETFLOW_ACTIVE_TIMEOUT,
        "netFlow.activeTimeout",
        "more is cut off by OVS",
        &place,
        &mut problems,
    );
    bounds::text(
        &mut tuning.s_flow.agent,
        &place,
        "spec.sFlow.agent",
        &mut problems,
    );
    bounds::text(
        &mut tuning.ipfix.virtual_obs_id,
        &place,
        "spec.ipfix.virtualObsId",
        &mut problems,
    );
    keep_s_flow_sampling(&mut tuning.s_flow, s_flow_targets, &place, &mut problems);
    check_floor(&tuning, &place, &mut problems);
    (tuning, problems)
}

/// What of a profile's settings does not count as it stands there, with what counts in its
/// place, and what Open vSwitch would refuse.
pub fn unsafe_settings(profile: &ExportProfile, config: Option<&FlowsConfig>) -> Vec<String> {
    let (tuning, problems) = tuning(Some(profile), config, 1);
    let problems = problems.iter().map(Problem::to_string);
    problems.chain(tuning.violations()).collect()
}

/// Puts right what would start a storm in what a node is to carry out, and what Open vSwitch
/// or the gate would refuse. Each sentence names what was asked for.
pub fn enforce(spec: &mut NodeFlowExportSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    bounds::keep_within(spec, &mut problems);
    for bridge in &mut spec.bridges {
        let place = format!("bridge {}", bridge.name);
        if let Some(ipfix) = &mut bridge.ipfix {
            enforce_cache(ipfix, &place, &mut problems);
        }
        if let Some(s_flow) = &mut bridge.s_flow {
            enforce_sampling(s_flow, &place, &mut problems);
        }
    }
    problems
}

fn enforce_cache(ipfix: &mut IpfixExport, place: &str, problems: &mut Vec<Problem>) {
    // Unset is OVS's own: a sampling of 400, and no cache.
    let (timeout, flows) = (ipfix.cache_active_timeout, ipfix.cache_max_flows);
    let sampling = ipfix.sampling.unwrap_or(defaults::SAMPLING);
    if is_ipfix_storm(sampling, timeout.unwrap_or(0), flows.unwrap_or(0)) {
        let mut tuning = IpfixTuning {
            sampling: ipfix.sampling,
            cache_active_timeout: timeout,
            cache_max_flows: flows,
            ..IpfixTuning::default()
        };
        problems.push(cache_kept(&mut tuning, place));
        ipfix.cache_active_timeout = tuning.cache_active_timeout;
        ipfix.cache_max_flows = tuning.cache_max_flows;
    }
}

fn enforce_sampling(s_flow: &mut SFlowExport, place: &str, problems: &mut Vec<Problem>) {
    let mut tuning = SFlowTuning {
        sampling: s_flow.sampling,
        header: s_flow.header,
        ..SFlowTuning::default()
    };
    keep_s_flow_sampling(&mut tuning, s_flow.targets.len(), place, problems);
    s_flow.sampling = tuning.sampling;
}

/// With few samples in a datagram and many collectors, more than one datagram would come of
/// the sample of one.
fn keep_s_flow_sampling(s_flow: &mut SFlowTuning, targets: usize, place: &str, problems: &mut Vec<Problem>) {
    let header = s_flow.header.unwrap_or(defaults::SFLOW_HEADER);
    let least = min_s_flow_sampling(header, targets);
    let Some(asked) = s_flow.sampling.filter(|n| (1..least).contains(n)) else {
        return;
    };
    s_flow.sampling = Some(least);
    problems.push(Problem {
        place: format!("{place} sFlow.sampling"),
        entry: asked.to_string(),
        reason: format!(
            "is taken as {least}: with {header} bytes of each packet and {targets} collectors export would feed itself"
        ),
    });
}

/// A floor that is finer than what is asked lets nothing be throttled.
fn check_floor(tuning: &ExportProfileSpec, place: &str, problems: &mut Vec<Problem>) {
    let throttles = |budget: &&Budget| budget.action == BudgetAction::Throttle;
    let Some(floor) = tuning.budget.as_ref().filter(throttles).map(Budget::floor) else {
        return;
    };
    let sampled = [
        ("sFlow", tuning.s_flow.sampling),
        ("ipfix", tuning.ipfix.sampling),
    ];
    for (protocol, sampling) in sampled {
        let asked = sampling.unwrap_or(defaults::SAMPLING);
        if floor < asked {
            problems.push(Problem {
                place: format!("{place} spec.budget.floor"),
                entry: floor.to_string(),
                reason: format!("is finer than {protocol}.sampling {asked}, which is not throttled then"),
            });
        }
    }
}

fn merge(ipfix: &mut IpfixTuning, config: &FlowsConfig) {
    ipfix.sampling = ipfix.sampling.or(config.sampling);
    ipfix.cache_active_timeout = ipfix.cache_active_timeout.or(config.cache_active_timeout);
    ipfix.cache_max_flows = ipfix.cache_max_flows.or(config.cache_max_flows);
}

fn place(profile: Option<&ExportProfile>, config: Option<&FlowsConfig>) -> String {
    let profile = profile.map(|p| format!("ExportProfile {}", p.metadata.name.as_deref().unwrap_or("?")));
    let config = config.map(|_| format!("ConfigMap {}/{}", flows_config::NAMESPACE, flows_config::NAME));
    let places: Vec<String> = [profile, config].into_iter().flatten().collect();
    places.join(" with ")
}

/// Without a cache each sampled packet is a datagram. One that leaves by the bridge is
/// sampled itself, going in and coming out: few packets become a storm that feeds itself.
fn keep_cache(ipfix: &mut IpfixTuning, place: &str, problems: &mut Vec<Problem>) {
    if ipfix.is_storm() {
        problems.push(cache_kept(ipfix, place));
    }
}

/// Turns the cache on, and says so.
fn cache_kept(ipfix: &mut IpfixTuning, place: &str) -> Problem {
    let number = |value: Option<u32>| value.map_or_else(|| "unset".to_owned(), |n| n.to_string());
    let entry = format!(
        "sampling {}, cacheActiveTimeout {}, cacheMaxFlows {}",
        number(ipfix.sampling),
        number(ipfix.cache_active_timeout),
        number(ipfix.cache_max_flows),
    );
    let enough = |value: Option<u32>, least, default| Some(value.filter(|n| *n >= least).unwrap_or(default));
    ipfix.cache_active_timeout = enough(
        ipfix.cache_active_timeout,
        1,
        defaults::IPFIX_CACHE_ACTIVE_TIMEOUT,
    );
    ipfix.cache_max_flows = enough(
        ipfix.cache_max_flows,
        MIN_CACHE_FLOWS,
        defaults::IPFIX_CACHE_MAX_FLOWS,
    );
    let reason = format!(
        "counts with the cache on ({} s, {} flows): without it, or with one of fewer than {MIN_CACHE_FLOWS} flows, \
         export would feed itself, below a sampling of {MIN_UNCACHED_SAMPLING}",
        number(ipfix.cache_active_timeout),
        number(ipfix.cache_max_flows),
    );
    Problem {
        place: place.to_owned(),
        entry,
        reason,
    }
}

fn bound<N: PartialOrd + Copy + std::fmt::Display>(
    value: &mut Option<N>,
    most: N,
    field: &str,
    why: &str,
    place: &str,
    problems: &mut Vec<Problem>,
) {
    let Some(beyond) = value.filter(|n| *n > most) else {
        return;
    };
    *value = Some(most);
    problems.push(Problem {
        place: format!("{place} spec.{field}"),
        entry: beyond.to_string(),
        reason: format!("is taken as {most}: {why}"),
    });
}
