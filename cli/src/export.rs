//! `weir export`: all records that fit, into a file or a pipe, of a collector or out of
//! its files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use http_body_util::BodyExt;
use weir_query::{Engine, ExportFormat, ExportRequest, ExportWriter, NoteKind};

use crate::completion;
use crate::fields::parse_field;
use crate::flows::FlowSelection;
use crate::server::Server;
use crate::source::{self, Source, SourceArgs};
use crate::terminal::say;

/// Arguments of `weir export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    selection: FlowSelection,
    /// Fields to write, with commas in between [default: all]
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', value_parser = parse_field,
          add = ArgValueCompleter::new(completion::fields))]
    columns: Vec<String>,
    /// The form to write
    #[arg(long, value_enum, default_value_t = Form::Jsonl)]
    format: Form,
    /// Write to this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A JSON object a line
    Jsonl,
    /// A line of names, then a line a record
    Csv,
    /// An Arrow IPC stream
    Arrow,
    /// A Parquet file
    Parquet,
}

impl Form {
    const fn written(self) -> ExportFormat {
        match self {
            Self::Jsonl => ExportFormat::JsonLines,
            Self::Csv => ExportFormat::Csv,
            Self::Arrow => ExportFormat::Arrow,
            Self::Parquet => ExportFormat::Parquet,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }
}

/// Writes the records. The exit code is 1 when not all of them are there.
///
/// # Errors
/// The question is wrong, nobody answers, or nothing can be written.
pub async fn run(args: ExportArgs) -> Result<ExitCode> {
    let (since, until) = args.selection.time.range()?;
    let request = ExportRequest {
        filter: args.selection.filter(),
        since,
        until,
        columns: args.columns,
        all_observations: args.selection.all_observations,
    };
    let source = args.source.open().await?;
    let mut to: Box<dyn Write> = match &args.to {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Box::new(BufWriter::new(file))
        }
        None => Box::new(BufWriter::new(io::stdout())),
    };
    let is_whole = match &source {
        Source::Directory(engine) => local(engine.as_ref(), &request, args.format, &mut to).await?,
        Source::Server(server) => remote(server, &request, args.format, &mut to).await?,
    };
    to.flush()?;
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn local(
    engine: &dyn Engine,
    request: &ExportRequest,
    form: Form,
    to: &mut impl Write,
) -> Result<bool> {
    let export = engine.export(request, &source::limits()).await;
    let mut export = export.map_err(weir_collector::api::problem::Problem::from)?;
    let mut writer = ExportWriter::new(form.written());
    while let Some(rows) = export.next()? {
        to.write_all(&writer.write(&rows)?)?;
    }
    to.write_all(&writer.finish()?)?;
    let notes = export.notes();
    for note in &notes {
        say(&format!("note: {}", note.message));
    }
    Ok(!notes.iter().any(|note| note.kind == NoteKind::Unreadable))
}

async fn remote(server: &Server, request: &ExportRequest, form: Form, to: &mut impl Write) -> Result<bool> {
    let mut pairs = vec![
        ("filter", request.filter.clone()),
        ("since", request.since.0.to_string()),
        ("until", request.until.0.to_string()),
        ("all_observations", request.all_observations.to_string()),
        ("format", form.name().to_owned()),
    ];
    pairs.extend(source::list("columns", &request.columns));
    let mut body = server.body("export", &pairs).await?;
    // A body that breaks off is an error; trailers do not pass every proxy.
    let mut is_whole = true;
    while let Some(frame) = body.frame().await {
        let frame = frame.with_context(|| format!("{server} broke the export off"))?;
        match frame.into_data() {
            Ok(bytes) => to.write_all(&bytes)?,
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                for note in trailers.get_all("weir-note") {
                    say(&format!("note: {}", note.to_str().unwrap_or_default()));
                }
                is_whole = trailers
                    .get("weir-complete")
                    .is_none_or(|complete| complete == "true");
            }
        }
    }
    Ok(is_whole)
}
