use super::*;

fn label(labels: &Labels, address: &str) -> Option<String> {
    labels.get(address.parse().unwrap()).map(ToString::to_string)
}

/// A directory as Kubernetes mounts a ConfigMap: the file is a link through
/// `..data`, which is a link to a directory of its own for each version.
struct ConfigMap(tempfile::TempDir);

impl ConfigMap {
    fn new(text: &str) -> Self {
        let map = Self(tempfile::tempdir().unwrap());
        map.swap("v1", text);
        std::os::unix::fs::symlink("..data/labels.yaml", map.file()).unwrap();
        map
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("labels.yaml")
    }

    fn swap(&self, version: &str, text: &str) {
        let directory = self.0.path().join(version);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("labels.yaml"), text).unwrap();
        let link = self.0.path().join("..data_tmp");
        std::os::unix::fs::symlink(version, &link).unwrap();
        fs::rename(link, self.0.path().join("..data")).unwrap();
    }
}

#[test]
fn a_config_map_that_changes_is_read_again_and_only_then() {
    let map = ConfigMap::new("customLabels: [{name: a, cidrs: [10.0.0.0/8]}]");
    let (mut source, labels) = LabelFile::open(map.file());
    assert_eq!(label(&labels, "10.0.0.1").as_deref(), Some("a"));
    assert!(source.look().is_none());
    map.swap("v2", "customLabels: [{name: b, cidrs: [10.0.0.0/8]}]");
    let labels = source.look().unwrap().unwrap();
    assert_eq!(label(&labels, "10.0.0.1").as_deref(), Some("b"));
    assert!(source.look().is_none());
}

#[tokio::test]
async fn labels_stay_as_they_were_while_the_file_has_an_error() {
    let map = ConfigMap::new("customLabels: [{name: a, cidrs: [10.0.0.0/8]}]");
    let (mut source, read) = LabelFile::open(map.file());
    map.swap("v2", "customLabels: [{name: b, cidrs: [nonsense]}]");
    let error = source.look().unwrap().unwrap_err().to_string();
    assert!(error.contains("customLabels[0] (\"b\")"), "{error}");
    fs::remove_file(map.file()).unwrap();
    assert!(source.look().unwrap().is_err());
    let (sources, mut labels) = LabelSources::new();
    sources.set_file(read);
    labels.mark_unchanged();
    let task = tokio::spawn(follow(source, sources));
    map.swap("v3", "customLabels: [{name: c, cidrs: [10.0.0.0/8]}]");
    std::os::unix::fs::symlink("..data/labels.yaml", map.file()).unwrap();
    labels.changed().await.unwrap();
    assert_eq!(label(&labels.borrow(), "10.0.0.1").as_deref(), Some("c"));
    drop(labels);
    task.await.unwrap();
}

#[test]
fn a_file_that_is_not_there_labels_nothing_until_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("labels.yaml");
    let (mut source, labels) = LabelFile::open(file.clone());
    assert!(labels.is_empty() && source.look().is_none());
    fs::write(&file, "customLabels: [{name: a, cidrs: [10.0.0.0/8]}]").unwrap();
    assert_eq!(source.look().unwrap().unwrap().len(), 1);
}
