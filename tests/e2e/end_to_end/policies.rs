//! From recorded traffic to a NetworkPolicy in the cluster, and back out.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use weir_lab::{harness::Case, product, traffic::transfer, wait_until};

use crate::questions::asking::{SERVER, account};
use crate::records::{EXACT, pods};
use crate::stage::{DEADLINE, Stage};

pub const CASES: &[Case<Stage>] = &[Case::new(
    "policies of what was seen break nothing of it, are taken by the cluster, and go again",
    from_traffic_to_a_policy_and_back,
)];

/// Nobody may call the server.
const CLOSED: &str = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
    metadata: {name: closed, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress]}}";

/// Only what is between the two: other cases have traffic of the same hour.
const BETWEEN: &str =
    r#"ns == "shop" && workload_name == "client" && dst_workload_name == "web" && dst_port == 8080"#;

fn from_traffic_to_a_policy_and_back(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    stage.kube.apply(EXACT)?;
    let outcome = with_every_packet(stage);
    stage.kube.kubectl(&["delete", "exportprofile", "exact"])?;
    outcome?;
    stage.clear()
}

fn with_every_packet(stage: &mut Stage) -> Result<()> {
    let (client, web) = pods(stage)?;
    let person = Person {
        stage,
        token: account(stage, "sees-all", Some("*"))?,
    };
    stage.export("ipfix", &["172.30.0.1:4739"])?;
    stage.wait_exporting()?;
    transfer(&client, &web, 8080, 20_000)?;
    wait_until("the call in the matrix", DEADLINE, || {
        let (_, matrix) = person.weir(&["matrix", "--ns", "shop", "--ports", "-o", "json"])?;
        Ok(matrix.contains("\"web\"") && matrix.contains("8080"))
    })?;

    let folder = stage.lab.directory().join("policies");
    fs::create_dir_all(&folder)?;
    let (code, made) = person.weir(&["policy", "generate", "--ns", "shop", "--filter", BETWEEN])?;
    ensure!(code == 0, "{made}");
    ensure!(
        made.contains("port: 8080") && made.contains("app: client"),
        "{made}"
    );
    let made = file(&folder, "made.yaml", &made)?;
    let closed = file(&folder, "closed.yaml", CLOSED)?;

    // Nothing would break; and what would is told before it does.
    let check = |file: &str| person.weir(&["policy", "check", "--filter", BETWEEN, "-f", file]);
    let (code, told) = check(&made)?;
    ensure!(code == 0 && told.contains("NEWLY DENIED  0 edges"), "{told}");
    let (code, told) = check(&closed)?;
    ensure!(
        code == 1 && told.contains("shop/deployment/client -> shop/deployment/web 8080/tcp"),
        "{told}"
    );

    let kubectl = |words: &[&str]| stage.kube.kubectl(words);
    kubectl(&["apply", "--dry-run=server", "-f", &made])?;
    kubectl(&["apply", "-f", &made])?;
    let explain = |port: &str| person.weir(&["policy", "explain", "shop/client-1", "shop/web-1", port]);
    let (code, told) = explain("8080")?;
    ensure!(code == 0 && told.contains("networkpolicy shop/weir-"), "{told}");
    let (code, told) = explain("9")?;
    ensure!(code == 1 && told.contains("isolated by"), "{told}");
    // Learnt again, it is what is there.
    let (_, again) = person.weir(&["policy", "generate", "--ns", "shop", "--filter", BETWEEN])?;
    let again = file(&folder, "again.yaml", &again)?;
    let changed = kubectl(&["apply", "-f", &again])?;
    ensure!(
        !changed.contains("configured") && !changed.contains("created"),
        "{changed}"
    );
    kubectl(&["delete", "-f", &made])?;
    let left = kubectl(&["get", "networkpolicies", "-n", "shop", "-o", "name"])?;
    ensure!(left.trim().is_empty(), "{left}");
    Ok(())
}

fn file(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path.to_str().context("a path of text")?.to_owned())
}

/// Who sees all flows and may read the cluster.
struct Person<'a> {
    stage: &'a Stage,
    token: String,
}

impl Person<'_> {
    /// Exit code, and what was printed; what was said where nothing was.
    fn weir(&self, words: &[&str]) -> Result<(i32, String)> {
        let mut command = Command::new(product::path("weir")?);
        command
            .args(words)
            .env("HOME", "/nonexistent")
            .env("KUBECONFIG", self.stage.kube.kubeconfig())
            .env("WEIR_SERVER", SERVER)
            .env("WEIR_TOKEN", &self.token);
        let output = command.output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (printed, said) = (text(output.stdout), text(output.stderr));
        let code = output.status.code().context("an exit code")?;
        ensure!(code != 2, "{words:?}: {said}");
        Ok((code, printed))
    }
}
