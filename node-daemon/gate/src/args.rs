//! The command line of `weir-ovsdb-gate`.

use std::path::PathBuf;

use clap::Parser;
use weir_process::log::LogArgs;

/// Lets weir-node use OVSDB for flow export, and for nothing else.
#[derive(Debug, Parser)]
#[command(name = "weir-ovsdb-gate", version)]
pub struct Args {
    /// Where OVSDB listens: unix:PATH
    #[arg(long, value_name = "unix:PATH", default_value = "unix:/var/run/openvswitch/db.sock", value_parser = socket)]
    pub ovsdb: PathBuf,
    /// Where to listen for weir-node, which finds it with --gate
    #[arg(long, value_name = "SOCKET", default_value = "/run/weir-gate/gate.sock")]
    pub listen: PathBuf,
    /// The user that weir-node runs as; may be repeated. Nobody else may connect
    #[arg(long = "client-uid", value_name = "UID", required_unless_present = "check")]
    pub client_uids: Vec<u32>,
    /// Ask whether the gate at this socket still takes clients, and end: exit code 1 if not
    #[arg(long, value_name = "SOCKET")]
    pub check: Option<PathBuf>,
    /// Its log.
    #[command(flatten)]
    pub log: LogArgs,
}

fn socket(text: &str) -> Result<PathBuf, String> {
    match text.strip_prefix("unix:") {
        Some(path) if !path.is_empty() => Ok(path.into()),
        _ => Err("expected unix:PATH".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_connect_unless_it_is_said_who() {
        let parse = |line: &str| Args::try_parse_from(line.split_whitespace());
        let args = parse("gate --client-uid 65532 --client-uid 7").unwrap();
        assert_eq!(args.client_uids, [65532, 7]);
        assert_eq!(args.ovsdb, PathBuf::from("/var/run/openvswitch/db.sock"));
        assert!(parse("gate").is_err());
        assert!(parse("gate --check /run/weir-gate/gate.sock").is_ok());
        assert!(parse("gate --client-uid 1 --ovsdb tcp:127.0.0.1:6640").is_err());
    }
}
