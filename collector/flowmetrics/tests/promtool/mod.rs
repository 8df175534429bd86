//! Prometheus itself, as far as `promtool` is it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A folder of this name for files of a test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether Prometheus takes a file of rules, which stays in the folder as `rules.yaml`.
pub fn takes(folder: &Path, rules: &Value) -> Result<(), String> {
    run("check", &folder.join("rules.yaml"), rules)
}

/// What `promtool WHAT rules FILE` says of a file with this content.
pub fn run(what: &str, file: &Path, content: &Value) -> Result<(), String> {
    std::fs::write(file, content.to_string()).unwrap();
    let output = Command::new("promtool").args([what, "rules"]).arg(file).output();
    let output = output.expect("promtool is there: install the package prometheus");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    match output.status.success() {
        true => Ok(()),
        false => Err(said.concat()),
    }
}
