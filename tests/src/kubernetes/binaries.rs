//! Where kube-apiserver and kubectl come from: `KUBEBUILDER_ASSETS`, or a
//! build of the Go module in `tests/kubernetes`, once for each user.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{files, program};

/// The Kubernetes release; `kubernetes/go.mod` pins the same.
pub const VERSION: &str = "v1.34.4";
const PROGRAMS: [&str; 2] = ["kube-apiserver", "kubectl"];
const MODULE: &str = "kubernetes";

/// The directory with both programs. Builds them when they are nowhere, which
/// takes minutes and the network; a second caller waits for the first.
pub fn ensure() -> Result<PathBuf> {
    if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") {
        let directory = PathBuf::from(assets);
        ensure!(
            complete(&directory),
            "KUBEBUILDER_ASSETS ({}) lacks {PROGRAMS:?}",
            directory.display()
        );
        return Ok(directory);
    }
    let directory = cache()?.join("weir/kubernetes").join(VERSION);
    if !complete(&directory) {
        build(&directory)?;
    }
    Ok(directory)
}

fn build(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    let lock = File::create(directory.join("lock"))?;
    lock.lock().context("wait for another build of kube-apiserver")?;
    if complete(directory) {
        return Ok(());
    }
    eprintln!("weir-lab: building kube-apiserver and kubectl {VERSION} (once, some minutes)");
    let partial = directory.join("partial");
    fs::create_dir_all(&partial)?;
    let status = go_build(&partial)?.status().context("run go")?;
    ensure!(
        status.success(),
        "go build of kube-apiserver and kubectl: {status}"
    );
    // Renamed when whole: an interrupted build leaves nothing that looks done.
    for name in PROGRAMS {
        fs::rename(partial.join(name), directory.join(name))?;
    }
    fs::remove_dir(&partial)?;
    eprintln!(
        "weir-lab: kube-apiserver and kubectl are in {}",
        directory.display()
    );
    Ok(())
}

fn go_build(target: &Path) -> Result<Command> {
    let version = format!("-s -w -X k8s.io/component-base/version.gitVersion={VERSION}");
    let mut command = program::command("go")?;
    command
        .current_dir(files::package().join(MODULE))
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-mod=readonly", "-ldflags", &version, "-o"])
        .arg(target.join(""))
        .args(PROGRAMS.map(|name| format!("k8s.io/kubernetes/cmd/{name}")));
    Ok(command)
}

fn complete(directory: &Path) -> bool {
    PROGRAMS.iter().all(|name| directory.join(name).is_file())
}

fn cache() -> Result<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME says where to keep kube-apiserver")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_go_module_pins_the_version_that_the_cache_is_named_after() {
        let module = fs::read_to_string(files::package().join(MODULE).join("go.mod")).unwrap();
        assert!(module.contains(&format!("require k8s.io/kubernetes {VERSION}\n")));
    }
}
