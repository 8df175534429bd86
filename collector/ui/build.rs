//! Puts the built UI into the program: a table of the files in `dist`, or of those in the
//! folder that `WEIR_UI_DIST` names. It builds nothing itself (`make ui` does), so that
//! `cargo build` needs no Node; without a built UI the table is empty.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Written beside a file, in each coding.
const GZIP: &str = "gz";
const BROTLI: &str = "br";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed=WEIR_UI_DIST");
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = env::var_os("WEIR_UI_DIST").map_or_else(|| here.join("dist"), PathBuf::from);
    let dist = fs::canonicalize(&dist).map_err(|error| {
        let dist = dist.display();
        io::Error::other(format!(
            "{dist}: {error}; WEIR_UI_DIST names the folder of a UI that is built, if it is set"
        ))
    })?;
    println!("cargo:rerun-if-changed={}", dist.display());
    let mut table = String::from("&[\n");
    for path in files(&dist)? {
        table += &row(&dist, &path)?;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("files.rs"), table + "]\n")
}

/// What a browser asks for: all files but their codings, in the order of their names.
fn files(dist: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![dist.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !name.starts_with('.') && !name.ends_with(".gz") && !name.ends_with(".br") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// One file as an expression.
fn row(dist: &Path, path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    let name = path
        .strip_prefix(dist)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    let coded = |suffix: &str| {
        let coded = PathBuf::from(format!("{}.{suffix}", path.display()));
        match coded.exists() {
            true => format!("Some(include_bytes!({:?}))", coded.display().to_string()),
            false => "None".to_owned(),
        }
    };
    Ok(format!(
        "    UiFile {{ path: {name:?}, media_type: {:?}, etag: \"\\\"{:016x}\\\"\", plain: include_bytes!({:?}), gzip: {}, brotli: {} }},\n",
        media_type(&name)?,
        digest(&bytes),
        path.display().to_string(),
        coded(GZIP),
        coded(BROTLI),
    ))
}

/// The same for the same bytes, wherever it is built.
fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn media_type(name: &str) -> io::Result<&'static str> {
    match name.rsplit_once('.').map(|(_, suffix)| suffix) {
        Some("html") => Ok("text/html; charset=utf-8"),
        Some("js") => Ok("text/javascript; charset=utf-8"),
        Some("css") => Ok("text/css; charset=utf-8"),
        Some("svg") => Ok("image/svg+xml"),
        Some("txt") => Ok("text/plain; charset=utf-8"),
        _ => Err(io::Error::other(format!(
            "{name}: a file of a kind that the UI has none of"
        ))),
    }
}
