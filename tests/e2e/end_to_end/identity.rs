//! Names are those of the time when the flow ran.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{
    Pod, PodSpec,
    harness::Case,
    traffic::{Transfer, transfer},
    wait_for, wait_until,
};

use crate::records::pods;
use crate::stage::{DEADLINE, Stage};

pub const CASES: &[Case<Stage>] = &[Case::new(
    "an address that another pod gets in the middle is credited to each for its time",
    a_reused_address_is_credited_by_time,
)];

/// Records come long after their flows: when the address has changed hands.
const LATE: &str = "{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {name: late}, spec: {\
    ipfix: {sampling: 1, cacheActiveTimeout: 15}}}";

/// Longer than what the collector tolerates of clocks, and than the second to
/// which Kubernetes rounds.
const APART: Duration = Duration::from_secs(3);

fn a_reused_address_is_credited_by_time(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    stage.kube.apply(LATE)?;
    let outcome = reuse_an_address(stage);
    stage.kube.kubectl(&["delete", "exportprofile", "late"])?;
    stage.clear()?;
    outcome
}

fn reuse_an_address(stage: &mut Stage) -> Result<()> {
    stage.export("ipfix", &["172.30.0.1:4739"])?;
    stage.wait_exporting()?;
    let (_, web) = pods(stage)?;

    let first = stage
        .lab
        .add_pod(PodSpec::new("node-a", "shop", "first").workload("one"))?;
    let of_first = transfer(&first, &web, 8080, 50_000)?;
    pass_time()?;
    stage.lab.remove_pod(&first)?;
    pass_time()?;
    let second = stage
        .lab
        .add_pod(PodSpec::new("node-a", "shop", "second").workload("two"))?;
    ensure!(first.ip() == second.ip(), "{} and {}", first.ip(), second.ip());
    pass_time()?;
    ensure!(record(stage, &of_first)?.is_none(), "the record came too early");
    let of_second = transfer(&second, &web, 8080, 50_000)?;

    credited(stage, &of_first, &first)?;
    credited(stage, &of_second, &second)?;
    stage.lab.remove_pod(&second)
}

/// Waits until what follows is told apart from what was.
pub fn pass_time() -> Result<()> {
    let later = SystemTime::now() + APART;
    wait_until("what follows to be told apart by time", DEADLINE, || {
        Ok(SystemTime::now() > later)
    })
}

fn credited(stage: &Stage, sent: &Transfer, pod: &Pod) -> Result<()> {
    let what = format!("the record of what {} sent", pod.spec.name);
    let record = wait_for(&what, DEADLINE, || record(stage, sent))?;
    let workload = pod.spec.workload.as_deref().context("it has a workload")?;
    let expected = [
        ("addr", pod.ip().to_string()),
        ("pod_name", pod.spec.name.clone()),
        ("workload_name", workload.to_owned()),
        ("workload_kind", "Deployment".to_owned()),
        ("node_name", "node-a".to_owned()),
        ("dst_pod_name", "web-1".to_owned()),
        ("dst_service_name", "web".to_owned()),
        ("dst_service_ns", "shop".to_owned()),
        ("server", "dst".to_owned()),
        ("server_confidence", "service".to_owned()),
    ];
    // The interface, too, when its node told of it before the flow began.
    let surely = ["address", "interface"].map(Value::from);
    ensure!(surely.contains(&record["identified_by"]), "guessed: {record}");
    for (field, value) in expected {
        ensure!(
            record[field] == value,
            "{field} is {}, not {value:?}, in {record}",
            record[field]
        );
    }
    Ok(())
}

/// What node-a saw of the client's half of a connection where it came in.
fn record(stage: &Stage, sent: &Transfer) -> Result<Option<Value>> {
    let address = sent.source.ip().to_string();
    let fits = |record: &Value| {
        record["format"] == "ipfix"
            && record["exporter_node"] == "node-a"
            && record["addr"] == address
            && record["port"] == sent.source.port()
            && record["direction"] != "egress"
    };
    Ok(stage.records()?.into_iter().find(fits))
}
