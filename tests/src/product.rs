//! Where the programs under test are: built by `cargo build --workspace --bins`
//! beside this program, or in `WEIR_BIN_DIR`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The path of one of our programs.
///
/// # Errors
/// When it is not built; the text says how to.
pub fn path(name: &str) -> Result<PathBuf> {
    let path = directory()?.join(name);
    ensure!(
        path.is_file(),
        "{} is not there; build it with: cargo build --workspace --bins",
        path.display()
    );
    Ok(path)
}

fn directory() -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os("WEIR_BIN_DIR") {
        return Ok(directory.into());
    }
    let program = std::env::current_exe()?;
    let directory = program.parent().context("a program stands in a folder")?;
    // Programs stand in target/PROFILE, tests in target/PROFILE/deps.
    let above = directory.parent().filter(|_| directory.ends_with("deps"));
    Ok(above.unwrap_or(directory).to_owned())
}
