//! Opens a browser. Everybody on a host sees the arguments of programs, so the browser is
//! given a file that only its owner reads, which leads on to the address.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::guard::Key;
use crate::terminal::say;

/// What opens a file in the browser that its user likes.
const OPENER: &str = "xdg-open";
/// What tells that there is a screen to open it on.
const SCREENS: [&str; 2] = ["DISPLAY", "WAYLAND_DISPLAY"];

/// The file that leads on; it goes with this.
pub struct RedirectFile(PathBuf);

impl RedirectFile {
    /// Writes one that leads to `address`, under a name that is not taken and cannot be guessed.
    fn write(folder: &Path, address: &str) -> io::Result<Self> {
        let path = folder.join(format!("weir-ui-{}.html", Key::random()?));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let redirect = Self(path);
        writeln!(
            file,
            "<!doctype html><meta charset=utf-8><meta name=referrer content=no-referrer><title>Weir</title>\n\
             <meta http-equiv=refresh content=\"0;url={address}\"><a href=\"{address}\">Weir</a>"
        )?;
        Ok(redirect)
    }
}

impl Drop for RedirectFile {
    fn drop(&mut self) {
        // It leads nowhere any more.
        let _ = fs::remove_file(&self.0);
    }
}

/// Has a browser opened at this address; none where there is no screen.
///
/// # Errors
/// The file cannot be written, or there is nothing that opens it.
pub fn open(address: &str) -> io::Result<Option<RedirectFile>> {
    if !SCREENS
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
    {
        return Ok(None);
    }
    let folder = env::var_os("XDG_RUNTIME_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let redirect = RedirectFile::write(&folder, address)?;
    let mut opener = Command::new(OPENER)
        .arg(&redirect.0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C here does not end a browser.
        .process_group(0)
        .spawn()?;
    std::thread::spawn(move || match opener.wait() {
        Ok(status) if !status.success() => {
            say(&format!(
                "{OPENER} opened no browser ({status}): open the address yourself"
            ));
        }
        _ => {}
    });
    Ok(Some(redirect))
}
