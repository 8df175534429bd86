//! Options for what people ask most, each of which stands for a condition in CEL:
//! `--from-pod shop/web` is `(ns == "shop" && pod_name == "web")`. They are joined with
//! the filter by `&&`. An option that is given twice asks for either; `--not` turns the
//! one behind it around.

use std::net::IpAddr;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

const NOT: &str = "not";
const ALL_NAMESPACES: &str = "all_namespaces";
const HEADING: &str = "Which flows, without CEL";

/// The conditions that options say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shortcuts {
    conditions: Vec<Condition>,
}

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    kind: Kind,
    value: String,
    negated: bool,
}

/// Which option it is, as a place in [`OPTIONS`].
type Kind = usize;

/// What an option asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Namespace,
    /// A name in a namespace, and the fields of both.
    Name {
        name: &'static str,
        ns: &'static str,
    },
    Address,
    Port,
    Label,
    /// A field of the flow, which has no sides.
    Word(&'static str),
}

/// Which end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Destination,
    Either,
}

struct ShortcutOption {
    long: &'static str,
    short: Option<char>,
    subject: Subject,
    end: End,
    value_name: &'static str,
    help: &'static str,
}

const POD: Subject = Subject::Name {
    name: "pod_name",
    ns: "ns",
};
const SERVICE: Subject = Subject::Name {
    name: "service_name",
    ns: "service_ns",
};
const WORKLOAD: Subject = Subject::Name {
    name: "workload_name",
    ns: "ns",
};
const NAME: &str = "[NAMESPACE/]NAME";
const NETWORK: &str = "ADDRESS|NETWORK";

#[rustfmt::skip]
const OPTIONS: [ShortcutOption; 22] = [
    ShortcutOption { short: Some('n'), ..option("ns", Subject::Namespace, End::Either, "NAMESPACE", "Flows from or to this namespace; names without a namespace are of it, too") },
    option("from-ns", Subject::Namespace, End::Source, "NAMESPACE", "Flows from this namespace"),
    option("to-ns", Subject::Namespace, End::Destination, "NAMESPACE", "Flows to this namespace"),
    option("pod", POD, End::Either, NAME, "Flows from or to this pod"),
    option("from-pod", POD, End::Source, NAME, "Flows from this pod"),
    option("to-pod", POD, End::Destination, NAME, "Flows to this pod"),
    option("from-service", SERVICE, End::Source, NAME, "Flows from this Service"),
    option("to-service", SERVICE, End::Destination, NAME, "Flows to this Service"),
    option("workload", WORKLOAD, End::Either, NAME, "Flows from or to this workload"),
    option("from-workload", WORKLOAD, End::Source, NAME, "Flows from this workload"),
    option("to-workload", WORKLOAD, End::Destination, NAME, "Flows to this workload"),
    option("ip", Subject::Address, End::Either, NETWORK, "Flows from or to this address or network"),
    option("from-ip", Subject::Address, End::Source, NETWORK, "Flows from this address or network"),
    option("to-ip", Subject::Address, End::Destination, NETWORK, "Flows to this address or network"),
    option("port", Subject::Port, End::Either, "PORT", "Flows from or to this port"),
    option("from-port", Subject::Port, End::Source, "PORT", "Flows from this port"),
    option("to-port", Subject::Port, End::Destination, "PORT", "Flows to this port"),
    option("label", Subject::Label, End::Either, "KEY[=VALUE]", "Flows from or to pods with this label"),
    option("from-label", Subject::Label, End::Source, "KEY[=VALUE]", "Flows from pods with this label"),
    option("to-label", Subject::Label, End::Destination, "KEY[=VALUE]", "Flows to pods with this label"),
    option("verdict", Subject::Word("verdict"), End::Either, "VERDICT", "Flows that were delivered, dropped or of which it is unknown"),
    option("protocol", Subject::Word("protocol"), End::Either, "PROTOCOL", "Flows of this protocol, such as tcp"),
];

const fn option(
    long: &'static str,
    subject: Subject,
    end: End,
    value_name: &'static str,
    help: &'static str,
) -> ShortcutOption {
    ShortcutOption {
        long,
        short: None,
        subject,
        end,
        value_name,
        help,
    }
}

impl Shortcuts {
    /// The filter and what the options say, in CEL.
    pub fn joined(&self, filter: &str) -> String {
        if self.conditions.is_empty() {
            return filter.to_owned();
        }
        let mut all = Vec::new();
        let filter = filter.trim();
        let mut kinds: Vec<Kind> = Vec::new();
        for condition in self.conditions.iter().filter(|condition| !condition.negated) {
            if !kinds.contains(&condition.kind) {
                kinds.push(condition.kind);
            }
        }
        for kind in kinds {
            let same = self.conditions.iter().filter(|c| c.kind == kind && !c.negated);
            let conditions: Vec<String> = same.map(|condition| self.cel(condition)).collect();
            all.push(any(conditions));
        }
        let negated = self.conditions.iter().filter(|condition| condition.negated);
        all.extend(negated.map(|condition| format!("!{}", self.cel(condition))));
        if !filter.is_empty() {
            // A comment ends with its line.
            let end = if filter.contains("//") { "\n" } else { "" };
            all.insert(0, format!("({filter}{end})"));
        }
        match all.as_slice() {
            [only] => bare(only).to_owned(),
            _ => all.join(" && "),
        }
    }

    /// The namespace of names that say none: the only one that `--ns` gives.
    fn namespace(&self) -> Option<&str> {
        let mut given = self.conditions.iter().filter(|c| OPTIONS[c.kind].long == "ns");
        let first = given.next().filter(|condition| !condition.negated)?;
        given.next().is_none().then_some(first.value.as_str())
    }

    /// In parentheses.
    fn cel(&self, condition: &Condition) -> String {
        let option = &OPTIONS[condition.kind];
        let value = &condition.value;
        let side = |prefix: &str| match option.subject {
            Subject::Namespace => format!("{prefix}ns == {}", quote(value)),
            Subject::Name { name, ns } => {
                let (namespace, short) = match value.split_once('/') {
                    Some((namespace, short)) => (Some(namespace), short),
                    None => (self.namespace(), value.as_str()),
                };
                let named = format!("{prefix}{name} == {}", quote(short));
                match namespace {
                    Some(namespace) => format!("{prefix}{ns} == {} && {named}", quote(namespace)),
                    None => named,
                }
            }
            Subject::Address if value.contains('/') => format!("inCIDR({prefix}addr, {})", quote(value)),
            Subject::Address => format!("{prefix}addr == {}", quote(value)),
            Subject::Port => format!("{prefix}port == {value}"),
            Subject::Label => match value.split_once('=') {
                Some((key, value)) => format!("{prefix}pod_labels[{}] == {}", quote(key), quote(value)),
                None => format!("{} in {prefix}pod_labels", quote(value)),
            },
            Subject::Word(field) => format!("{field} == {}", quote(value)),
        };
        match (option.end, option.subject) {
            (End::Either, Subject::Word(_)) | (End::Source, _) => format!("({})", side("")),
            (End::Destination, _) => format!("({})", side("dst_")),
            (End::Either, _) => any(vec![format!("({})", side("")), format!("({})", side("dst_"))]),
        }
    }
}

/// Conditions in parentheses, one of which is to hold.
fn any(mut conditions: Vec<String>) -> String {
    if conditions.len() == 1 {
        conditions.pop().unwrap_or_default()
    } else {
        format!("({})", conditions.join(" || "))
    }
}

/// Without the parentheses that stand around all of it.
fn bare(condition: &str) -> &str {
    let inner = condition
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'));
    let Some(inner) = inner.filter(|inner| !inner.contains(['(', ')'])) else {
        return condition;
    };
    inner
}

/// A text in CEL that is this text, whatever is in it.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

impl Args for Shortcuts {
    fn augment_args(command: Command) -> Command {
        let not = Arg::new(NOT)
            .long(NOT)
            .num_args(0)
            .default_missing_value("")
            .action(ArgAction::Append)
            .help("Turn around the option behind it: --not --port 53")
            .help_heading(HEADING);
        let everywhere = Arg::new(ALL_NAMESPACES)
            .short('A')
            .long("all-namespaces")
            .action(ArgAction::SetTrue)
            .conflicts_with("ns")
            .help("Flows of all namespaces, as without --ns")
            .help_heading(HEADING);
        let command = OPTIONS
            .iter()
            .fold(command, |command, option| command.arg(argument(option)));
        command.arg(everywhere).arg(not)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(option: &ShortcutOption) -> Arg {
    let argument = Arg::new(option.long)
        .long(option.long)
        .value_name(option.value_name)
        .action(ArgAction::Append)
        .help(option.help)
        .help_heading(HEADING);
    let argument = option.short.into_iter().fold(argument, Arg::short);
    let argument = argument.aliases(aliases(option.long));
    match option.subject {
        Subject::Port => argument.value_parser(|text: &str| text.parse::<u16>().map(|port| port.to_string())),
        Subject::Address => argument.value_parser(address),
        Subject::Name { .. } => argument.value_parser(name),
        _ => argument.value_parser(NonEmptyStringValueParser::new()),
    }
}

/// What other programs call an option.
fn aliases(long: &str) -> &'static [&'static str] {
    match long {
        "ns" => &["namespace"],
        "from-ns" => &["from-namespace", "src-ns", "src-namespace"],
        "to-ns" => &["to-namespace", "dst-ns", "dst-namespace"],
        "from-pod" => &["src-pod"],
        "to-pod" => &["dst-pod"],
        "from-workload" => &["src-workload"],
        "to-workload" => &["dst-workload"],
        "from-service" => &["src-service"],
        "to-service" => &["dst-service"],
        "ip" => &["addr", "address"],
        "from-ip" => &["src-ip", "src-addr", "from-addr"],
        "to-ip" => &["dst-ip", "dst-addr", "to-addr"],
        "from-port" => &["src-port", "sport"],
        "to-port" => &["dst-port", "dport"],
        "from-label" => &["src-label"],
        "to-label" => &["dst-label"],
        "protocol" => &["proto"],
        _ => &[],
    }
}

fn address(text: &str) -> Result<String, String> {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    if address.parse::<IpAddr>().is_ok() && length.parse::<u8>().is_ok() {
        return Ok(text.to_owned());
    }
    Err("write an address such as 10.0.0.1 or a network such as 10.0.0.0/8".to_owned())
}

fn name(text: &str) -> Result<String, String> {
    let (namespace, name) = text.split_once('/').unwrap_or(("-", text));
    if namespace.is_empty() || name.is_empty() {
        return Err("write NAME or NAMESPACE/NAME".to_owned());
    }
    Ok(text.to_owned())
}

impl FromArgMatches for Shortcuts {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut found: Vec<(usize, Option<(Kind, String)>)> = Vec::new();
        for (kind, option) in OPTIONS.iter().enumerate() {
            let values = matches.get_many::<String>(option.long).into_iter().flatten();
            let places = matches.indices_of(option.long).into_iter().flatten();
            found.extend(
                places
                    .zip(values)
                    .map(|(at, value)| (at, Some((kind, value.clone())))),
            );
        }
        let not = matches.indices_of(NOT).into_iter().flatten();
        found.extend(not.map(|at| (at, None)));
        found.sort_by_key(|(at, _)| *at);
        let (mut conditions, mut negated) = (Vec::new(), false);
        for (_, what) in found {
            match what {
                None if negated => return Err(nothing_to_negate()),
                None => negated = true,
                Some((kind, value)) => conditions.push(Condition {
                    kind,
                    value,
                    negated: std::mem::take(&mut negated),
                }),
            }
        }
        if negated {
            return Err(nothing_to_negate());
        }
        Ok(Self { conditions })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn nothing_to_negate() -> Error {
    let options: Vec<String> = OPTIONS
        .iter()
        .map(|option| format!("--{}", option.long))
        .collect();
    let message = format!(
        "--not turns around the option behind it, and there is none: {}\n",
        options.join(", ")
    );
    Error::raw(ErrorKind::MissingRequiredArgument, message)
}

#[cfg(test)]
mod tests;
