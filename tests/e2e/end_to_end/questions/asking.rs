//! How a question is asked: by someone with certain rights, with the CLI and over
//! the API, which have to answer the same.

use std::{
    ops::RangeInclusive,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{product, program};

use crate::stage::{NAMESPACE, Stage};

pub const SERVER: &str = "http://127.0.0.1:8080";

/// Whom tokens for the collector are for.
const AUDIENCE: &str = "weir-collector";

/// Who sees all flows, and asks about those of some time.
pub struct Asker {
    token: String,
    since: String,
    until: Option<String>,
}

impl Asker {
    /// Asks about what arrives from now on.
    pub fn from_now(stage: &Stage) -> Result<Self> {
        Ok(Self {
            token: account(stage, "sees-all", Some("*"))?,
            since: now()?,
            until: None,
        })
    }

    /// The same, about what arrived until a time.
    pub fn until(&self, until: &str) -> Self {
        Self {
            token: self.token.clone(),
            since: self.since.clone(),
            until: Some(until.to_owned()),
        }
    }

    /// The same, about what arrives from a time on.
    pub fn since(&self, since: &str) -> Self {
        Self {
            token: self.token.clone(),
            since: since.to_owned(),
            until: self.until.clone(),
        }
    }

    /// The sums over the groups of flows that fit, as all commands and the API have
    /// them: rows, and nothing beside them.
    pub fn sums(&self, filter: &str, group_by: &str) -> Result<Vec<Value>> {
        let (status, sums) = ask(
            &self.page("query", filter, &[("group_by", group_by)]),
            &self.token,
        )?;
        ensure!(status == 200, "{filter}: {status} {sums}");
        for command in ["query", "top", "flows"] {
            let said = self.command(command, filter, &["--group-by", group_by, "-o", "json"])?;
            let said: Value = serde_json::from_str(&said).context(said)?;
            let [ours, theirs] = [&said, &sums].map(|answer| (&answer["rows"], &answer["totals"]));
            ensure!(
                ours == theirs,
                "{filter}: weir {command}: {said}, the API: {sums}"
            );
        }
        let rows = sums["rows"].as_array().context("rows")?;
        let bytes: u64 = rows.iter().filter_map(|row| row["bytes"].as_u64()).sum();
        ensure!(sums["totals"]["bytes"] == bytes, "{filter}: {sums}");
        Ok(rows.clone())
    }

    /// The records that fit, as command and API have them, the newest first.
    pub fn records(&self, filter: &str, columns: &str) -> Result<Vec<Value>> {
        let parameters = [("columns", columns), ("limit", "1000")];
        let (status, page) = ask(&self.page("flows", filter, &parameters), &self.token)?;
        ensure!(
            status == 200 && page["cursor"].is_null(),
            "{filter}: {status} {page}"
        );
        let said = self.command(
            "flows",
            filter,
            &["--columns", columns, "--limit", "1000", "-o", "json"],
        )?;
        let lines = said.lines().map(serde_json::from_str);
        let lines = lines.collect::<Result<Vec<Value>, _>>().context(said.clone())?;
        ensure!(
            page["rows"] == Value::from(lines.clone()),
            "{filter}: weir flows: {said}, the API: {page}"
        );
        Ok(lines)
    }

    fn page(&self, page: &str, filter: &str, parameters: &[(&str, &str)]) -> String {
        let (filter, since) = (encode(filter), encode(&self.since));
        let mut path = format!("/api/v1/{page}?filter={filter}&since={since}");
        let until = self.until.as_deref().map(|until| ("until", until));
        for (name, value) in parameters.iter().copied().chain(until) {
            path += &format!("&{name}={}", encode(value));
        }
        path
    }

    fn command(&self, command: &str, filter: &str, options: &[&str]) -> Result<String> {
        let mut arguments = vec![command, filter, "--server", SERVER, "--since", &self.since];
        if let Some(until) = &self.until {
            arguments.extend(["--until", until]);
        }
        arguments.extend(options);
        let output = weir(&arguments, &self.token)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {said}");
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The time, as a question has it.
pub fn now() -> Result<String> {
    let mut date = program::command("date")?;
    let text = program::read(date.args(["--utc", "+%Y-%m-%dT%H:%M:%S.%6NZ"]))?;
    Ok(text.trim().to_owned())
}

/// A group by the values of its fields, and how many bytes it may have.
pub type Group<'a> = (&'a [&'a str], RangeInclusive<u64>);

/// These groups are there, each once and with such bytes, and no others.
pub fn ensure_groups(rows: &[Value], fields: &str, expected: &[Group<'_>]) -> Result<()> {
    for (values, bytes) in expected {
        let fits = |row: &&Value| {
            fields
                .split(',')
                .zip(*values)
                .all(|(field, value)| row[field] == *value)
        };
        let found: Vec<&Value> = rows.iter().filter(fits).collect();
        let [row] = found[..] else {
            anyhow::bail!("{values:?} is there {} times: {rows:?}", found.len());
        };
        let told = row["bytes"].as_u64().context("bytes")?;
        ensure!(bytes.contains(&told), "{told} is not in {bytes:?}: {row}");
    }
    ensure!(rows.len() == expected.len(), "there are others: {rows:?}");
    Ok(())
}

/// An account, and what it may get the pods of: one namespace, all (`*`), or none; and a
/// token of it for the collector alone.
pub fn account(stage: &Stage, name: &str, namespace: Option<&str>) -> Result<String> {
    let kube = &stage.kube;
    let manifest = |kind: &str, scope: &str, rest: &str| {
        format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}, metadata: {{name: flows-{name}{scope}}}, {rest}}}"
        )
    };
    kube.apply(&format!(
        "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: {NAMESPACE}}}}}"
    ))?;
    if let Some(namespace) = namespace {
        let (prefix, scope) = match namespace {
            "*" => ("Cluster", String::new()),
            namespace => ("", format!(", namespace: {namespace}")),
        };
        let rules = r#"rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]"#;
        kube.apply(&manifest(&format!("{prefix}Role"), &scope, rules))?;
        let binding = format!(
            "roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {prefix}Role, name: flows-{name}}}, \
             subjects: [{{kind: ServiceAccount, name: {name}, namespace: {NAMESPACE}}}]"
        );
        kube.apply(&manifest(&format!("{prefix}RoleBinding"), &scope, &binding))?;
    }
    let token = kube.kubectl(&["create", "token", name, "-n", NAMESPACE, "--audience", AUDIENCE])?;
    Ok(token.trim().to_owned())
}

pub fn weir(arguments: &[&str], token: &str) -> Result<Output> {
    let mut command = Command::new(product::path("weir")?);
    command.args(arguments).args(["--token", token]);
    Ok(command
        .env("HOME", "/nonexistent")
        .env_remove("KUBECONFIG")
        .output()?)
}

pub fn answer(arguments: &[&str], token: &str) -> Result<Value> {
    let output = weir(arguments, token)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).with_context(|| format!("{arguments:?}: {said}"))
}

/// Status and body of a page of the API.
pub fn ask(path: &str, token: &str) -> Result<(u16, Value)> {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--max-time",
        "20",
        "--write-out",
        "\n%{http_code}",
    ]);
    if !token.is_empty() {
        curl.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    let output = curl.arg(format!("{SERVER}{path}")).output()?;
    let text = String::from_utf8(output.stdout)?;
    let (body, status) = text.rsplit_once('\n').context("a status")?;
    Ok((
        status.parse()?,
        serde_json::from_str(body).with_context(|| body.to_owned())?,
    ))
}

pub fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
