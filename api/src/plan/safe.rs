//! Tuning that cannot hurt: the profile's word and the ConfigMap's in one, with what
//! would start a storm or never leave the node put right and named. The API server
//! refuses the same in new profiles; those that are older, and the ConfigMap, come here.

use crate::flows_config::{self, FlowsConfig};
use crate::plan::{Problem, defaults};
use crate::profile::{
    ExportProfile, ExportProfileSpec, IpfixTuning, MAX_NETFLOW_ACTIVE_TIMEOUT, MAX_SFLOW_HEADER,
    MIN_UNCACHED_SAMPLING,
};

/// The settings for a node, and what of them is not as it was asked for. The profile's
/// word counts before the ConfigMap's.
pub fn tuning(
    profile: Option<&ExportProfile>,
    config: Option<&FlowsConfig>,
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
    (tuning, problems)
}

/// What of a profile's settings does not count as it stands there, with what counts in its
/// place, and what Open vSwitch would refuse.
pub fn unsafe_settings(profile: &ExportProfile, config: Option<&FlowsConfig>) -> Vec<String> {
    let (tuning, problems) = tuning(Some(profile), config);
    let problems = problems.iter().map(Problem::to_string);
    problems.chain(tuning.violations()).collect()
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
    if !ipfix.is_storm() {
        return;
    }
    let number = |value: Option<u32>| value.map_or_else(|| "unset".to_owned(), |n| n.to_string());
    let entry = format!(
        "sampling {}, cacheActiveTimeout {}, cacheMaxFlows {}",
        number(ipfix.sampling),
        number(ipfix.cache_active_timeout),
        number(ipfix.cache_max_flows),
    );
    let on = |value: Option<u32>, default| Some(value.filter(|n| *n != 0).unwrap_or(default));
    ipfix.cache_active_timeout = on(ipfix.cache_active_timeout, defaults::IPFIX_CACHE_ACTIVE_TIMEOUT);
    ipfix.cache_max_flows = on(ipfix.cache_max_flows, defaults::IPFIX_CACHE_MAX_FLOWS);
    let reason = format!(
        "counts with the cache on ({} s, {} flows): without it export would feed itself, below a sampling of \
         {MIN_UNCACHED_SAMPLING}",
        number(ipfix.cache_active_timeout),
        number(ipfix.cache_max_flows),
    );
    problems.push(Problem {
        place: place.to_owned(),
        entry,
        reason,
    });
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
