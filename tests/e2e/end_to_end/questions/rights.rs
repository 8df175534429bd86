//! What crosses zones, asked by people with different rights.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{traffic::transfer, wait_for};

use super::asking::{SERVER, account, answer, ask, encode, weir};
use crate::{
    exactness::setting::{IPFIX, begin, end},
    records,
    stage::{DEADLINE, NAMESPACE, Stage},
};

const BYTES: u64 = 200_000;

/// The question of Cast AI's pages.
const CROSS_ZONE: &str = r#"zone != "" && dst_zone != "" && zone != dst_zone"#;

/// Makes traffic between two zones and waits until the collector shows it.
fn cross_zones(stage: &mut Stage, root: &str) -> Result<()> {
    let (client, web) = records::pods(stage)?;
    for (node, zone) in [("node-a", "zone-1"), ("node-b", "zone-2")] {
        let label = format!("topology.kubernetes.io/zone={zone}");
        stage
            .kube
            .kubectl(&["label", "node", node, &label, "--overwrite"])?;
    }
    begin(stage, &[IPFIX], "br-int", 1)?;
    wait_for("flows that cross zones", DEADLINE, || {
        transfer(&client, &web, 8080, BYTES)?;
        let sums = answer(&["query", CROSS_ZONE, "--server", SERVER, "-o", "json"], root)?;
        Ok((sums["totals"]["bytes"].as_u64() >= Some(BYTES)).then_some(()))
    })
}

pub fn cross_zone_traffic_is_told_by_right(stage: &mut Stage) -> Result<()> {
    let root = account(stage, "sees-all", Some("*"))?;
    cross_zones(stage, &root)?;
    let shop = account(stage, "sees-shop", Some("shop"))?;
    let other = account(stage, "sees-other", Some(NAMESPACE))?;
    let none = account(stage, "sees-none", None)?;

    let question = ["flows", CROSS_ZONE, "--server", SERVER, "-o", "json"];
    let grouped = ["--group-by", "ns,workload_name,zone,dst_workload_name,dst_zone"];
    for token in [&root, &shop] {
        let sums = answer(&[&question[..], &grouped[..]].concat(), token)?;
        let rows = sums["rows"].as_array().context("rows")?;
        let there = rows
            .iter()
            .find(|row| row["workload_name"] == "client")
            .context("the client's row")?;
        let expected = [
            ("ns", "shop"),
            ("zone", "zone-1"),
            ("dst_workload_name", "web"),
            ("dst_zone", "zone-2"),
        ];
        for (field, value) in expected {
            ensure!(there[field] == value, "{field} in {there}");
        }
        ensure!(there["bytes"].as_u64() >= Some(BYTES), "{there}");
    }
    // The same by the API itself.
    let query = format!("/api/v1/query?since=1h&filter={}", encode(CROSS_ZONE));
    let told = |token: &str| -> Result<(u16, Value)> { ask(&query, token) };
    let (status, sums) = told(&shop)?;
    ensure!(
        status == 200 && sums["totals"]["bytes"].as_u64() >= Some(BYTES),
        "{status} {sums}"
    );
    // Who may get pods of another namespace sees none of it; who may get none, nothing.
    let (status, problem) = told(&other)?;
    ensure!(
        status == 403 || problem["totals"]["flows"] == 0,
        "{status} {problem}"
    );
    ensure!(told(&none)?.0 == 403 && told("forged")?.0 == 401 && told("")?.0 == 401);
    let refused = weir(&question, &none)?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        refused.status.code() == Some(2) && said.contains("may get pods"),
        "{said}"
    );
    let values = answer(&["values", "dst_zone", "--server", SERVER, "-o", "json"], &shop)?;
    ensure!(values.to_string().contains("zone-2"), "{values}");
    end(stage)
}
