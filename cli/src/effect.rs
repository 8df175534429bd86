//! No option is ignored: one that has no effect on what is asked is refused, since who
//! wrote it expects one.

use anyhow::Result;
use clap::ArgMatches;
use clap::parser::ValueSource;

/// An option, and whether it was given.
pub type Given = (&'static str, bool);

/// Refuses the first of these that was given.
///
/// # Errors
/// One was.
pub fn refuse_without_effect(options: &[Given], why: &str) -> Result<()> {
    match options.iter().find(|(_, given)| *given) {
        Some((option, _)) => anyhow::bail!("{option} has no effect {why}"),
        None => Ok(()),
    }
}

/// Which of two options says whom to ask: the second has no effect beside the first.
/// What the environment says gives way, and is no mistake.
const OVERRULED: [(&str, &str); 9] = [
    ("data_dir", "server"),
    ("data_dir", "kubeconfig"),
    ("data_dir", "context"),
    ("data_dir", "service"),
    ("data_dir", "token"),
    ("network", "token"),
    ("server", "kubeconfig"),
    ("server", "context"),
    ("server", "service"),
];

/// Refuses options of the command line that others of it make useless.
///
/// # Errors
/// There is one.
pub fn refuse_overruled(command: &str, matches: &ArgMatches) -> Result<()> {
    let typed = |id: &str| {
        matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    for (ruling, overruled) in OVERRULED {
        if typed(ruling) && typed(overruled) {
            let [ruling, overruled] = [ruling, overruled].map(|id| id.replace('_', "-"));
            anyhow::bail!("--{overruled} has no effect beside --{ruling}");
        }
    }
    if command == "status" && !typed("network") {
        let of_host = OF_A_HOST.map(|(id, option)| (option, typed(id)));
        return refuse_without_effect(&of_host, "without --network");
    }
    Ok(())
}

/// Options of `weir status` that say which Open vSwitch is compared with a Network, and
/// their names.
const OF_A_HOST: [(&str, &str); 5] = [
    ("ovsdb", "--ovsdb"),
    ("node_name", "--node-name"),
    ("node_ip", "--node-ip"),
    ("bridges", "--bridge"),
    ("profile", "--profile"),
];
