//! Bad entries: refused at admission where the schema can say so, else skipped
//! and named while the others count.

use anyhow::{Context, Result, bail, ensure};
use weir_lab::harness::Case;

use crate::stage::Stage;

const NETWORK: &[&str] = &["network.operator", "cluster"];

pub const CASES: &[Case<Stage>] = &[
    Case::new(
        "what OVS cannot use is refused at admission",
        bad_entries_are_refused,
    ),
    Case::new(
        "a profile that would start a storm or that OVS would cut off is refused at admission",
        bad_profiles_are_refused,
    ),
    Case::new(
        "the longer forms of a collector are admitted",
        good_entries_are_admitted,
    ),
    Case::new(
        "an entry that only the controller can judge is skipped and named",
        unknown_service_is_named,
    ),
    Case::new("unknown fields of the Network are preserved", unknown_fields_stay),
];

fn bad_entries_are_refused(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    let eleven: Vec<String> = (1..=11).map(|i| format!("10.0.0.{i}:2055")).collect();
    let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
    let cases: [(&[&str], &str); 10] = [
        (&["10.0.0.09:2055"], "without leading zeros"),
        (&["10.0.0.9:0"], "from 1 to 65535"),
        (&["10.0.0.9:65536"], "from 1 to 65535"),
        (&["0.0.0.0:2055"], "unspecified"),
        (&["collector.example.com:2055"], "NAME.NAMESPACE.svc:PORT"),
        (&["[::]:2055"], "unspecified"),
        (&["10.0.0.9"], "IPV4:PORT"),
        (&["192.168.1.99:2056", "nonsense"], "collectors[1]"),
        (&[], "at least 1"),
        (&eleven, "at most 10"),
    ];
    for (entries, words) in cases {
        match stage.export("netFlow", entries) {
            Ok(_) => bail!("{entries:?} was admitted"),
            Err(refusal) => ensure!(format!("{refusal:#}").contains(words), "{entries:?}: {refusal:#}"),
        }
    }
    stage.wait_clean()
}

fn bad_profiles_are_refused(stage: &mut Stage) -> Result<()> {
    let apply = |spec: &str| {
        stage.kube.apply(&format!(
            "{{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {{name: bad}}, spec: {spec}}}"
        ))
    };
    for (spec, words) in [
        ("{ipfix: {sampling: 99, cacheMaxFlows: 0}}", "feed itself"),
        ("{ipfix: {sampling: 1, cacheActiveTimeout: 0}}", "feed itself"),
        ("{ipfix: {sampling: 1, cacheMaxFlows: 1}}", "feed itself"),
        ("{sFlow: {sampling: 1, header: 1299}}", "feed itself"),
        ("{sFlow: {header: 1300}}", "1299"),
        ("{netFlow: {activeTimeout: 86401}}", "86400"),
    ] {
        match apply(spec) {
            Ok(_) => bail!("{spec} was admitted"),
            Err(refusal) => ensure!(format!("{refusal:#}").contains(words), "{spec}: {refusal:#}"),
        }
    }
    for spec in [
        "{ipfix: {sampling: 100, cacheMaxFlows: 0}}",
        "{ipfix: {cacheMaxFlows: 0}}",
        "{ipfix: {sampling: 1}}",
        "{ipfix: {sampling: 1, cacheMaxFlows: 100}}",
        "{sFlow: {sampling: 1}}",
    ] {
        apply(spec)?;
    }
    stage.kube.kubectl(&["delete", "exportprofile", "bad"]).map(drop)
}

fn good_entries_are_admitted(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    stage.export(
        "netFlow",
        &[
            "[fd00:0172:30::1]:2055",
            ":2055",
            "172.30.0.1:2055",
            "172.30.0.1:2055",
        ],
    )?;
    for node in stage.lab.nodes() {
        let own = format!("{}:2055", node.addresses().internal());
        crate::stage::wait_targets(
            node,
            "netflow",
            &["[fd00:172:30::1]:2055", &own, "172.30.0.1:2055"],
        )?;
    }
    Ok(())
}

fn unknown_service_is_named(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    stage.export("netFlow", &["nobody.nowhere.svc:2055", "172.30.0.1:2055"])?;
    stage.wait_targets("netflow", &["172.30.0.1:2055"])?;
    stage.wait_condition(
        NETWORK,
        "FlowExportDegraded",
        "True",
        &[
            "spec.exportNetworkFlows.netFlow.collectors[0]",
            "nobody.nowhere.svc:2055",
        ],
    )?;
    stage.export("netFlow", &["172.30.0.1:2055"])?;
    stage.wait_condition(NETWORK, "FlowExportDegraded", "False", &[])?;
    Ok(())
}

fn unknown_fields_stay(stage: &mut Stage) -> Result<()> {
    stage.patch(r#"{"spec":{"managementState":"Managed","defaultNetwork":{"type":"OVNKubernetes"}}}"#)?;
    stage.export("netFlow", &["172.30.0.1:2055"])?;
    stage.wait_targets("netflow", &["172.30.0.1:2055"])?;
    let network = stage.kube.object(NETWORK)?;
    let kind = network["spec"]["defaultNetwork"]["type"]
        .as_str()
        .context("the field is still there")?;
    ensure!(kind == "OVNKubernetes", "{network}");
    stage.clear()
}
