//! `weir matrix`: who called whom, on which port.

mod policies;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::ArgValueCompleter;
use weir_collector::api::params::MOST_GROUPS;
use weir_query::{CallDirection, MatrixEnds, MatrixRequest};

use crate::completion;
use crate::empty;
use crate::output::OutputArgs;
use crate::policy::ObjectArgs;
use crate::show;
use crate::source::SourceArgs;
use crate::terminal::patiently;
use crate::time::TimeArgs;

/// Rows that are shown when nobody says how many.
const SOME: usize = 100;

/// Arguments of `weir matrix`.
#[derive(Debug, Args)]
#[command(
    mut_arg("namespace", |arg| arg.short(None::<char>).requires("policies")),
    mut_arg("files", |arg| arg.requires("policies")),
    mut_arg("objects", |arg| arg.requires("policies")),
    mut_arg("profile", |arg| arg.requires("policies")),
)]
pub struct MatrixArgs {
    /// Which calls, in CEL: the source is the client, the destination the server, dst_port its
    /// port, such as 'ns == "shop" && dst_workload_kind == "internet"'
    #[arg(value_name = "CEL", default_value = "", hide_default_value = true,
          add = ArgValueCompleter::new(completion::filter))]
    filter: String,
    /// Calls from or to this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    ns: Option<String>,
    /// Which calls of what is selected: in (it is the server), out (it is the client) or both
    /// [default: both with --ns, else as the filter says]
    #[arg(long, value_name = "WAY", value_parser = directions())]
    direction: Option<CallDirection>,
    /// What a row is of: workload, pod, ns, or subnet (labels)
    #[arg(long, value_name = "ENDS", default_value = "workload", value_parser = ends())]
    by: MatrixEnds,
    /// A row for each port of a server
    #[arg(long)]
    ports: bool,
    /// Also what the policies say about each row, as they are now: those of the cluster of the
    /// kubeconfig or of --objects, and of -f; with --server alone that collector says it
    #[arg(long)]
    policies: bool,
    #[command(flatten)]
    objects: ObjectArgs,
    /// Rows to show, those with most bytes
    #[arg(long, value_name = "NUMBER", default_value_t = SOME, value_parser = parse_limit)]
    limit: usize,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    source: SourceArgs,
}

fn directions() -> impl TypedValueParser<Value = CallDirection> {
    let words = PossibleValuesParser::new(CallDirection::ALL.map(CallDirection::as_str));
    words.map(|word| named(CallDirection::ALL, CallDirection::as_str, &word))
}

fn ends() -> impl TypedValueParser<Value = MatrixEnds> {
    let words = PossibleValuesParser::new(MatrixEnds::ALL.map(MatrixEnds::as_str));
    words.map(|word| named(MatrixEnds::ALL, MatrixEnds::as_str, &word))
}

/// The one of that name, which the parser has looked for already.
fn named<T: Copy + Default, const N: usize>(all: [T; N], name: fn(T) -> &'static str, word: &str) -> T {
    all.into_iter().find(|one| name(*one) == word).unwrap_or_default()
}

fn parse_limit(text: &str) -> Result<usize, String> {
    let limit = text
        .parse()
        .ok()
        .filter(|limit| (1..=MOST_GROUPS).contains(limit));
    limit.ok_or_else(|| format!("write a number from 1 to {MOST_GROUPS}"))
}

impl MatrixArgs {
    fn request(&self) -> Result<MatrixRequest> {
        let (since, until) = self.time.range()?;
        let of_namespace = self
            .ns
            .as_ref()
            .map(|ns| format!("ns == {}", serde_json::Value::from(ns.as_str())));
        let filter = match (of_namespace, self.filter.as_str()) {
            (Some(of_namespace), "") => of_namespace,
            (Some(of_namespace), filter) => format!("{of_namespace} && ({filter})"),
            (None, filter) => filter.to_owned(),
        };
        let usual = match self.ns {
            Some(_) => CallDirection::Both,
            None => CallDirection::Out,
        };
        Ok(MatrixRequest {
            filter,
            since,
            until,
            direction: self.direction.unwrap_or(usual),
            by: self.by,
            ports: self.ports,
            limit: Some(self.limit),
        })
    }
}

/// Runs `weir matrix`.
///
/// # Errors
/// The question is wrong, or nobody answers.
pub async fn run(args: MatrixArgs) -> Result<ExitCode> {
    let style = args.output.style(args.time.zone())?;
    let request = args.request()?;
    let source = args.source.open().await?;
    let matrix = match args.policies {
        true => policies::judged(&args.objects, &args.source, &source, &request).await?,
        false => patiently(source.matrix(&request)).await?,
    };
    show::matrix(&matrix, &style)?;
    show::notes(&matrix.notes);
    if matrix.rows.is_empty() {
        empty::explain(
            &source,
            &request.filter,
            request.since,
            request.until,
            &style.times,
        )
        .await;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        matrix: MatrixArgs,
    }

    fn request(words: &[&str]) -> MatrixRequest {
        let line = Line::try_parse_from(["matrix"].iter().chain(words)).unwrap();
        line.matrix.request().unwrap()
    }

    #[test]
    fn a_namespace_is_asked_for_both_ways_and_a_filter_as_it_is_written() {
        let plain = request(&[]);
        assert_eq!((plain.filter.as_str(), plain.direction), ("", CallDirection::Out));
        let shop = request(&["--ns", "shop"]);
        assert_eq!(
            (shop.filter.as_str(), shop.direction),
            (r#"ns == "shop""#, CallDirection::Both)
        );
        let both = request(&[
            "--ns",
            "shop",
            "dst_port == 443 || dst_port == 80",
            "--direction",
            "in",
        ]);
        assert_eq!(
            both.filter,
            r#"ns == "shop" && (dst_port == 443 || dst_port == 80)"#
        );
        assert_eq!(both.direction, CallDirection::In);
    }

    #[test]
    fn what_there_is_not_is_refused() {
        for words in [
            ["--direction", "up"],
            ["--by", "zone"],
            ["--limit", "0"],
            ["--objects", "cluster.yaml"],
            ["-f", "new.yaml"],
            ["--profile", "antrea"],
        ] {
            assert!(
                Line::try_parse_from(["matrix"].iter().chain(&words)).is_err(),
                "{words:?}"
            );
        }
    }
}
