//! `weir fields` and `weir values`: what can be asked for.

use std::convert::Infallible;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap_complete::ArgValueCompleter;
use weir_api::fields::Column;
use weir_collector::api::answer::{FieldAnswer, FieldsAnswer};
use weir_query::ValuesRequest;

use crate::completion;
use crate::plain::{Plain, PlainArgs};
use crate::show;
use crate::source::SourceArgs;
use crate::table::{Head, Table, harmless};
use crate::terminal::{self, say};
use crate::time::TimeArgs;

/// Arguments of `weir fields`.
#[derive(Debug, Args)]
pub struct FieldsArgs {
    /// Only fields with this in their name or description
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    #[command(flatten)]
    output: PlainArgs,
}

/// Arguments of `weir values`.
#[derive(Debug, Args)]
pub struct ValuesArgs {
    /// Name of the field
    #[arg(value_name = "FIELD", add = ArgValueCompleter::new(completion::fields))]
    field: String,
    /// What the values begin with
    #[arg(value_name = "PREFIX", default_value = "", hide_default_value = true,
          add = ArgValueCompleter::new(completion::values))]
    prefix: String,
    #[command(flatten)]
    time: TimeArgs,
    /// Values to show
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    output: PlainArgs,
    #[command(flatten)]
    source: SourceArgs,
}

/// The name under which answers have a field: `src_` may stand before one of the source
/// side. What is no field the collector refuses.
pub fn canonical(name: &str) -> String {
    // Behind an address may stand how many bits of it.
    let is_field = |bare: &&str| Column::find(bare.split('/').next().unwrap_or(bare)).is_some();
    let bare = name.strip_prefix("src_").filter(is_field);
    bare.filter(|_| Column::find(name).is_none())
        .unwrap_or(name)
        .to_owned()
}

/// The same for the command line.
///
/// # Errors
/// None.
pub fn parse_field(name: &str) -> Result<String, Infallible> {
    Ok(canonical(name.trim()))
}

/// Runs `weir fields`: the table is in this program, nobody is asked.
///
/// # Errors
/// Standard output is gone.
pub fn fields(args: &FieldsArgs) -> Result<ExitCode> {
    let form = args.output.form()?;
    let mut fields = FieldsAnswer::all();
    if let Some(text) = &args.text {
        fields
            .fields
            .retain(|field| mentions(field, &text.to_lowercase()));
    }
    if fields.fields.is_empty() {
        say("no field has that in its name or description");
    }
    match form {
        Plain::Json => show::json(&mut io::stdout(), &fields, terminal::width().is_some())?,
        Plain::Name => print_names(fields.fields.iter().map(|field| &field.name))?,
        Plain::Table => {
            let heads = [
                Head::whole("FIELD").weighing(3),
                Head::text("DESTINATION"),
                Head::text("TYPE"),
                Head::text("MEANING").weighing(2).cut_to(20),
            ];
            let rows = fields.fields.iter().map(|field| {
                let not_filled = if field.filled { "" } else { "not filled yet" };
                let about = [not_filled, &field.description, &field.unit];
                let about: Vec<&str> = about.into_iter().filter(|text| !text.is_empty()).collect();
                let dst = field.dst_name.clone().unwrap_or_default();
                vec![field.name.clone(), dst, field.kind.clone(), about.join("; ")]
            });
            print_table(heads.to_vec(), rows, &args.output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn mentions(field: &FieldAnswer, text: &str) -> bool {
    let dst = field.dst_name.as_deref().unwrap_or_default();
    let places = [
        &field.name,
        dst,
        &field.description,
        &field.netobserv,
        &field.unit,
    ];
    places.iter().any(|place| place.to_lowercase().contains(text))
}

/// Runs `weir values`.
///
/// # Errors
/// There is no such field, or nobody answers.
pub async fn values(args: ValuesArgs) -> Result<ExitCode> {
    let form = args.output.form()?;
    let (since, until) = args.time.range()?;
    let source = args.source.open().await?;
    let request = ValuesRequest {
        field: args.field,
        prefix: args.prefix,
        filter: String::new(),
        since,
        until,
        limit: Some(args.limit),
    };
    let answer = terminal::patiently(source.values(&request)).await?;
    if answer.values.is_empty() {
        say("nothing was found: the field has no such value in that time");
    }
    match form {
        Plain::Json => show::json(&mut io::stdout(), &answer, terminal::width().is_some())?,
        Plain::Name => print_names(answer.values.iter().map(|value| &value.value))?,
        Plain::Table => {
            let rows = answer
                .values
                .iter()
                .map(|value| vec![value.value.clone(), value.count.to_string()]);
            let heads = vec![Head::text("VALUE"), Head::number("COUNT")];
            print_table(heads, rows, &args.output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_names<'a>(names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut out = BufWriter::new(io::stdout());
    let is_terminal = terminal::width().is_some();
    for name in names {
        match is_terminal {
            true => writeln!(out, "{}", harmless(name))?,
            false => writeln!(out, "{name}")?,
        }
    }
    Ok(out.flush()?)
}

fn print_table(heads: Vec<Head>, rows: impl Iterator<Item = Vec<String>>, output: &PlainArgs) -> Result<()> {
    let mut table = Table::new(heads);
    rows.for_each(|row| table.push(row));
    show::table(&table, !output.no_headers)
}
