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

/// The command whose commands have such options, and those of them that say where objects
/// come from, whoever has the traffic.
const NESTED: &str = "policy";
/// The option of others that takes objects, too.
const JUDGED: &str = "policies";
const OF_OBJECTS: [&str; 2] = ["kubeconfig", "context"];

/// Refuses options of the command line that others of it make useless.
///
/// # Errors
/// There is one.
pub fn refuse_overruled(command: &str, matches: &ArgMatches) -> Result<()> {
    if let (NESTED, Some((_, nested))) = (command, matches.subcommand()) {
        return refuse_beside(nested, &OF_OBJECTS);
    }
    if is_typed(matches, JUDGED) {
        return refuse_beside(matches, &OF_OBJECTS);
    }
    refuse_beside(matches, &[])?;
    if command == "status" && !is_typed(matches, "network") {
        let of_host = OF_A_HOST.map(|(id, option)| (option, is_typed(matches, id)));
        return refuse_without_effect(&of_host, "without --network");
    }
    Ok(())
}

/// Refuses the first that is overruled, but for those that have another meaning here.
fn refuse_beside(matches: &ArgMatches, but_for: &[&str]) -> Result<()> {
    let pairs = OVERRULED
        .into_iter()
        .filter(|(_, overruled)| !but_for.contains(overruled));
    for (ruling, overruled) in pairs {
        if is_typed(matches, ruling) && is_typed(matches, overruled) {
            let [ruling, overruled] = [ruling, overruled].map(|id| id.replace('_', "-"));
            anyhow::bail!("--{overruled} has no effect beside --{ruling}");
        }
    }
    Ok(())
}

fn is_typed(matches: &ArgMatches, id: &str) -> bool {
    matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine)
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
