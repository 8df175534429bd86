//! `weir install`, `weir doctor` and `weir uninstall`, on a real API server.

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use weir_lab::{harness::Case, product, program, wait_until};

use super::platforms::{OVERLAYS, define_foreign, objects, parse};
use crate::stage::{DEADLINE, NODE_NAMESPACE, Stage};

/// These leave nothing of the stage for others.
pub const LAST: &[Case<Stage>] = &[Case::new(
    "weir uninstall deletes nothing while a node has rows, then all but what is the user's",
    uninstall_waits_for_rows,
)];

/// `weir` with the administrator's kubeconfig.
fn weir(stage: &Stage, arguments: &[&str]) -> Result<(i32, String)> {
    let mut command = Command::new(product::path("weir")?);
    command.args(arguments).env("HOME", "/nonexistent");
    let output = command.env("KUBECONFIG", stage.kube.kubeconfig()).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((
        output.status.code().context("an exit code")?,
        String::from_utf8(text)?,
    ))
}

/// Objects by what they are called.
fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let name = |object: &Value| {
        let metadata = &object["metadata"];
        format!(
            "{} {}/{}",
            object["kind"], metadata["namespace"], metadata["name"]
        )
    };
    objects
        .into_iter()
        .map(|object| (name(&object), object))
        .collect()
}

pub fn install_prints_the_overlays(stage: &mut Stage) -> Result<()> {
    define_foreign(stage)?;
    for overlay in OVERLAYS {
        let (code, text) = weir(stage, &["install", "--platform", overlay, "--print"])?;
        ensure!(code == 0, "{text}");
        let mut read = stage.kube.command();
        read.args(["create", "--dry-run=client", "-o", "json", "-f", "-"]);
        let printed = by_name(parse(&program::read_with_input(&mut read, &text)?)?);
        let expected = by_name(objects(stage, overlay)?);
        for (name, object) in &expected {
            let other = printed
                .get(name)
                .with_context(|| format!("{overlay}: {name} is not printed"))?;
            ensure!(
                other == object,
                "{overlay}: {name} is\n{other}\ninstead of\n{object}"
            );
        }
        ensure!(printed.len() == expected.len(), "{overlay}: {:?}", printed.keys());
    }
    Ok(())
}

pub fn install_mends_what_is_missing(stage: &mut Stage) -> Result<()> {
    let role = "clusterrole/weir-view";
    let (code, said) = weir(stage, &["install", "--apply"])?;
    ensure!(code == 0 && said.contains("taken for kubernetes"), "{said}");
    stage.kube.kubectl(&["delete", role])?;
    let (code, said) = weir(stage, &["doctor"])?;
    ensure!(
        code == 1 && said.contains(&format!("not installed: {role}")) && said.contains("--apply"),
        "{said}"
    );
    let (code, said) = weir(stage, &["install", "--platform", "kubernetes", "--dry-run"])?;
    ensure!(
        code == 0 && said.contains(&format!("{role} would be created")),
        "{said}"
    );
    ensure!(
        stage.kube.kubectl(&["get", role]).is_err(),
        "a dry run changed something"
    );
    let (code, said) = weir(stage, &["install", "--apply"])?;
    ensure!(code == 0 && said.contains(&format!("{role} created")), "{said}");
    ensure!(said.contains("daemonset/weir-node unchanged"), "{said}");
    // Nothing is replaced by what is not this cluster's.
    stage.kube.kubectl(&[
        "label",
        "namespace",
        NODE_NAMESPACE,
        LEVEL_TOO_STRICT,
        "--overwrite",
    ])?;
    let (code, said) = weir(stage, &["doctor"])?;
    ensure!(code == 1 && !said.contains("not installed"), "{said}");
    ensure!(said.contains("its pods are refused"), "{said}");
    let (code, said) = weir(stage, &["install", "--apply"])?;
    ensure!(
        code == 0 && said.contains(&format!("namespace/{NODE_NAMESPACE} configured")),
        "{said}"
    );
    Ok(())
}

const LEVEL_TOO_STRICT: &str = "pod-security.kubernetes.io/enforce=restricted";

pub fn doctor_names_a_node_and_the_remedy(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    stage.export("ipfix", &["weir-collector.weir-system.svc:4739"])?;
    stage.wait_exporting()?;
    let (code, said) = weir(stage, &["doctor"])?;
    // No pod is ready behind the Service: the lab has none.
    ensure!(
        code == 1 && said.contains("the Service weir-system/weir-collector has no ready endpoint"),
        "{said}"
    );
    ensure!(said.contains("all 2 nodes report"), "{said}");
    stage
        .daemons
        .remove("node-b")
        .context("it runs")?
        .terminate(DEADLINE)?;
    stage.clear_without_waiting()?;
    wait_until("the doctor to name the node", DEADLINE, || {
        let (_, said) = weir(stage, &["doctor"])?;
        ensure!(said.contains("newest change: node-b"), "{said}");
        Ok(true)
    })?;
    stage.start_daemon("node-b")?;
    stage.wait_clean()?;
    let (_, said) = weir(
        stage,
        &[
            "doctor",
            "--host",
            "--socket",
            "/nonexistent/db.sock",
            "--to",
            "172.30.0.1:4739",
        ],
    )?;
    ensure!(said.contains("/nonexistent/db.sock: No such file"), "{said}");
    Ok(())
}

fn uninstall_waits_for_rows(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    stage
        .kube
        .apply("{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {name: mine}, spec: {}}")?;
    stage.export("netFlow", &["172.30.0.1:2056"])?;
    stage.wait_targets("netflow", &["172.30.0.1:2056"])?;
    let (code, said) = weir(stage, &["uninstall", "--dry-run"])?;
    ensure!(
        code == 0
            && said.contains("would be told to export nothing")
            && said.contains("weir-node would be deleted"),
        "{said}"
    );
    stage
        .daemons
        .remove("node-b")
        .context("it runs")?
        .terminate(DEADLINE)?;
    let (code, said) = weir(stage, &["uninstall", "--timeout", "3"])?;
    ensure!(
        code == 1
            && said.contains("node-b: its daemon has not seen the change")
            && !said.contains("node-a: "),
        "{said}"
    );
    stage
        .kube
        .kubectl(&["get", "-n", NODE_NAMESPACE, "daemonset/weir-node"])?;
    stage.start_daemon("node-b")?;
    let (code, said) = weir(stage, &["uninstall"])?;
    ensure!(
        code == 0 && said.contains("daemonset/weir-node deleted"),
        "{said}"
    );
    ensure!(said.contains("exportprofiles.weir.dev stays"), "{said}");
    stage.wait_clean()?;
    for kept in [
        "network.operator/cluster",
        "crd/networks.operator.openshift.io",
        "exportprofile/mine",
    ] {
        stage.kube.kubectl(&["get", kept])?;
    }
    let (code, said) = weir(stage, &["uninstall", "--purge"])?;
    ensure!(
        code == 0 && said.contains("exportprofiles.weir.dev deleted"),
        "{said}"
    );
    for gone in [
        "crd/exportprofiles.weir.dev",
        "validatingadmissionpolicy/weir-node-own-status",
        "apiservice/v1.flows.weir.dev",
        "clusterrole/weir-controller",
        "crd/nodeflowexports.weir.dev",
    ] {
        wait_until(&format!("{gone} to be gone"), DEADLINE, || {
            match stage.kube.kubectl(&["get", gone]) {
                Ok(_) => bail!("it is there"),
                Err(error) => Ok(format!("{error:#}").contains("NotFound")),
            }
        })?;
    }
    Ok(())
}
