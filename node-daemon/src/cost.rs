//! What the export costs this node, for `status.cost`: datagrams that leave, sends that
//! fail, packets that the switch lost, its processor time. From OVS's own counters, where it
//! has them: IPFIX counts what it sends, NetFlow and sFlow count nothing.
//!
//! ```text
//! run folder (I/O) -> sample -> rate (between two samples) -> model (rounded, steady) -> status
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovsdb::{Replica, View};
use tokio::sync::watch;
use weir_api::export::ExportCost;
use weir_api::{OWNER_KEY, Protocol};

use crate::desired::Desired;
use crate::switch_state::SwitchState;
use crate::tables::{BRIDGE, EXTERNAL_IDS, ROOT, bridge_column, table};

mod history;
mod model;
mod rate;
mod sample;

pub use history::CostHistory;
pub use model::CostModel;
pub use rate::Rates;
pub use run_folder::IpfixCounters;
pub use sample::{ProcessorTime, Sample};

/// How often OVS is asked.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Whether the counters were looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Look {
    /// Nothing of ours is exported, so nothing of it is ours.
    #[default]
    Idle,
    /// OVS's sockets are not on this host: the database is reached over tcp: or ssl:.
    Remote,
    /// They were.
    Taken,
}

/// One look at the counters, and what it comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measurement {
    /// Whether there was one.
    pub look: Look,
    /// For the status; nothing while nothing of ours is exported.
    pub cost: Option<ExportCost>,
    /// Since the look before, for the governor.
    pub rates: Rates,
}

/// The key of `Open_vSwitch.statistics` of the switch's process, which is there with
/// `other_config:enable-statistics`: virtual kB, resident kB, processor ms, crashes, ms since
/// the start and more (vswitch.xml, `process_NAME`).
pub const SWITCH_STATISTICS: &str = "process_ovs-vswitchd";

/// What there is to know beside the database.
#[derive(Debug)]
pub struct CostInputs {
    /// Whether something is throttled: then it is looked even when no row is left, since
    /// otherwise nobody would ever find that there is rest.
    pub throttled: watch::Receiver<bool>,
    /// What is asked for, with the figures that were reported before the daemon began.
    pub desired: watch::Receiver<Option<Desired>>,
}

/// Asks again and again, and tells what it comes to; nothing while nothing of ours is
/// exported, or where OVS's sockets are not on this host. Ends with the database's client.
pub async fn run(
    switch: SwitchState,
    view: watch::Receiver<View>,
    inputs: CostInputs,
    interval: Duration,
    told: watch::Sender<Measurement>,
) {
    if !switch.is_told() {
        told.send_replace(Measurement {
            look: Look::Remote,
            ..Measurement::default()
        });
        return;
    }
    let mut history = None;
    while view.has_changed().is_ok() {
        // Nobody knows yet what is exported.
        let asked = inputs.desired.borrow().as_ref().map(|desired| {
            let asks = desired.spec.exports_anything();
            (desired.reported_cost, desired.generation, asks)
        });
        let (Some((reported, generation, asks)), false) = (asked, view.borrow().syncs == 0) else {
            tokio::time::sleep(interval).await;
            continue;
        };
        let history = history.get_or_insert_with(|| CostHistory::beginning_with(reported));
        let replica = Arc::clone(&view.borrow().replica);
        let bridges = exporting_bridges(&replica);
        let look = match bridges.is_empty() && !*inputs.throttled.borrow() {
            true => Look::Idle,
            false => Look::Taken,
        };
        match look {
            Look::Taken => {
                let sample = take(&switch, &bridges, &replica).await;
                history.exports(generation, sample);
            }
            Look::Idle | Look::Remote => history.rests(generation, asks, at_rest(&replica)),
        }
        // Even the same again: the governor counts looks.
        told.send_replace(Measurement {
            look,
            cost: history.cost(),
            rates: history.latest(),
        });
        tokio::time::sleep(interval).await;
    }
}

/// Bridges with a row of ours, and whether that is one of IPFIX.
fn exporting_bridges(replica: &Replica) -> Vec<(String, bool)> {
    let ours = |bridge: &ovsdb::RowData, protocol| {
        let row = bridge.uuids(bridge_column(protocol)).next();
        let row = row.and_then(|uuid| replica.row(table(protocol), uuid));
        row.is_some_and(|row| row.map_get(EXTERNAL_IDS, OWNER_KEY).is_some())
    };
    let bridges = replica.rows(BRIDGE).filter_map(|(_, bridge)| {
        let any = Protocol::ALL.into_iter().any(|protocol| ours(bridge, protocol));
        let name = bridge.str("name").filter(|_| any)?;
        Some((name.to_owned(), ours(bridge, Protocol::Ipfix)))
    });
    bridges.collect()
}

async fn take(switch: &SwitchState, bridges: &[(String, bool)], replica: &Replica) -> Sample {
    let mut ipfix = BTreeMap::new();
    for (bridge, _) in bridges.iter().filter(|(_, has_ipfix)| *has_ipfix) {
        let counters = switch.ipfix_counters(bridge).await;
        if let Err(error) = &counters {
            tracing::debug!(%bridge, %error, "OVS does not tell what IPFIX sends");
        }
        ipfix.insert(bridge.clone(), counters.ok());
    }
    let lost = switch.lost_packets().await;
    if let Err(error) = &lost {
        tracing::debug!(%error, "ovs-vswitchd does not tell what it lost");
    }
    Sample {
        at: Instant::now(),
        ipfix,
        lost: lost.ok(),
        processor: processor_time(replica),
    }
}

/// Nobody is asked for it: what the switch loses then has nothing to do with us.
fn at_rest(replica: &Replica) -> Sample {
    Sample {
        at: Instant::now(),
        ipfix: BTreeMap::new(),
        lost: None,
        processor: processor_time(replica),
    }
}

fn processor_time(replica: &Replica) -> Option<ProcessorTime> {
    let (_, root) = replica.rows(ROOT).next()?;
    let numbers = root.map_get("statistics", SWITCH_STATISTICS)?;
    let number = |n: usize| numbers.split(',').nth(n)?.trim().parse().ok();
    Some(ProcessorTime {
        used_ms: number(2)?,
        uptime_ms: number(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Model, row};

    #[test]
    fn the_processor_time_is_the_third_number_and_the_time_it_ran_the_sixth() {
        let mut root = row([("next_cfg", 1_i64)]);
        let numbers = "467472,17916,310,0,8316,8316,0";
        root.insert(
            "statistics".into(),
            ovsdb::Datum::string_map([(SWITCH_STATISTICS, numbers)]),
        );
        let replica = Replica::from_rows([(ROOT, ovsdb::Uuid::from_u128(1), root)]);
        let told = ProcessorTime {
            used_ms: 310,
            uptime_ms: 8_316,
        };
        assert_eq!(processor_time(&replica), Some(told));
        assert_eq!(processor_time(&Model::with_bridges(&[]).replica()), None);
    }

    #[test]
    fn only_bridges_that_export_for_us_cost_us_something() {
        let mut model = Model::with_bridges(&["br-int", "br-ex", "br-idle"]);
        for (bridge, protocol) in [("br-int", Protocol::Ipfix), ("br-ex", Protocol::NetFlow)] {
            let uuid = model.add_foreign(bridge, protocol, "192.0.2.9:1");
            let ours = ovsdb::Datum::string_map([(OWNER_KEY, "node-a")]);
            model.set(table(protocol), uuid, EXTERNAL_IDS, ours);
        }
        model.add_foreign("br-idle", Protocol::Ipfix, "192.0.2.9:1");
        let mut found = exporting_bridges(&model.replica());
        found.sort();
        assert_eq!(found, [("br-ex".to_owned(), false), ("br-int".to_owned(), true)]);
    }
}
