//! A selection that becomes a store of its own, out of files and of a collector.

use weir_collector::{Collector, Config};
use weir_store::Settings;

use super::filled;
use super::fixture::run;

/// What `weir flows` tells of a store, without times that pass.
fn records(data: &str, more: &[&str]) -> String {
    let (code, out, err) = run(&[&["flows", "--data-dir", data, "-o", "json"][..], more].concat());
    assert_eq!(code, 0, "{err}");
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_is_opened_as_the_store_that_it_is_of() {
    let (_directory, data) = filled();
    let running = Collector::start(Config {
        store: Some(Settings::new(&data)),
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..Config::default()
    });
    let running = running.await.unwrap();
    let server = format!("http://{}", running.addresses().http);
    let told = tokio::task::spawn_blocking(move || {
        let filter = r#"!pod_name.startsWith("second")"#;
        for source in [["--data-dir", &data], ["--server", &server]] {
            let directory = tempfile::tempdir().unwrap();
            let to = directory.path().join("chosen").display().to_string();
            let words = ["export", filter, "--format", "store", "--to", &to];
            let (code, out, err) = run(&[&words[..], &source].concat());
            assert_eq!((code, out.as_str()), (0, ""), "{source:?}: {err}");
            assert_eq!(records(&to, &[]), records(&data, &[filter]), "{source:?}");
            assert_eq!(records(&to, &[]).lines().count(), 2, "{source:?}");
            let (code, _, err) = run(&[&words[..], &source].concat());
            assert!(code == 2 && err.contains("is there already"), "{code} {err}");
            let sums = run(&["top", "--data-dir", &to, "--group-by", "ns", "-o", "json"]);
            assert!(sums.1.contains("246913578"), "{sums:?}");
        }
    });
    told.await.unwrap();
    running.stop().await.unwrap();
}

#[test]
fn a_store_is_no_file_and_has_all_fields() {
    let (directory, data) = filled();
    let to = directory.path().join("chosen").display().to_string();
    let store = ["export", "--data-dir", &data, "--format", "store"];
    for (more, why) in [
        (&[][..], "--format store needs --to DIRECTORY"),
        (&["--to", &to, "--columns", "ns"], "--columns has no effect"),
        (&["--to", &data], "is there already"),
        (&["--to", &to, "no_field == 1"], "no_field"),
    ] {
        let (code, _, err) = run(&[&store[..], more].concat());
        assert!(code == 2 && err.contains(why), "{code} {err}");
        assert!(!std::path::Path::new(&to).exists());
    }
}
