//! `weir install`, `weir doctor` and `weir uninstall`, on a real API server.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use weir_lab::{harness::Case, product, program, wait_until};

use super::platforms::{OVERLAYS, define_foreign, objects_of, parse, with_components};
use crate::stage::{DEADLINE, NAMESPACE, NODE_NAMESPACE, Stage, manifests};

/// These leave nothing of the stage for others.
pub const LAST: &[Case<Stage>] = &[Case::new(
    "weir uninstall deletes nothing while a node has rows, then all but what is the user's",
    uninstall_waits_for_rows,
)];

/// `weir` with the administrator's kubeconfig.
fn weir(stage: &Stage, arguments: &[&str]) -> Result<(i32, String)> {
    weir_as(&stage.kube.kubeconfig(), arguments)
}

fn weir_as(kubeconfig: &Path, arguments: &[&str]) -> Result<(i32, String)> {
    let mut command = Command::new(product::path("weir")?);
    command.args(arguments).env("HOME", "/nonexistent");
    let output = command.env("KUBECONFIG", kubeconfig).output()?;
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
    for (overlay, gate) in OVERLAYS
        .into_iter()
        .flat_map(|overlay| [(overlay, false), (overlay, true)])
    {
        let gate_option = format!("--gate={gate}");
        let arguments = ["install", "--platform", overlay, "--print", &gate_option];
        let (code, text) = weir(stage, &arguments)?;
        ensure!(code == 0, "{text}");
        let mut read = stage.kube.command();
        read.args(["create", "--dry-run=client", "-o", "json", "-f", "-"]);
        let printed = by_name(parse(&program::read_with_input(&mut read, &text)?)?);
        let expected = match gate {
            true => with_components(stage, overlay, &["gate"])?,
            false => manifests().join("overlays").join(overlay),
        };
        let expected = by_name(objects_of(stage, &expected)?);
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
    // What others have set otherwise is theirs until it is taken.
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
        code == 1
            && said.contains(&format!("namespace/{NODE_NAMESPACE} is left as it is"))
            && said.contains("pod-security.kubernetes.io/enforce")
            && said.contains("kubectl-label")
            && said.contains("--force"),
        "{said}"
    );
    let (code, said) = weir(stage, &["install", "--apply", "--force"])?;
    ensure!(
        code == 0 && said.contains(&format!("namespace/{NODE_NAMESPACE} configured")),
        "{said}"
    );
    Ok(())
}

/// The image of a workload's only container.
fn image(stage: &Stage, workload: &str, namespace: &str) -> Result<String> {
    let object = stage.kube.object(&[workload, "-n", namespace])?;
    let image = object["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
    image.map(str::to_owned).context("an image")
}

pub fn the_remedy_leaves_images_and_others_fields_alone(stage: &mut Stage) -> Result<()> {
    const REGISTRY: [&str; 4] = ["--registry", "registry.example/weir", "--tag", "1.2"];
    let (code, said) = weir(
        stage,
        &[&["install", "--apply", "--force"], &REGISTRY[..]].concat(),
    )?;
    ensure!(code == 0, "{said}");
    // By kubectl, as a person does: another number of controllers.
    let scale = [
        "scale",
        "-n",
        NAMESPACE,
        "deployment/weir-controller",
        "--replicas=3",
    ];
    stage.kube.kubectl(&scale)?;
    stage.kube.kubectl(&["delete", "clusterrole/weir-edit"])?;
    let (_, said) = weir(stage, &["doctor"])?;
    let mut lines = said.lines();
    lines
        .find(|line| line.contains("not installed: clusterrole/weir-edit"))
        .with_context(|| said.clone())?;
    let remedy = lines
        .next()
        .and_then(|line| line.trim().strip_prefix("do: weir "));
    let remedy: Vec<&str> = remedy.with_context(|| said.clone())?.split(' ').collect();
    let (_, done) = weir(stage, &remedy)?;
    ensure!(done.contains("clusterrole/weir-edit created"), "{done}");
    ensure!(
        done.contains("deployment/weir-controller is left as it is") && done.contains(".spec.replicas"),
        "{done}"
    );
    for (workload, namespace, expected) in [
        (
            "daemonset/weir-node",
            NODE_NAMESPACE,
            "registry.example/weir/weir-node:1.2",
        ),
        (
            "deployment/weir-collector",
            NAMESPACE,
            "registry.example/weir/weir-collector:1.2",
        ),
    ] {
        let found = image(stage, workload, namespace)?;
        ensure!(
            found == expected,
            "{workload} has {found} after `weir {}`",
            remedy.join(" ")
        );
    }
    let (code, said) = weir(
        stage,
        &["install", "--apply", "--force", "--registry", "other.example"],
    )?;
    ensure!(code == 0, "{said}");
    let found = image(stage, "daemonset/weir-node", NODE_NAMESPACE)?;
    ensure!(found == "other.example/weir-node:1.2", "{found}");
    Ok(())
}

/// The lab is installed by `kubectl apply`, whose mount no other takes away.
pub fn the_gate_comes_from_where_the_node_daemon_does(stage: &mut Stage) -> Result<()> {
    let install =
        |stage: &Stage, more: &[&str]| weir(stage, &[&["install", "--apply", "--force"], more].concat());
    let (code, said) = install(
        stage,
        &[
            "--gate=false",
            "--registry",
            "registry.example/weir",
            "--tag",
            "1.2",
        ],
    )?;
    ensure!(code == 0, "{said}");
    let (code, said) = install(stage, &["--gate"])?;
    ensure!(
        code == 1
            && said.contains(
                "daemonset/weir-node still has the mount /var/run/openvswitch in container weir-node"
            ),
        "{code} {said}"
    );
    let daemon = stage
        .kube
        .object(&["daemonset/weir-node", "-n", NODE_NAMESPACE])?;
    let gate = &daemon["spec"]["template"]["spec"]["initContainers"][0];
    ensure!(
        gate["image"] == "registry.example/weir/weir-ovsdb-gate:1.2",
        "{gate}"
    );
    ensure!(gate["restartPolicy"] == "Always", "{gate}");
    // As the remedy says.
    stage
        .kube
        .kubectl(&["delete", "daemonset/weir-node", "-n", NODE_NAMESPACE])?;
    let (code, said) = install(stage, &["--gate", "--tag", "1.2"])?;
    ensure!(code == 0 && !said.contains("still has"), "{code} {said}");
    let (code, said) = install(stage, &["--gate=false"])?;
    ensure!(code == 0 && !said.contains("still has"), "{code} {said}");
    Ok(())
}

const LEVEL_TOO_STRICT: &str = "pod-security.kubernetes.io/enforce=restricted";

pub fn doctor_judges_what_may_be_read(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    stage
        .kube
        .kubectl(&["create", "serviceaccount", "viewer", "-n", NAMESPACE])?;
    let account = format!("--serviceaccount={NAMESPACE}:viewer");
    let binding = [
        "create",
        "clusterrolebinding",
        "viewer",
        "--clusterrole=weir-view",
        &account,
    ];
    stage.kube.kubectl(&binding)?;
    let viewer = stage.kube.service_account_kubeconfig(NAMESPACE, "viewer")?;
    wait_until("the view to be judged", DEADLINE, || {
        let (code, said) = weir_as(&viewer, &["doctor"])?;
        ensure!(
            code == 0
                && said.contains("all 2 nodes report")
                && said.contains("you may not read namespace/weir-system")
                && said.contains("nothing is wrong with what could be read")
                && !said.contains("not installed"),
            "{said}"
        );
        Ok(true)
    })?;
    stage.kube.kubectl(&["delete", "clusterrolebinding/viewer"])?;
    Ok(())
}

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
    // What is not Weir's: a claim, a ConfigMap of the user's, what another source asks for.
    stage.kube.apply(
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: flows, namespace: weir-system}, spec: \
         {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
    )?;
    let labels = ["create", "configmap", "weir-subnet-labels", "-n", NAMESPACE];
    stage.kube.kubectl(&labels)?;
    stage.kube.apply(
        "{apiVersion: weir.dev/v1alpha1, kind: FlowExport, metadata: {name: cluster}, spec: \
         {exportNetworkFlows: {ipfix: {collectors: ['172.30.0.1:4739']}}}}",
    )?;
    let (code, said) = weir(stage, &["uninstall", "--dry-run"])?;
    ensure!(
        code == 0
            && said.contains("cluster: context lab, server https://172.30.0.1:6443")
            && said.contains("would be told to export nothing")
            && said.contains("weir-node would be deleted"),
        "{said}"
    );
    let (code, said) = weir(stage, &["uninstall"])?;
    ensure!(code == 2 && said.contains("nothing was done: --yes"), "{said}");
    stage.wait_targets("netflow", &["172.30.0.1:2056"])?;
    ends_early(stage)?;
    // Deleted first, the source leaves the nodes as they are.
    stage.kube.kubectl(&["delete", "network.operator", "cluster"])?;
    let (code, said) = weir(stage, &["uninstall", "--yes"])?;
    ensure!(
        code == 0 && said.contains("daemonset/weir-node deleted"),
        "{said}"
    );
    for words in [
        "network/cluster is gone",
        "network/cluster removed again",
        "flowexport/cluster left alone",
        "exportprofiles.weir.dev stays",
        "flowexports.weir.dev stays",
        "namespace/weir-system stays: persistentvolumeclaim/flows, configmap/weir-subnet-labels would",
        "namespace/weir-node deleted",
    ] {
        ensure!(said.contains(words), "no {words} in:\n{said}");
    }
    stage.wait_clean()?;
    ensure!(stage.kube.kubectl(&["get", "network.operator/cluster"]).is_err());
    for kept in [
        "crd/networks.operator.openshift.io",
        "exportprofile/mine",
        "persistentvolumeclaim/flows",
        "configmap/weir-subnet-labels",
    ] {
        stage.kube.kubectl(&["get", "-n", NAMESPACE, kept])?;
    }
    let other = stage.kube.object(&["flowexport/cluster"])?;
    ensure!(!other["spec"]["exportNetworkFlows"].is_null(), "{other}");
    purge(stage)
}

/// A node does not answer: nothing is deleted, and what was asked for can be asked for again.
fn ends_early(stage: &mut Stage) -> Result<()> {
    stage
        .daemons
        .remove("node-b")
        .context("it runs")?
        .terminate(DEADLINE)?;
    let (code, said) = weir(stage, &["uninstall", "--yes", "--timeout", "3"])?;
    ensure!(
        code == 1
            && said.contains("node-b: its daemon has not seen the change")
            && !said.contains("node-a: ")
            && !said.contains("ovs-flows-config"),
        "{said}"
    );
    stage
        .kube
        .kubectl(&["get", "-n", NODE_NAMESPACE, "daemonset/weir-node"])?;
    export_again(stage, &said)?;
    // The same where nobody reads what is done.
    let mut unread = Command::new(product::path("weir")?);
    unread
        .args(["uninstall", "--yes", "--timeout", "3"])
        .env("HOME", "/nonexistent")
        .env("KUBECONFIG", stage.kube.kubeconfig());
    let mut child = unread.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1), "{said}");
    export_again(stage, &said)?;
    stage.start_daemon("node-b")?;
    stage.wait_targets("netflow", &["172.30.0.1:2056"])
}

/// Does what the last line says.
fn export_again(stage: &Stage, said: &str) -> Result<()> {
    let restore = said.lines().last().unwrap_or_default();
    let kubectl = restore.strip_prefix("kubectl ").context(said.to_owned())?;
    let script = format!("\"$0\" {kubectl}");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .arg(stage.kube.command().get_program());
    program::read(shell.envs(stage.kube.environment()))?;
    Ok(())
}

fn purge(stage: &Stage) -> Result<()> {
    let (code, said) = weir(stage, &["uninstall", "--yes", "--purge"])?;
    ensure!(
        code == 0
            && said.contains("exportprofiles.weir.dev deleted")
            && said.contains("namespace/weir-system deleted"),
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
