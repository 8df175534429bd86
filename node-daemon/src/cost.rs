//! What the export costs this node, for `status.cost`: datagrams that leave, sends that
//! fail, packets that the switch lost, its processor time. From OVS's own counters, where it
//! has them: IPFIX counts what it sends, NetFlow and sFlow count nothing.
//!
//! ```text
//! read (I/O) -> sample -> rate (between two samples) -> model (rounded, steady) -> status
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovsdb::{Endpoint, Replica, View};
use tokio::sync::watch;
use weir_api::export::ExportCost;
use weir_api::{OWNER_KEY, Protocol};

use crate::tables::{BRIDGE, EXTERNAL_IDS, ROOT, bridge_column, table};

mod model;
mod openflow;
mod rate;
mod read;
mod sample;

pub use model::CostModel;
pub use openflow::IpfixCounters;
pub use rate::Rates;
pub use sample::Sample;

/// How often OVS is asked.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// One look at the counters, and what it comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measurement {
    /// For the status; nothing while nothing of ours is exported.
    pub cost: Option<ExportCost>,
    /// Since the look before, for the governor.
    pub rates: Rates,
}

/// The key of `Open_vSwitch.statistics` of the switch's process, which is there with
/// `other_config:enable-statistics`: virtual kB, resident kB, processor ms and more.
pub const SWITCH_STATISTICS: &str = "process_ovs-vswitchd";

/// Asks again and again, and tells what it comes to; nothing while nothing of ours is
/// exported, or where OVS's sockets are not on this host. Ends with the database's client.
pub async fn run(
    endpoint: Endpoint,
    view: watch::Receiver<View>,
    interval: Duration,
    told: watch::Sender<Measurement>,
) {
    let Some(folder) = folder_of(&endpoint) else {
        return;
    };
    let mut model = CostModel::default();
    while view.has_changed().is_ok() {
        let replica = Arc::clone(&view.borrow().replica);
        let bridges = exporting_bridges(&replica);
        if bridges.is_empty() {
            model = CostModel::default();
        } else {
            model.add(take(&folder, &bridges, &replica).await);
        }
        // Even the same again: the governor counts looks.
        told.send_replace(Measurement {
            cost: model.cost(),
            rates: model.latest(),
        });
        tokio::time::sleep(interval).await;
    }
}

fn folder_of(endpoint: &Endpoint) -> Option<PathBuf> {
    match endpoint {
        Endpoint::Unix(socket) => socket.parent().map(Path::to_owned),
        Endpoint::Tcp(..) | Endpoint::Ssl { .. } => None,
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

async fn take(folder: &Path, bridges: &[(String, bool)], replica: &Replica) -> Sample {
    let mut ipfix: Option<IpfixCounters> = None;
    for (bridge, _) in bridges.iter().filter(|(_, has_ipfix)| *has_ipfix) {
        match read::ipfix_counters(folder, bridge).await {
            Ok(counters) => *ipfix.get_or_insert_default() += counters,
            Err(error) => tracing::debug!(%bridge, %error, "OVS does not tell what IPFIX sends"),
        }
    }
    let lost = read::lost_packets(folder).await;
    if let Err(error) = &lost {
        tracing::debug!(%error, "ovs-vswitchd does not tell what it lost");
    }
    Sample {
        at: Instant::now(),
        datagrams: ipfix.map(|c| c.sent),
        send_errors: ipfix.map(|c| c.send_errors),
        lost: lost.ok(),
        cpu_ms: cpu_ms(replica),
    }
}

fn cpu_ms(replica: &Replica) -> Option<u64> {
    let (_, root) = replica.rows(ROOT).next()?;
    let numbers = root.map_get("statistics", SWITCH_STATISTICS)?;
    numbers.split(',').nth(2)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Model, row};

    #[test]
    fn the_processor_time_is_the_third_number() {
        let mut root = row([("next_cfg", 1_i64)]);
        let numbers = "467472,17916,310,0,8316,8316,0";
        root.insert(
            "statistics".into(),
            ovsdb::Datum::string_map([(SWITCH_STATISTICS, numbers)]),
        );
        let replica = Replica::from_rows([(ROOT, ovsdb::Uuid::from_u128(1), root)]);
        assert_eq!(cpu_ms(&replica), Some(310));
        assert_eq!(cpu_ms(&Model::with_bridges(&[]).replica()), None);
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
