use std::fs;

use weir_flowmetrics::Exposition;

use super::*;

fn counter(name: &str, more: &str) -> String {
    format!(
        "apiVersion: flows.netobserv.io/v1alpha1\nkind: FlowMetric\nmetadata: {{name: {name}}}\nspec: {{type: Counter{more}}}\n---\n"
    )
}

/// What is counted, by name in Prometheus.
fn counted(metrics: &FlowMetrics) -> Vec<String> {
    let merged = metrics.0.merged();
    let stats = merged.registry.stats();
    stats.map(|stats| stats.prometheus_name.to_owned()).collect()
}

/// A look that finds changes settled: the second of two.
fn settle(files: &mut DefinitionFiles, metrics: &FlowMetrics) {
    files.look(metrics, Look::Settled);
    files.look(metrics, Look::Settled);
}

#[test]
fn files_of_a_folder_come_change_and_go_with_their_metrics() {
    let (folder, metrics) = (tempfile::tempdir().unwrap(), FlowMetrics::new(1));
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a.yaml"), counter("a1", "") + &counter("a2", "")).unwrap();
    fs::write(path("readme.txt"), counter("no", "")).unwrap();
    fs::write(path(".hidden.yaml"), counter("no", "")).unwrap();
    let mut files = DefinitionFiles::open(folder.path().to_owned(), &metrics);
    assert_eq!(counted(&metrics), ["netobserv_a1", "netobserv_a2"]);
    fs::write(path("a.yaml"), counter("a2", "")).unwrap();
    fs::write(
        path("b.json"),
        r#"{"apiVersion": "flows.netobserv.io/v1alpha1", "kind": "FlowMetric",
        "metadata": {"name": "b"}, "spec": {"type": "Gauge", "valueField": "Bytes"}}"#,
    )
    .unwrap();
    files.look(&metrics, Look::Settled);
    assert_eq!(
        counted(&metrics).len(),
        2,
        "a file that was just written is not read yet"
    );
    files.look(&metrics, Look::Settled);
    assert_eq!(counted(&metrics), ["netobserv_a2", "netobserv_b"]);
    fs::remove_file(path("a.yaml")).unwrap();
    settle(&mut files, &metrics);
    assert_eq!(counted(&metrics), ["netobserv_b"]);
    assert_eq!(metrics.expose(Exposition::OpenMetrics), "# EOF\n");
}

#[test]
fn what_cannot_be_read_leaves_what_was_good_before() {
    let (folder, metrics) = (tempfile::tempdir().unwrap(), FlowMetrics::new(1));
    let path = folder.path().join("m.yaml");
    fs::write(&path, counter("one", "") + &counter("two", "")).unwrap();
    let mut files = DefinitionFiles::open(path.clone(), &metrics);
    let both = ["netobserv_one", "netobserv_two"];
    assert_eq!(counted(&metrics), both);
    // One of the documents says nothing that can be read: whose it is nobody knows.
    fs::write(&path, counter("one", "") + "kind: FlowMetric\n").unwrap();
    settle(&mut files, &metrics);
    assert_eq!(counted(&metrics), both);
    fs::write(&path, "{").unwrap();
    settle(&mut files, &metrics);
    assert_eq!(counted(&metrics), both);
    // Bad by a field: the object is known, and so is its refusal.
    fs::write(&path, counter("one", ", labels: [nobody]")).unwrap();
    settle(&mut files, &metrics);
    assert_eq!(counted(&metrics), ["netobserv_one"]);
    assert_eq!(metrics.figures().bad, 1);
    fs::remove_file(&path).unwrap();
    settle(&mut files, &metrics);
    assert_eq!(counted(&metrics), ["netobserv_one"]);
    fs::write(&path, counter("three", "")).unwrap();
    settle(&mut files, &metrics);
    assert_eq!(counted(&metrics), ["netobserv_three"]);
}

#[test]
fn an_object_that_stands_twice_in_a_file_is_told_and_counted_once() {
    let contents = contents(&(counter("m", "") + &counter("m", ", labels: [ns]")));
    assert_eq!(contents.metrics.len(), 1);
    assert_eq!(
        contents.problems[0].to_string(),
        "metadata.name: m is there twice; give one of them another name"
    );
}
