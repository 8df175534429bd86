//! What helps who writes words that other programs have: `weir list`, `--filter`, a filter
//! without quotes.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Words for commands, and the command that is meant.
const COMMANDS: [(&[&str], &str); 6] = [
    (
        &[
            "list", "ls", "get", "show", "search", "find", "log", "logs", "record", "records", "observe",
            "dump",
        ],
        "weir flows shows records",
    ),
    (
        &["tail", "follow", "stream"],
        "weir flows --follow shows records as they arrive",
    ),
    (
        &["live", "ui", "tui", "monitor", "flowmon"],
        "weir watch shows a live table",
    ),
    (
        &["sum", "sums", "stat", "stats", "matrix", "talkers", "aggregate"],
        "weir top shows sums",
    ),
    (
        &["schema", "columns", "describe", "explain"],
        "weir fields lists the fields",
    ),
    (
        &["run", "start", "serve", "server", "daemon"],
        "weir up runs all of Weir on this host",
    ),
];

/// Words for options, and what is meant.
const OPTIONS: [(&[&str], &str); 5] = [
    (
        &[
            "--filter",
            "--query",
            "--expression",
            "--cel",
            "--cel-expression",
            "--where",
        ],
        "the filter stands without an option: weir flows 'ns == \"shop\"'",
    ),
    (
        &[
            "--source",
            "--src",
            "--from",
            "--destination",
            "--dst",
            "--dest",
            "--to",
        ],
        "which end is meant is said by --from-pod, --from-ns, --from-ip and others, and by --to-pod and its like; \
         when, by --since and --until",
    ),
    (
        &["--group", "--groupby", "--aggregate", "--agg"],
        "groups are said by --group-by ns,dst_ns",
    ),
    (&["--json"], "the form is said by -o json"),
    (
        &["--start", "--begin", "--end"],
        "the time is said by --since and --until",
    ),
];

/// What helps with this error; none: its own text does.
pub fn of(error: &clap::Error) -> Option<&'static str> {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => find(&COMMANDS, word(ContextKind::InvalidSubcommand)?),
        ErrorKind::UnknownArgument => {
            let word = word(ContextKind::InvalidArg)?;
            match word.starts_with('-') {
                true => find(&OPTIONS, word.split('=').next().unwrap_or(word)),
                false => Some(
                    "a filter is one word of the command line: put quotes around it, as in 'ns == \"shop\"'",
                ),
            }
        }
        _ => None,
    }
}

fn find(known: &[(&[&str], &'static str)], word: &str) -> Option<&'static str> {
    let found = known.iter().find(|(words, _)| words.contains(&word));
    found.map(|(_, hint)| *hint)
}
