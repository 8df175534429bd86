//! What a change of policies would have done to the traffic that was seen.

mod change;
mod report;

use weir_policy::replay::{CheckOptions, ClusterVersion, ReplayInput, exit_code, replay};

pub use change::{Deletion, LabelSetting, Wanted, target};
pub use report::{AllowedEdge, CheckLine, CheckReport, DeniedEdge, OpensRow, UnknownRow};

use crate::{DecisionError, Traffic, World};

/// Replays the traffic before and after the change: the policies of files in the world, and
/// what else is wanted.
///
/// # Errors
/// Nothing is changed, or what is to be changed is not there.
pub fn check(
    world: &World,
    traffic: &Traffic,
    wanted: &Wanted,
    options: &CheckOptions,
) -> Result<CheckReport, DecisionError> {
    let inventory = world.objects.inventory(Vec::new());
    let change = wanted.change(world, &inventory)?;
    let report = replay(ReplayInput {
        edges: &traffic.edges,
        inventory: &inventory,
        before: vec![ClusterVersion {
            since: 0,
            cluster: world.objects.cluster.clone(),
        }],
        change: &change,
        profile: world.profile,
    });
    let code = exit_code(Some(&report), options);
    Ok(CheckReport::of(&report, world, traffic, code))
}
