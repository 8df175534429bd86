//! `weir man DIR`: pages for `man`, made of what `--help` says.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Command};

/// Arguments of `weir man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Where the pages are written, `weir.1` and one for each command
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes the pages.
///
/// # Errors
/// The directory cannot be written.
pub fn run(args: &ManArgs, command: Command) -> Result<ExitCode> {
    let directory = &args.directory;
    let written = fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
    written.with_context(|| format!("cannot write to {}", directory.display()))?;
    Ok(ExitCode::SUCCESS)
}
