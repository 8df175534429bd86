//! `weir fields` and `weir values`: what can be asked for.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap_complete::ArgValueCompleter;
use weir_collector::api::answer::{FieldAnswer, FieldsAnswer};
use weir_query::{Moment, Since, Until, ValuesRequest};

use crate::completion;
use crate::flows::Plain;
use crate::source::SourceArgs;
use crate::table::{Head, Table};
use crate::terminal;

/// Arguments of `weir fields`.
#[derive(Debug, Args)]
pub struct FieldsArgs {
    /// Only fields with this in their name or description
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Plain::Table)]
    output: Plain,
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
    /// From when on: how long ago (5m, 1h, 2d) or a time of RFC 3339
    #[arg(long, value_name = "TIME", default_value = "1h")]
    since: Moment,
    /// Until when, likewise
    #[arg(long, value_name = "TIME", default_value = "now", hide_default_value = true)]
    until: Moment,
    /// Values to show
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Plain::Table)]
    output: Plain,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs `weir fields`: the table is in this program, nobody is asked.
///
/// # Errors
/// Standard output is gone.
pub fn fields(args: &FieldsArgs) -> Result<ExitCode> {
    let mut fields = FieldsAnswer::all();
    if let Some(text) = &args.text {
        fields
            .fields
            .retain(|field| mentions(field, &text.to_lowercase()));
    }
    match args.output {
        Plain::Json => writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&fields)?)?,
        Plain::Table => {
            let heads = ["FIELD", "DESTINATION", "TYPE", "MEANING"].map(|title| (title, false));
            let rows = fields.fields.iter().map(|field| {
                let not_filled = if field.filled { "" } else { "not filled yet" };
                let about = [not_filled, &field.description, &field.unit];
                let about: Vec<&str> = about.into_iter().filter(|text| !text.is_empty()).collect();
                let dst = field.dst_name.clone().unwrap_or_default();
                vec![field.name.clone(), dst, field.kind.clone(), about.join("; ")]
            });
            print_table(&heads, rows)?;
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
    let source = args.source.open().await?;
    let request = ValuesRequest {
        field: args.field,
        prefix: args.prefix,
        since: Since(args.since),
        until: Until(args.until),
        limit: Some(args.limit),
    };
    let answer = terminal::patiently(source.values(&request)).await?;
    match args.output {
        Plain::Json => writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&answer)?)?,
        Plain::Table => {
            let rows = answer
                .values
                .iter()
                .map(|value| vec![value.value.clone(), value.count.to_string()]);
            print_table(&[("VALUE", false), ("COUNT", true)], rows)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_table(heads: &[(&str, bool)], rows: impl Iterator<Item = Vec<String>>) -> Result<()> {
    let heads = heads.iter().map(|(title, right)| Head {
        title: (*title).to_owned(),
        right: *right,
    });
    let mut table = Table::new(heads.collect());
    rows.for_each(|row| table.push(row));
    let mut out = io::stdout().lock();
    Ok(table.print(&mut out, true)?)
}
