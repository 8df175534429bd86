//! What is exported and which way packets go through the switches; the records
//! that come of it.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{Process, flows, wait_for};

use crate::stage::{DEADLINE, Stage, metric};

/// Name in the resource, collector, name in a record.
pub type Format = (&'static str, &'static str, &'static str);
pub const NET_FLOW: Format = ("netFlow", "172.30.0.1:2056", "netflow5");
pub const IPFIX: Format = ("ipfix", "172.30.0.1:4739", "ipfix");
pub const S_FLOW: Format = ("sFlow", "172.30.0.1:6343", "sflow5");
pub const ALL: [Format; 3] = [NET_FLOW, IPFIX, S_FLOW];

/// The collector's output from here on, read and parsed once.
pub struct Log {
    offset: u64,
    pub records: Vec<Value>,
}

impl Log {
    /// What a collector prints from now on.
    pub fn from_now(collector: &Process) -> Result<Self> {
        Ok(Self {
            offset: std::fs::metadata(collector.stdout_path())?.len(),
            records: Vec::new(),
        })
    }

    pub fn read(&mut self, stage: &Stage) -> Result<()> {
        self.read_from(stage.collector.as_ref().context("the collector runs")?)
    }

    /// Takes in what the collector printed since.
    pub fn read_from(&mut self, collector: &Process) -> Result<()> {
        let mut file = File::open(collector.stdout_path())?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut new = String::new();
        file.read_to_string(&mut new)?;
        let Some(end) = new.rfind('\n') else { return Ok(()) };
        for line in new[..end].lines() {
            self.records
                .push(serde_json::from_str(line).with_context(|| line.to_owned())?);
        }
        self.offset += end as u64 + 1;
        Ok(())
    }
}

/// Sends the pods' packets through `ct()`, or through one pass.
pub fn recirculate(stage: &Stage, conntrack: bool) -> Result<()> {
    let places: Vec<_> = stage.lab.pods().iter().map(|pod| pod.place).collect();
    stage.lab.nodes().try_for_each(|node| {
        let rules = flows::integration(node.addresses(), &places, conntrack);
        node.switch().replace_flows("br-int", &rules)
    })
}

/// Exports these formats of these bridges, one packet in so many.
pub fn begin(stage: &Stage, formats: &[Format], bridges: &str, sampling: u64) -> Result<Log> {
    let collectors: Vec<_> = formats.iter().map(|format| vec![format.1.to_owned()]).collect();
    end(stage)?;
    let log = Log::from_now(stage.collector.as_ref().context("the collector runs")?)?;
    export(stage, formats, &collectors, bridges, sampling)?;
    Ok(log)
}

/// Exports these formats, each to these collectors, and waits until all nodes do.
pub fn export(
    stage: &Stage,
    formats: &[Format],
    collectors: &[Vec<String>],
    bridges: &str,
    sampling: u64,
) -> Result<()> {
    stage.kube.apply(&format!(
        "{{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {{name: exact}}, spec: {{\
         bridges: [{bridges}], netFlow: {{activeTimeout: 1}}, sFlow: {{sampling: {sampling}}}, \
         ipfix: {{sampling: {sampling}, cacheActiveTimeout: 1, interfaceNames: true}}}}}}"
    ))?;
    // NetFlow counts what a datapath flow carried before it was asked to, if that
    // was not yet taken over from the datapath.
    for node in stage.lab.nodes() {
        node.appctl(&["revalidator/purge"])?;
    }
    for ((name, ..), collectors) in formats.iter().zip(collectors) {
        let collectors: Vec<&str> = collectors.iter().map(String::as_str).collect();
        stage.export(name, &collectors)?;
    }
    wait_for("every node to report these formats", DEADLINE, || {
        for node in stage.lab.nodes() {
            let export = stage.kube.object(&["nodeflowexport", node.name()])?;
            ensure!(reports(&export, formats), "it is {export}");
        }
        Ok(Some(()))
    })?;
    stage.wait_exporting()
}

/// Whether these formats and no others are asked for, and reported of just that spec.
fn reports(export: &Value, formats: &[Format]) -> bool {
    let fits = |bridge: &Value| {
        let is_asked = |name: &str| formats.iter().any(|(asked, ..)| *asked == name);
        ALL.iter()
            .all(|(name, ..)| bridge[*name].is_null() != is_asked(name))
    };
    let in_all = |part: &str| {
        let bridges = export[part]["bridges"].as_array();
        bridges.is_some_and(|bridges| !bridges.is_empty() && bridges.iter().all(fits))
    };
    let current = export["status"]["observedGeneration"] == export["metadata"]["generation"];
    current && in_all("spec") && in_all("status")
}

/// Ends all export and waits until the collector is at rest.
pub fn end(stage: &Stage) -> Result<()> {
    stage.clear()?;
    stage
        .kube
        .kubectl(&["delete", "exportprofile", "exact", "--ignore-not-found"])?;
    stage
        .lab
        .nodes()
        .try_for_each(|node| node.appctl(&["version"]).map(drop))?;
    wait_at_rest(stage, "127.0.0.1:8080")
}

/// Waits until a collector has nothing more to print.
pub fn wait_at_rest(stage: &Stage, collector: &str) -> Result<()> {
    wait_for("the collector to be at rest", DEADLINE, || {
        let received = || {
            let text = stage.http(collector, "/metrics")?;
            let count = |name| metric(&text, name);
            let waiting = count("weir_collector_records_queued");
            Ok::<_, anyhow::Error>((count("weir_collector_datagrams_received_total"), waiting))
        };
        let (one, two) = (received()?, received()?);
        Ok((one == two && two.1 == 0).then_some(()))
    })
}
