//! The commands of the operations page, as a reader would type them.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use weir_lab::{environment, harness::Case, product, program};

use crate::{
    install::platforms,
    stage::{Stage, manifests},
};

pub const CASES: &[Case<Stage>] = &[Case::new(
    "every command of docs/operations.md works, in order",
    the_operations_page_works,
)];

const PAGE: &str = include_str!("../../../docs/operations.md");

fn the_operations_page_works(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    platforms::define_foreign(stage)?;
    let folder = stage.lab.directory().join("reader");
    prepare(&folder)?;
    let mut variables = environment::variables(&stage.lab)?;
    let mut path = std::ffi::OsString::from(folder.join("bin"));
    for more in [
        product::path("weir")?.parent().context("a folder")?.as_os_str(),
        &variables["PATH"],
    ] {
        path.push(":");
        path.push(more);
    }
    variables.insert("PATH".to_owned(), path);
    let blocks = blocks(PAGE);
    ensure!(blocks.len() > 10, "only {} blocks of commands", blocks.len());
    for block in blocks {
        let mut shell = stage.lab.underlay().command("bash")?;
        shell
            .args(["-euo", "pipefail", "-c", &block])
            .envs(&variables)
            .current_dir(&folder);
        program::read(&mut shell).with_context(|| format!("this block fails:\n{block}"))?;
    }
    stage.clear()
}

/// A folder with what a reader has: the manifests, and `ovs NODE COMMAND…`.
fn prepare(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("bin"))?;
    program::read(program::command("cp")?.arg("-r").arg(manifests()).arg(folder))?;
    let ovs = folder.join("bin/ovs");
    // The lab has a program for each node that runs a command there.
    fs::write(&ovs, "#!/bin/sh\nexec \"$@\"\n")?;
    program::read(program::command("chmod")?.arg("+x").arg(&ovs))?;
    Ok(())
}

/// The blocks that are marked `sh`.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}
