//! Finding and running the programs that the lab is made of, with errors that
//! name the Debian package of a missing one.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Programs and the Debian packages that have them.
const PACKAGES: &[(&str, &str)] = &[
    ("etcd", "etcd-server (etcd before Debian 13)"),
    ("go", "golang-go, or https://go.dev/dl"),
    ("ip", "iproute2"),
    ("iperf3", "iperf3"),
    ("openssl", "openssl"),
    ("ovn-controller", "ovn-host"),
    ("ovn-nbctl", "ovn-common"),
    ("ovn-northd", "ovn-central"),
    ("ovs-appctl", "openvswitch-common"),
    ("ovs-ofctl", "openvswitch-common"),
    ("ovs-vsctl", "openvswitch-switch"),
    ("ovs-vswitchd", "openvswitch-switch"),
    ("ovsdb-server", "openvswitch-common"),
    ("ovsdb-tool", "openvswitch-common"),
];

/// Directories that hold daemons and are often absent from a user's `PATH`.
const DAEMON_DIRECTORIES: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/go/bin"];

/// Finds a program in `PATH` and the directories of daemons.
pub fn find(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(DAEMON_DIRECTORIES.iter().map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| missing(name))
}

/// A command that runs `name`, wherever it is installed.
pub fn command(name: &str) -> Result<Command> {
    Ok(Command::new(find(name)?))
}

/// Fails with one message that names every missing program of `names`.
pub fn require(names: &[&str]) -> Result<()> {
    let absent: Vec<String> = names
        .iter()
        .filter(|name| find(name).is_err())
        .map(|name| missing(name))
        .collect();
    if !absent.is_empty() {
        bail!("{}", absent.join("\n"));
    }
    Ok(())
}

fn missing(name: &str) -> String {
    match PACKAGES.iter().find(|(program, _)| *program == name) {
        Some((_, package)) => format!("`{name}` is not installed; the Debian package is {package}"),
        None => format!("`{name}` is not installed"),
    }
}

/// Runs a command to its end and returns its stdout; the error of a failed one
/// holds the command line and what it wrote.
pub fn read(command: &mut Command) -> Result<String> {
    finish(command.stdin(Stdio::null()), None)
}

/// As [`read`], with `input` on the command's stdin.
pub fn read_with_input(command: &mut Command, input: &str) -> Result<String> {
    finish(command.stdin(Stdio::piped()), Some(input.to_owned()))
}

fn finish(command: &mut Command, input: Option<String>) -> Result<String> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {}", line(command)))?;
    // A thread of its own: a child that answers before it has read everything
    // would otherwise block both sides.
    let writer = child.stdin.take().zip(input).map(|(mut stdin, text)| {
        std::thread::spawn(move || std::io::Write::write_all(&mut stdin, text.as_bytes()))
    });
    let output = child.wait_with_output()?;
    let written = writer.map(|thread| thread.join());
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{}: {}\n{}{}",
            line(command),
            output.status,
            stderr.trim_end(),
            indent_if_any(&stdout)
        );
    }
    if let Some(Ok(Err(error))) = written {
        return Err(error).with_context(|| format!("write to {}", line(command)));
    }
    Ok(stdout)
}

fn indent_if_any(stdout: &str) -> String {
    match stdout.trim_end() {
        "" => String::new(),
        text => format!("\nstdout: {text}"),
    }
}

/// The command as a person would type it, for messages.
pub fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy();
    command.get_args().fold(name.into_owned(), |line, argument| {
        format!("{line} {}", argument.to_string_lossy())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_debian_package() {
        assert!(missing("etcd").contains("etcd-server"));
        let error = require(&["no-such-program-a", "no-such-program-b"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no-such-program-a") && error.contains("no-such-program-b"),
            "{error}"
        );
    }

    #[test]
    fn a_failed_command_shows_its_line_status_and_output() {
        let error = read(Command::new("sh").args(["-c", "echo seen; echo why >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        for part in ["sh -c", "exit status: 3", "why", "stdout: seen"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn input_larger_than_a_pipe_comes_back_whole() {
        let text = "0123456789\n".repeat(50_000);
        assert_eq!(read_with_input(&mut Command::new("cat"), &text).unwrap(), text);
    }
}
