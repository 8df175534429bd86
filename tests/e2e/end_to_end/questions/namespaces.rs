//! Who talks to a namespace, and whom a namespace talks to.

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_lab::{Pod, PodSpec, wait_for};

use super::asking::{Asker, Group, ensure_groups};
use super::sending::{FEW, send, sum};
use crate::{
    exactness::{
        hosts::{Host, hosts},
        setting::{IPFIX, begin, end},
    },
    stage::{DEADLINE, Stage},
};

const OTHERS: &str = r#"dst_ns == "shop" && ns != "shop""#;
const SOME: &str = r#"ns in ["office", "kube-system"]"#;
const RUNNERS: &str = r#"ns == "office" && pod_name.startsWith("runner-")"#;

pub fn who_talks_to_a_namespace_is_told(stage: &mut Stage) -> Result<()> {
    let pods = stage.lab.add_pods(vec![
        PodSpec::new("node-a", "office", "runner-1").workload("runner"),
        PodSpec::new("node-b", "office", "walker-1").workload("walker"),
    ])?;
    let outcome = ask(stage, &pods);
    pods.iter().try_for_each(|pod| stage.lab.remove_pod(pod))?;
    end(stage)?;
    outcome
}

fn ask(stage: &mut Stage, pods: &[Pod]) -> Result<()> {
    let [client, neighbour, web, _] = hosts(stage)?;
    let [runner, walker] =
        [("runner", &pods[0]), ("walker", &pods[1])].map(|(name, pod)| Host::of(name, pod));
    begin(stage, &[IPFIX], "br-int", 1)?;
    let asker = Asker::from_now(stage)?;
    let runner_to_web = send(&runner, &web, web.at(8080), 80_000)?;
    let walker_to_client = send(&walker, &client, client.at(8080), 60_000)?;
    // To the others' namespace, and within one: neither talks to this one.
    let client_to_runner = send(&client, &runner, runner.at(8080), 40_000)?;
    send(&client, &neighbour, neighbour.at(8080), 50_000)?;

    let runner_in_all = sum(&runner_to_web, &FEW);
    let questions: [(&str, &str, &[Group<'_>]); 4] = [
        (
            OTHERS,
            "ns,pod_name,dst_ns,dst_pod_name",
            &[
                (&["office", "runner-1", "shop", "web-1"], runner_to_web),
                (&["office", "runner-1", "shop", "client-1"], FEW),
                (
                    &["office", "walker-1", "shop", "client-1"],
                    walker_to_client.clone(),
                ),
            ],
        ),
        (
            SOME,
            "workload_name,workload_kind",
            &[
                (&["runner", "Deployment"], runner_in_all.clone()),
                (&["walker", "Deployment"], walker_to_client),
            ],
        ),
        (
            RUNNERS,
            "ns,pod_name",
            &[(&["office", "runner-1"], runner_in_all)],
        ),
        (
            r#"ns == "shop" && dst_pod_name.startsWith("runner-")"#,
            "pod_name,dst_pod_name",
            &[
                (&["client-1", "runner-1"], client_to_runner),
                (&["web-1", "runner-1"], FEW),
            ],
        ),
    ];
    wait_for("who talks to whose namespace", DEADLINE, || {
        for (filter, fields, expected) in &questions {
            ensure_groups(&asker.sums(filter, fields)?, fields, expected)?;
        }
        same_in_records(&asker).map(Some)
    })
}

/// The records of a question are those that its sums are of.
fn same_in_records(asker: &Asker) -> Result<()> {
    let records = asker.records(RUNNERS, "time,ns,pod_name,dst_ns,dst_pod_name,port,bytes")?;
    let fits = |record: &Value| record["pod_name"] == "runner-1" && record["ns"] == "office";
    ensure!(records.iter().all(fits), "{records:?}");
    let bytes: u64 = records.iter().filter_map(|record| record["bytes"].as_u64()).sum();
    let [sums] = &asker.sums(RUNNERS, "ns")?[..] else {
        anyhow::bail!("runners of one namespace")
    };
    ensure!(
        sums["bytes"] == bytes && sums["flows"] == records.len(),
        "{sums}, but records of {bytes} bytes: {records:?}"
    );
    Ok(())
}
