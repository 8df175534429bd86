use super::*;
use crate::fixture::{all_listed, object};
use kube::{Client, Config};
use serde_json::json;

/// A loop whose API server is never asked.
fn reconciler() -> Reconciler {
    let client = Client::try_from(Config::new("http://127.0.0.1:9".parse().unwrap())).unwrap();
    let settings = SourceSettings::default();
    let writer = ApiWriter::new(&client, settings.source, "weir-system", Duration::from_secs(1));
    let missing = watch::channel(Vec::new()).0;
    Reconciler::new(
        writer,
        Metrics::default(),
        missing,
        settings,
        Duration::from_secs(300),
    )
}

fn list_all(reconciler: &mut Reconciler) {
    for event in all_listed() {
        reconciler.apply(event);
    }
}

/// The status of a node's object comes in, which is to be reported.
fn see_status(reconciler: &mut Reconciler, generation: i64) {
    let export = object(json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport",
        "metadata": {"name": "a", "uid": "u"}, "spec": {},
        "status": {"observedGeneration": generation},
    }));
    reconciler.apply(WatchEvent::Export(Event::Apply(export)));
}

#[tokio::test]
async fn a_standby_waits_for_nothing_but_events() {
    let mut standby = reconciler();
    list_all(&mut standby);
    see_status(&mut standby, 1);
    see_status(&mut standby, 2);
    standby.act();
    assert!(standby.report.is_some());
    assert_eq!(standby.wake(), None);
    standby.lead(true);
    standby.act();
    assert!(standby.wake().is_some());
    standby.lead(false);
    see_status(&mut standby, 3);
    standby.checks = [Some(Instant::now()), Some(Instant::now())];
    assert_eq!(standby.wake(), None);
}

#[tokio::test]
async fn a_leader_that_has_not_seen_all_waits_for_nothing_but_events() {
    let mut leader = reconciler();
    leader.lead(true);
    see_status(&mut leader, 1);
    see_status(&mut leader, 2);
    leader.act();
    assert!(leader.report.is_some() && !leader.cluster.missing().is_empty());
    assert_eq!(leader.wake(), None);
    list_all(&mut leader);
    leader.act();
    assert!(leader.wake().is_some());
}
