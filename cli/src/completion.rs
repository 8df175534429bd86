//! Completion in shells: options, field names, and values of fields as a collector
//! knows them now. The shell runs this program again at each Tab; `weir completion`
//! prints what makes it do so.

mod shells;

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Command, CommandFactory, Parser, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::env::EnvCompleter;
use weir_api::fields::Column;
use weir_process::kubernetes;
use weir_query::filter::{CompleteWith, Completion, complete};
use weir_query::{Order, ValuesRequest};

use crate::output;
use crate::shortcut::quote;
use crate::show;
use crate::source::SourceArgs;
pub use shells::SHELLS;
use shells::Shell;

/// The variable by which a shell asks for candidates.
pub const VARIABLE: &str = "COMPLETE";

/// A person who pressed Tab waits no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Arguments of `weir completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Known {
    /// source <(weir completion bash)
    Bash,
    /// source <(weir completion zsh)
    Zsh,
    /// weir completion fish | source
    Fish,
}

/// Prints the lines that make a shell ask this program.
///
/// # Errors
/// Standard output is gone.
pub fn run(args: &CompletionArgs) -> Result<ExitCode> {
    let shell = match args.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let registered = shell.write_registration(VARIABLE, "weir", "weir", "weir", &mut std::io::stdout());
    registered.context("cannot print")?;
    Ok(ExitCode::SUCCESS)
}

/// Field names, after those that stand before a comma already.
pub fn fields(current: &OsStr) -> Vec<CompletionCandidate> {
    listed(current, Column::all().map(Column::name))
}

/// Measures, likewise.
pub fn measures(current: &OsStr) -> Vec<CompletionCandidate> {
    listed(current, show::measures())
}

/// Orders of records.
pub fn orders(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let orders = Order::all().map(Order::as_str);
    let fitting = orders.filter(|order| order.starts_with(&*current));
    fitting.map(CompletionCandidate::new).collect()
}

fn listed<N: AsRef<str> + Display>(
    current: &OsStr,
    names: impl Iterator<Item = N>,
) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let (before, begun) = current
        .rsplit_once(',')
        .map_or(("", &*current), |(before, begun)| (before, begun));
    let before = if before.is_empty() {
        String::new()
    } else {
        format!("{before},")
    };
    let fitting = names.filter(|name| name.as_ref().starts_with(begun));
    fitting
        .map(|name| CompletionCandidate::new(format!("{before}{name}")))
        .collect()
}

/// Forms of output.
pub fn outputs(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let forms = output::FORMS.iter().filter(|form| form.starts_with(&*current));
    forms.map(CompletionCandidate::new).collect()
}

/// Contexts of the kubeconfig that the command line names so far.
pub fn contexts(current: &OsStr) -> Vec<CompletionCandidate> {
    let file = kubernetes::read(source_of(typed()).kubeconfig.as_deref());
    let contexts = file.map(|file| file.contexts).unwrap_or_default();
    let names = contexts.into_iter().map(|context| context.name);
    names
        .filter(|name| name.starts_with(&*current.to_string_lossy()))
        .map(CompletionCandidate::new)
        .collect()
}

/// What may come next in a filter: a field, or a value of the field before it.
pub fn filter(current: &OsStr) -> Vec<CompletionCandidate> {
    let text = current.to_string_lossy();
    candidates(&text, ask)
        .into_iter()
        .map(CompletionCandidate::new)
        .collect()
}

/// Values of the field that stands before on the line.
pub fn values(current: &OsStr) -> Vec<CompletionCandidate> {
    let field = typed().find(|word| Column::find(word).is_some());
    let values = field.map(|field| ask(&field, &current.to_string_lossy()));
    values
        .unwrap_or_default()
        .into_iter()
        .map(CompletionCandidate::new)
        .collect()
}

/// The filter with each way to go on; values of a field that begin so are asked for.
pub fn candidates(text: &str, mut values: impl FnMut(&str, &str) -> Vec<String>) -> Vec<String> {
    // It is an option that begins so, and clap knows those.
    if text.starts_with('-') {
        return Vec::new();
    }
    let Some(Completion { before, begun, with }) = complete(text) else {
        return Vec::new();
    };
    match with {
        CompleteWith::Fields(columns) => columns
            .iter()
            .map(|column| format!("{before}{}", column.name()))
            .collect(),
        CompleteWith::ValuesOf(column) => values(column.name(), begun)
            .iter()
            .map(|value| format!("{before}{}", quote(value)))
            .collect(),
    }
}

#[derive(Debug, Parser)]
#[command(ignore_errors = true, disable_help_flag = true)]
struct Line {
    #[command(flatten)]
    source: SourceArgs,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<String>,
}

/// Values of a field, from the collector that the command line names so far. No
/// answer in time is no candidate: nobody can be told.
fn ask(field: &str, prefix: &str) -> Vec<String> {
    let request = ValuesRequest {
        field: field.to_owned(),
        prefix: prefix.to_owned(),
        limit: Some(50),
        ..ValuesRequest::default()
    };
    let work = async {
        let source = source_of(typed()).open().await.ok()?;
        let answer = source.values(&request).await.ok()?;
        Some(answer.values.into_iter().map(|value| value.value).collect())
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await });
    answer.ok().flatten().unwrap_or_default()
}

/// The words of the line that is being completed. kubectl gives them without their quotes.
fn typed() -> impl Iterator<Item = String> {
    let by_kubectl = is_kubectls();
    let words = std::env::args()
        .skip_while(move |word| !by_kubectl && word != "--")
        .skip(1);
    words.map(move |word| {
        if by_kubectl {
            word
        } else {
            shells::unquote(&word).0
        }
    })
}

/// The name under which kubectl looks for what completes a plugin.
const KUBECTLS: &str = "kubectl_complete-weir";

/// Whether kubectl wants to complete `kubectl weir …`.
pub fn is_kubectls() -> bool {
    program().is_some_and(|name| name == KUBECTLS)
}

/// The name by which this program was run.
pub fn program() -> Option<OsString> {
    let path = std::env::args_os().next()?;
    Some(Path::new(&path).file_name()?.to_owned())
}

/// Candidates are all there is: no names of files, no space where the word goes on.
const NO_FILES: u32 = 4;
const NO_SPACE: u32 = 2;

/// Answers kubectl: a candidate and what it is a line, then what kubectl's shell shall do.
///
/// # Errors
/// Standard output is gone.
pub fn for_kubectl(mut command: Command) -> Result<ExitCode> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let last = words.len().saturating_sub(1);
    let here = std::env::current_dir().ok();
    let found = clap_complete::engine::complete(&mut command, words, last, here.as_deref())?;
    let mut out = io::stdout();
    let mut goes_on = !found.is_empty();
    for candidate in found {
        let value = candidate.get_value().to_string_lossy().into_owned();
        goes_on &= value.ends_with(['=', '/', ',']);
        let help = candidate.get_help().map(ToString::to_string);
        let help = help
            .as_deref()
            .and_then(|help| help.lines().next())
            .unwrap_or_default();
        writeln!(out, "{value}\t{help}")?;
    }
    let space = if goes_on { NO_SPACE } else { 0 };
    writeln!(out, ":{}", NO_FILES | space)?;
    Ok(ExitCode::SUCCESS)
}

/// The options of these words that say whom to ask.
fn source_of(mut words: impl Iterator<Item = String>) -> SourceArgs {
    let names: Vec<String> = Line::command()
        .get_arguments()
        .filter_map(|argument| argument.get_long().map(|long| format!("--{long}")))
        .collect();
    let mut kept = vec!["weir".to_owned()];
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or_default();
        if names.iter().any(|known| known == name) {
            let has_value = word.contains('=');
            kept.push(word);
            if !has_value {
                kept.extend(words.next());
            }
        }
    }
    let line = Line::try_parse_from(kept).or_else(|_| Line::try_parse_from(["weir"]));
    line.map(|line| line.source).expect("no argument is needed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Vec<String> {
        candidates(text, |field, prefix| {
            vec![format!("{field}-{prefix}1"), "a\"b".to_owned()]
        })
    }

    #[test]
    fn a_filter_goes_on_with_field_names() {
        assert!(complete("dst_workload").contains(&"dst_workload_kind".to_owned()));
        assert_eq!(complete("ns == \"a\" && verd"), ["ns == \"a\" && verdict"]);
        assert_eq!(complete("!(prim"), ["!(primary"]);
        assert_eq!(complete("xyzzy"), [""; 0]);
        assert_eq!(complete("--group-b"), [""; 0], "an option");
        assert_eq!(complete("").len(), Column::COUNT);
        assert!(complete("inCIDR(addr, \"10.").is_empty());
    }

    #[test]
    fn after_a_quote_come_values_of_the_field_before_it() {
        assert_eq!(complete("ns == \"sh"), ["ns == \"ns-sh1\"", "ns == \"a\\\"b\""]);
        assert_eq!(
            complete("ns == \"a\" && dst_zone != \"")[0],
            "ns == \"a\" && dst_zone != \"dst_zone-1\""
        );
        assert_eq!(complete("ns in [\"k")[0], "ns in [\"ns-k1\"");
        assert_eq!(
            complete("pod_name.startsWith(\"r")[0],
            "pod_name.startsWith(\"pod_name-r1\""
        );
        assert!(complete("bytes == \"1").is_empty());
    }

    #[test]
    fn lists_go_on_after_the_comma() {
        let names = |text: &str| -> Vec<String> {
            let candidates = fields(OsStr::new(text));
            candidates
                .iter()
                .map(|c| c.get_value().to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(names("ns,dst_zo"), ["ns,dst_zone"]);
        assert!(names("zon") == ["zone"]);
    }

    #[test]
    fn whom_to_ask_is_read_from_the_line_so_far() {
        let line = "weir flows --since 1h --server http://a:1 --token=t ns";
        let source = source_of(line.split(' ').map(str::to_owned));
        assert_eq!(source.server.as_deref(), Some("http://a:1"));
        assert_eq!(source.token.as_deref(), Some("t"));
    }
}
