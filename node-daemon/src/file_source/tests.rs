use std::fs;

use super::*;

const GOOD: &str = "spec: {exportNetworkFlows: {netFlow: {collectors: ['192.0.2.9:2055', ':2056']}}}\n";
const OTHER: &str = "spec: {exportNetworkFlows: {netFlow: {collectors: ['192.0.2.10:2055']}}}\n";

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-node-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.0.join(name), self.0.join(format!("{name}.new")));
        fs::write(&new, text).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn config(network: PathBuf) -> FileConfig {
    FileConfig {
        node_name: "node-a".to_owned(),
        node_ip: Some("192.0.2.1".parse().unwrap()),
        network,
        profile: None,
        bridges: Vec::new(),
    }
}

fn targets(desired: &Desired) -> Vec<String> {
    desired.spec.bridges[0].net_flow.clone().unwrap().targets
}

#[test]
fn a_file_is_planned_for_this_node() {
    let folder = Folder::new("planned");
    let mut config = config(folder.write("n.yaml", GOOD));
    config.profile = Some(folder.write("p.yaml", "spec: {bridges: [br-x], netFlow: {activeTimeout: 5}}"));
    let desired = read(&config).unwrap();
    assert_eq!(targets(&desired), ["192.0.2.9:2055", "192.0.2.1:2056"]);
    assert_eq!(desired.spec.bridges[0].name, "br-x");
    assert_eq!(
        desired.spec.bridges[0].net_flow.as_ref().unwrap().active_timeout,
        Some(5)
    );
    assert_eq!(
        desired.spec.bridges[0].exporter_id,
        identity::from_names("node-a", "br-x")
    );
    config.bridges = vec!["br-y".to_owned(), "br-z".to_owned()];
    let names: Vec<_> = read(&config)
        .unwrap()
        .spec
        .bridges
        .into_iter()
        .map(|b| b.name)
        .collect();
    assert_eq!(names, ["br-y", "br-z"]);
}

#[test]
fn entries_that_cannot_be_used_are_named_and_the_others_count() {
    let folder = Folder::new("entries");
    let text = "spec: {exportNetworkFlows: {netFlow: {collectors: ['10.0.0.09:1', '192.0.2.9:2055']}}}";
    let desired = read(&config(folder.write("n.yaml", text))).unwrap();
    assert_eq!(targets(&desired), ["192.0.2.9:2055"]);
    let Some(Acceptance::SomeRefused(message)) = desired.acceptance else {
        panic!("some are refused");
    };
    assert!(
        message.contains("n.yaml") && message.contains("netFlow.collectors[0]"),
        "{message}"
    );
}

#[test]
fn at_the_start_the_file_must_be_there_and_good() {
    let folder = Folder::new("start");
    let error = read(&config(folder.0.join("none.yaml"))).unwrap_err().to_string();
    assert!(error.contains("none.yaml"), "{error}");
    let error = read(&config(folder.write("n.yaml", "spec: [")))
        .unwrap_err()
        .to_string();
    assert!(error.contains("n.yaml") && error.contains("line 1"), "{error}");
}

#[test]
fn a_bad_edit_keeps_the_last_good_version_and_names_the_place() {
    let folder = Folder::new("edit");
    let metrics = Arc::<Metrics>::default();
    let (mut follower, first) =
        Follower::start(config(folder.write("n.yaml", GOOD)), Arc::clone(&metrics)).unwrap();
    assert_eq!(follower.poll(), None);
    folder.write("n.yaml", "spec: {exportNetworkFlows: {netflow: {}}}");
    let bad = follower.poll().expect("something to tell");
    assert_eq!((&bad.spec, bad.generation), (&first.spec, first.generation));
    let Some(Acceptance::Unreadable(message)) = &bad.acceptance else {
        panic!("the file cannot be used");
    };
    assert!(
        message.contains("n.yaml") && message.contains("netflow"),
        "{message}"
    );
    assert_eq!(metrics.file_errors.get(), 1);
    folder.write("n.yaml", OTHER);
    let good = follower.poll().expect("a new version");
    assert_eq!(
        (targets(&good), good.generation),
        (vec!["192.0.2.10:2055".to_owned()], Some(2))
    );
    assert_eq!(good.acceptance, Some(Acceptance::Accepted));
    folder.write("n.yaml", &format!("# a comment\n{OTHER}"));
    assert_eq!(follower.poll(), None, "the same spec again");
}

#[test]
fn a_profile_that_cannot_be_read_keeps_what_is_and_is_called_so() {
    let folder = Folder::new("profile");
    let mut config = config(folder.write("n.yaml", GOOD));
    config.profile = Some(folder.write("p.yaml", "spec: {netFlow: {activeTimeout: 5}}"));
    let (mut follower, first) = Follower::start(config, Arc::default()).unwrap();
    folder.write("p.yaml", "spec: {netFlow: {activeTimeout: 5, newer: 1}}");
    let bad = follower.poll().expect("something to tell");
    assert_eq!(bad.spec, first.spec);
    let Some(Acceptance::ProfileUnreadable(message)) = &bad.acceptance else {
        panic!("{:?}", bad.acceptance);
    };
    assert!(
        message.contains("p.yaml: spec.netFlow.newer is no field"),
        "{message}"
    );
    folder.write("n.yaml", OTHER);
    let still = follower.poll().expect("the other file has changed");
    assert_eq!(still.spec, first.spec, "what belongs together counts together");
}

#[test]
fn a_file_that_is_missing_must_be_missing_twice() {
    let folder = Folder::new("missing");
    let path = folder.write("n.yaml", GOOD);
    let (mut follower, first) = Follower::start(config(path.clone()), Arc::default()).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(follower.poll(), None);
    let gone = follower.poll().expect("something to tell");
    assert_eq!(gone.spec, first.spec);
    assert!(matches!(gone.acceptance, Some(Acceptance::Unreadable(_))));
    assert_eq!(follower.poll(), None);
    folder.write("n.yaml", GOOD);
    assert_eq!(
        follower.poll().and_then(|d| d.acceptance),
        Some(Acceptance::Accepted)
    );
}
