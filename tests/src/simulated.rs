//! Nodes without a switch, many in one process: `simulated-nodes`, which runs the code of
//! `weir-node` over databases in memory. Their Node objects are the caller's.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};

use crate::{Kubernetes, Lab, Process, product, wait_for};

/// Namespace and account of the node daemons.
const NAMESPACE: &str = "weir-node";
const ACCOUNT: &str = "weir-node";

/// The process, and where it is steered.
#[derive(Debug)]
pub struct SimulatedNodes {
    process: Process,
    folder: PathBuf,
    nodes: usize,
}

/// Whether the nodes have a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseMode {
    /// All have.
    Up,
    /// None has.
    Down,
    /// They come and go.
    Flap,
    /// All have, and no switch takes over what is written.
    Hang,
}

impl SimulatedNodes {
    /// Makes the pods of the daemons and starts the daemons.
    pub fn start(lab: &Lab, kubernetes: &Kubernetes, names: &[String]) -> Result<Self> {
        let folder = lab.directory().join("simulated");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        kubernetes.add_account_pods(NAMESPACE, ACCOUNT, names)?;
        let list = folder.join("nodes");
        fs::write(&list, names.join("\n"))?;
        let mut command = Command::new(product::path("simulated-nodes")?);
        command.arg("--nodes").arg(&list).arg("--folder").arg(&folder);
        command.arg("--kubeconfig").arg(kubernetes.kubeconfig());
        Ok(Self {
            process: Process::spawn("simulated-nodes", &folder, &mut command)?,
            folder,
            nodes: names.len(),
        })
    }

    /// Gives the databases or takes them away.
    pub fn set(&self, mode: DatabaseMode) -> Result<()> {
        let text = match mode {
            DatabaseMode::Up => "up",
            DatabaseMode::Down => "down",
            DatabaseMode::Flap => "flap",
            DatabaseMode::Hang => "hang",
        };
        // Read as a whole or as it was.
        let partial = self.folder.join("mode.partial");
        fs::write(&partial, text)?;
        Ok(fs::rename(partial, self.folder.join("mode"))?)
    }

    /// Waits until each node has a row with that target: how long after `since` it had it.
    pub fn wait_rows(
        &mut self,
        target: &str,
        since: SystemTime,
        deadline: Duration,
    ) -> Result<Vec<Duration>> {
        let what = format!("{} simulated nodes to export to {target}", self.nodes);
        wait_for(&what, deadline, || {
            self.process.check_running()?;
            let text = fs::read_to_string(self.folder.join("rows")).unwrap_or_default();
            let delays: Vec<Duration> = text
                .lines()
                .filter_map(|line| delay(line, target, since))
                .collect();
            ensure!(delays.len() >= self.nodes, "{} do", delays.len());
            Ok(Some(delays))
        })
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it.
    pub fn stop(self, deadline: Duration) -> Result<()> {
        let status = self.process.terminate(deadline)?;
        ensure!(status.success(), "simulated-nodes ended: {status}");
        Ok(())
    }
}

/// Of a line "NODE TARGET NANOSECONDS" with that target.
fn delay(line: &str, target: &str, since: SystemTime) -> Option<Duration> {
    let mut words = line.split(' ').skip(1);
    let at = words.next().filter(|seen| *seen == target).and(words.next())?;
    let at = Duration::from_nanos(at.parse().ok()?);
    Some(at.saturating_sub(since.duration_since(UNIX_EPOCH).ok()?))
}

/// What an account of ours has asked the API server, by its audit log; of a leader without
/// what keeps it in its office.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests that were answered, watches that ended among them.
    pub reads: u64,
    /// Requests that change something, refused ones among them.
    pub writes: u64,
}

impl RequestCounts {
    /// Until now, of `system:serviceaccount:NAMESPACE:NAME`.
    pub fn of(kubernetes: &Kubernetes, account: &str) -> Result<Self> {
        let user = format!("system:serviceaccount:{account}");
        let mut counts = Self::default();
        for line in kubernetes.audit_log()?.lines() {
            // What is being written now counts the next time.
            if !line.ends_with('}') || field(line, "username") != Some(user.as_str()) {
                continue;
            }
            if field(line, "stage") != Some("ResponseComplete") {
                continue;
            }
            // A leader renews its Lease as long as it leads.
            if field(line, "resource") == Some("leases") {
                continue;
            }
            match field(line, "verb").context("a verb")? {
                "get" | "list" | "watch" => counts.reads += 1,
                _ => counts.writes += 1,
            }
        }
        Ok(counts)
    }

    /// Those since then.
    pub fn since(self, before: Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
        }
    }
}

/// When requests of an account to write specs of nodes were answered, how long after `since`;
/// none of before. Within a day.
pub fn spec_writes(kubernetes: &Kubernetes, account: &str, since: SystemTime) -> Result<Vec<Duration>> {
    let user = format!("system:serviceaccount:{account}");
    let since = since.duration_since(UNIX_EPOCH)?;
    let mut times = Vec::new();
    for line in kubernetes.audit_log()?.lines() {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        let object = &event["objectRef"];
        let is_spec = object["resource"] == "nodeflowexports" && object["subresource"].is_null();
        if !is_spec || event["verb"] != "patch" || event["user"]["username"] != user.as_str() {
            continue;
        }
        let at = event["stageTimestamp"].as_str().and_then(time_of_day);
        times.extend(
            at.and_then(|at| at.checked_sub(Duration::new(since.as_secs() % DAY, since.subsec_nanos()))),
        );
    }
    Ok(times)
}

const DAY: u64 = 86_400;

/// The first text of that name in a line of the audit log. A thousand nodes fill it with tens of
/// megabytes, of which a few words count.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let begins = format!("\"{name}\":\"");
    let rest = &line[line.find(&begins)? + begins.len()..];
    rest.split_once('"').map(|(text, _)| text)
}

/// Of a time in UTC such as `2026-11-30T03:37:48.123456Z`, since midnight.
fn time_of_day(text: &str) -> Option<Duration> {
    let time = text.split_once('T')?.1.strip_suffix('Z')?;
    let mut parts = time.splitn(3, ':');
    let (hours, minutes) = (
        parts.next()?.parse::<u64>().ok()?,
        parts.next()?.parse::<u64>().ok()?,
    );
    let seconds = Duration::try_from_secs_f64(parts.next()?.parse().ok()?).ok()?;
    Some(Duration::from_secs(hours * 3600 + minutes * 60) + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_audit_log_tells_who_asked_for_what() {
        let line = r#"{"kind":"Event","stage":"ResponseComplete","requestURI":"/apis?x=1","verb":"patch",
            "user":{"username":"system:serviceaccount:a:b"},"objectRef":{"resource":"nodeflowexports"}}"#;
        let found = ["stage", "verb", "username", "resource"].map(|name| field(line, name));
        let expected = [
            "ResponseComplete",
            "patch",
            "system:serviceaccount:a:b",
            "nodeflowexports",
        ];
        assert_eq!(found, expected.map(Some));
        assert_eq!(field(line, "subresource"), None);
    }

    #[test]
    fn a_time_of_the_audit_log_is_read() {
        let at = time_of_day("2026-11-30T03:37:48.250000Z");
        assert_eq!(
            at,
            Some(Duration::from_millis((3 * 3600 + 37 * 60 + 48) * 1000 + 250))
        );
        assert_eq!(time_of_day("yesterday"), None);
    }

    #[test]
    fn a_line_tells_how_late_a_row_came() {
        let since = UNIX_EPOCH + Duration::from_secs(10);
        let target = "192.0.2.1:2055";
        let line = format!("node-0001 {target} 12000000000");
        assert_eq!(delay(&line, target, since), Some(Duration::from_secs(2)));
        assert_eq!(delay(&line, "192.0.2.1:2056", since), None);
        assert_eq!(delay("node-0001 192.0.2.1:2055", target, since), None);
    }
}
