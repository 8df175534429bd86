//! Where versions of OVS differ from each other and from their manual. The only
//! place that asks for a version or a column; each quirk has a test.
//!
//! | OVS | quirk |
//! |---|---|
//! | before 3.2.0 | `other_config:enable-input-sampling` and `enable-output-sampling` are inverted: the code reads `!smap_get_bool(…, false)`, so `true` disables and `false` does nothing |
//! | before 3.2.0 | `IPFIX` has neither `stats_interval` nor `template_interval` |
//! | all | `NetFlow.active_timeout` below 0 is not "never" but 600 s and a warning |
//! | all | `sFlow` without an agent address is disabled, and only a log says so |
//! | all | `IPFIX.sampling` takes no 0 |
//! | all | `IPFIX` without a cache samples its own datagrams on their way out through the bridge: [`weir_api::plan`] keeps the cache on below 1 in 100 |
//! | all | `sFlow.header` from 1300 on fits into no datagram; the planner bounds it |
//! | all (3.1 run) | a change of `IPFIX.other_config:virtual_obs_id` changes the form of the data at once, and the templates are not sent again before their time; only an exporter that was removed and made anew sends them |

use std::sync::Arc;

use ovsdb::Schema;
use weir_api::Protocol;

use crate::rows::{MapKey, VIRTUAL_OBS_ID};

/// Seconds that OVS takes for an `active_timeout` of 0 and below.
const NETFLOW_DEFAULT_TIMEOUT: i64 = 600;

/// The first version whose sampling switches mean what they say.
const SWITCHES_FIXED: (u32, u32) = (3, 2);

/// The OVS at hand: its schema, and what its version means.
#[derive(Debug, Clone)]
pub struct Dialect {
    schema: Arc<Schema>,
    inverted_switches: bool,
}

impl Dialect {
    /// `ovs_version` is the column's text. Only OVS's start script writes it, so
    /// it may be empty; then the schema tells, which got `template_interval` in
    /// the same release.
    pub fn new(schema: Arc<Schema>, ovs_version: Option<&str>) -> Self {
        let inverted_switches = ovs_version.and_then(major_and_minor).map_or_else(
            || schema.has_table("IPFIX") && !schema.has_column("IPFIX", "template_interval"),
            |version| version < SWITCHES_FIXED,
        );
        Self {
            schema,
            inverted_switches,
        }
    }

    /// Whether this OVS has the table.
    pub fn has_table(&self, table: &str) -> bool {
        self.schema.has_table(table)
    }

    /// Whether this OVS has the column; what it lacks is neither written nor missed.
    pub fn has_column(&self, table: &str, column: &str) -> bool {
        self.schema.has_column(table, column)
    }

    /// What to write for an input or output sampling switch; `None`: no such key,
    /// which enables in every version.
    pub fn sampling_switch(&self, enabled: Option<bool>) -> Option<&'static str> {
        match (enabled.unwrap_or(true), self.inverted_switches) {
            (true, _) => None,
            (false, false) => Some("false"),
            (false, true) => Some("true"),
        }
    }

    /// What an input or output sampling switch does.
    pub fn sampling_in_force(&self, value: Option<&str>) -> bool {
        let disables = if self.inverted_switches { "true" } else { "false" };
        !value.is_some_and(|v| v.eq_ignore_ascii_case(disables))
    }
}

/// What to write for the tunnel sampling switch, which was never inverted.
pub fn tunnel_switch(enabled: Option<bool>) -> Option<&'static str> {
    (enabled == Some(false)).then_some("false")
}

/// What the tunnel sampling switch does.
pub fn tunnel_in_force(value: Option<&str>) -> bool {
    !value.is_some_and(|v| v.eq_ignore_ascii_case("false"))
}

/// What to write for NetFlow's active timeout, in seconds: never a negative
/// number, which OVS warns about and replaces by the default.
pub fn active_timeout(seconds: Option<i64>) -> i64 {
    seconds.unwrap_or(0).max(0)
}

/// Seconds that an active timeout stands for; 0 is left to say "the default".
pub fn active_timeout_in_force(column: i64) -> i64 {
    if column < 0 {
        NETFLOW_DEFAULT_TIMEOUT
    } else {
        column
    }
}

/// Whether OVS certainly has an agent address for sFlow. Without one it takes
/// that of the route to the first collector, and disables sFlow when it finds none.
pub fn agent_is_certain(agent: Option<&str>) -> bool {
    agent.is_some_and(|a| !a.is_empty())
}

/// What to write for IPFIX's sampling; the outer `None`: export nothing at all.
pub fn ipfix_sampling(sampling: Option<u32>) -> Option<Option<u32>> {
    (sampling != Some(0)).then_some(sampling)
}

/// Whether OVS takes a change of these keys over as it should only with a row of its
/// own. It must see the bridge without one in between: a row that is exchanged for
/// another is an edit to it (`dpif_ipfix_set_options`).
pub fn needs_new_row<'a>(protocol: Protocol, changed: impl IntoIterator<Item = &'a MapKey>) -> bool {
    let mut changed = changed.into_iter();
    protocol == Protocol::Ipfix && changed.any(|key| key.key == VIRTUAL_OBS_ID)
}

fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim().split('.').map(leading_number);
    Some((numbers.next()??, numbers.next()??))
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::schema;

    fn dialect(version: Option<&str>) -> Dialect {
        Dialect::new(schema(&[]), version)
    }

    #[test]
    fn before_3_2_true_disables_the_sampling_switches() {
        for version in ["2.17.12", "3.0.7", "3.1.0", "3.1.90", "3.1"] {
            let old = dialect(Some(version));
            assert_eq!(old.sampling_switch(Some(false)), Some("true"), "{version}");
            assert_eq!(old.sampling_switch(Some(true)), None, "{version}");
            assert!(!old.sampling_in_force(Some("TRUE")), "{version}");
            assert!(old.sampling_in_force(Some("false")), "{version}");
            assert!(old.sampling_in_force(None), "{version}");
        }
    }

    #[test]
    fn from_3_2_on_false_disables_the_sampling_switches() {
        for version in ["3.2.0", "3.2", "3.7.1", "4.0.0", "10.1.0-rc1"] {
            let new = dialect(Some(version));
            assert_eq!(new.sampling_switch(Some(false)), Some("false"), "{version}");
            assert_eq!(new.sampling_switch(Some(true)), None, "{version}");
            assert!(!new.sampling_in_force(Some("False")), "{version}");
            assert!(new.sampling_in_force(Some("true")), "{version}");
        }
    }

    #[test]
    fn where_the_version_is_unknown_the_schema_tells() {
        for version in [None, Some(""), Some("unknown"), Some("3"), Some("3.x")] {
            assert_eq!(dialect(version).sampling_switch(Some(false)), Some("true"));
            let newer = Dialect::new(schema(&["template_interval"]), version);
            assert_eq!(newer.sampling_switch(Some(false)), Some("false"));
        }
    }

    #[test]
    fn the_tunnel_switch_is_not_inverted() {
        assert_eq!(tunnel_switch(Some(false)), Some("false"));
        assert_eq!((tunnel_switch(Some(true)), tunnel_switch(None)), (None, None));
        assert!(!tunnel_in_force(Some("false")));
        assert!(tunnel_in_force(Some("true")) && tunnel_in_force(None));
    }

    #[test]
    fn a_negative_active_timeout_is_the_default() {
        assert_eq!(active_timeout(Some(-1)), 0);
        assert_eq!((active_timeout(Some(60)), active_timeout(None)), (60, 0));
        assert_eq!(
            (active_timeout_in_force(-1), active_timeout_in_force(0)),
            (600, 0)
        );
    }

    #[test]
    fn sflow_without_an_agent_is_not_certain_to_run() {
        assert!(agent_is_certain(Some("192.0.2.1")));
        assert!(!agent_is_certain(None) && !agent_is_certain(Some("")));
    }

    #[test]
    fn ipfix_sampling_of_zero_is_no_export() {
        assert_eq!(ipfix_sampling(Some(0)), None);
        assert_eq!(ipfix_sampling(None), Some(None));
        assert_eq!(ipfix_sampling(Some(1)), Some(Some(1)));
    }

    #[test]
    fn only_another_virtual_observation_id_needs_a_new_row() {
        let key = |key| MapKey {
            column: "other_config",
            key,
        };
        let changed = [key("enable-input-sampling"), key(VIRTUAL_OBS_ID)];
        assert!(needs_new_row(Protocol::Ipfix, &changed));
        assert!(!needs_new_row(Protocol::Ipfix, &changed[..1]));
    }

    #[test]
    fn columns_are_those_of_the_schema() {
        assert!(!dialect(None).has_column("IPFIX", "template_interval"));
        let newer = Dialect::new(schema(&["template_interval"]), None);
        assert!(newer.has_column("IPFIX", "template_interval"));
    }
}
