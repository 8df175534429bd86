//! `weir export`: all records that fit, into a file, a pipe or a store of their own, of a
//! collector or out of its files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;
use http_body_util::BodyExt;
use weir_process::signals::Signals;
use weir_query::{
    AnswerRows, ArrowRecords, Engine, ExportFormat, ExportRequest, ExportWriter, NoteKind, StoreWriter,
};

use crate::completion;
use crate::effect::refuse_without_effect;
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
    /// Write to this file [default: standard output]; of a store the directory, which is new
    /// or empty
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
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
    /// A directory that --data-dir opens: records with all their fields and observations,
    /// and their sums
    Store,
}

impl Form {
    /// What rows are written as; none: they become a store.
    const fn written(self) -> Option<ExportFormat> {
        Some(match self {
            Self::Jsonl => ExportFormat::JsonLines,
            Self::Csv => ExportFormat::Csv,
            Self::Arrow => ExportFormat::Arrow,
            Self::Parquet => ExportFormat::Parquet,
            Self::Store => return None,
        })
    }

    /// What a collector is asked for: a store is made here.
    const fn asked(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Arrow | Self::Store => "arrow",
            Self::Parquet => "parquet",
        }
    }
}

/// Where records go.
enum Sink {
    /// In this form, written here.
    File(Box<ExportWriter>, Box<dyn Write>),
    /// Into a store.
    Store(Box<StoreWriter>),
}

impl Sink {
    fn open(args: &ExportArgs) -> Result<Self> {
        let Some(format) = args.format.written() else {
            let to = args.to.as_ref();
            let to = to.context("--format store needs --to DIRECTORY, which is new or empty")?;
            return Ok(Self::Store(Box::new(StoreWriter::begin(to)?)));
        };
        let to: Box<dyn Write> = match &args.to {
            Some(path) => {
                let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
                Box::new(BufWriter::new(file))
            }
            None => Box::new(BufWriter::new(io::stdout())),
        };
        Ok(Self::File(Box::new(ExportWriter::new(format)), to))
    }

    fn write(&mut self, rows: &AnswerRows) -> Result<()> {
        match self {
            Self::File(writer, to) => to.write_all(&writer.write(rows)?)?,
            Self::Store(writer) => writer.write(rows)?,
        }
        Ok(())
    }

    /// Ends what is whole. Of a store that lacks records nothing is left.
    fn finish(self, is_whole: bool) -> Result<()> {
        match self {
            Self::File(writer, mut to) => {
                to.write_all(&writer.finish()?)?;
                to.flush()?;
            }
            Self::Store(writer) if is_whole => {
                writer.finish()?;
            }
            Self::Store(_) => {
                say("nothing is written: a store that lacks records would be taken for the whole")
            }
        }
        Ok(())
    }
}

/// Writes the records. The exit code is 1 when not all of them are there.
///
/// # Errors
/// The question is wrong, nobody answers, or nothing can be written.
pub async fn run(args: ExportArgs) -> Result<ExitCode> {
    let is_store = args.format.written().is_none();
    if is_store {
        let given = [("--columns", !args.columns.is_empty())];
        refuse_without_effect(&given, "with --format store, which has all fields")?;
    }
    let (since, until) = args.selection.time.range()?;
    let request = ExportRequest {
        filter: args.selection.filter(),
        since,
        until,
        columns: args.columns.clone(),
        // Whoever asks the store says which of them count.
        all_observations: args.selection.all_observations || is_store,
    };
    let source = args.source.open().await?;
    let sink = Sink::open(&args)?;
    let interrupted = async { Ok::<_, anyhow::Error>(Signals::install()?.next().await) };
    // Dropped before its end a store leaves nothing; a file says by its end what it is.
    tokio::select! {
        biased;
        signal = interrupted, if is_store => {
            say("broken off: nothing is written");
            Ok(ExitCode::from(signal?.exit_code()))
        }
        is_whole = write(&source, &request, args.format, sink) => Ok(match is_whole? {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }),
    }
}

async fn write(source: &Source, request: &ExportRequest, form: Form, sink: Sink) -> Result<bool> {
    match source {
        Source::Directory(engine) => local(engine.as_ref(), request, sink).await,
        Source::Server(server) => remote(server, request, form, sink).await,
    }
}

async fn local(engine: &dyn Engine, request: &ExportRequest, mut sink: Sink) -> Result<bool> {
    let export = engine.export(request, &source::limits()).await;
    let mut export = export.map_err(weir_collector::api::problem::Problem::from)?;
    while let Some(rows) = export.next()? {
        sink.write(&rows)?;
        // Whoever breaks it off is heard.
        tokio::task::yield_now().await;
    }
    let notes = export.notes();
    for note in &notes {
        say(&format!("note: {}", note.message));
    }
    let is_whole = !notes.iter().any(|note| note.kind == NoteKind::Unreadable);
    sink.finish(is_whole)?;
    Ok(is_whole)
}

async fn remote(server: &Server, request: &ExportRequest, form: Form, mut sink: Sink) -> Result<bool> {
    let mut pairs = vec![
        ("filter", request.filter.clone()),
        ("since", request.since.0.to_string()),
        ("until", request.until.0.to_string()),
        ("all_observations", request.all_observations.to_string()),
        ("format", form.asked().to_owned()),
    ];
    pairs.extend(source::list("columns", &request.columns));
    let mut body = server.body("export", &pairs).await?;
    let mut records = ArrowRecords::default();
    // A body that breaks off is an error; trailers do not pass every proxy.
    let mut is_whole = true;
    while let Some(frame) = body.frame().await {
        let frame = frame.with_context(|| format!("{server} broke the export off"))?;
        match (frame.into_data(), &mut sink) {
            (Ok(bytes), Sink::File(_, to)) => to.write_all(&bytes)?,
            (Ok(bytes), Sink::Store(writer)) => {
                for rows in records.read(&bytes)? {
                    writer.write(&rows)?;
                }
            }
            (Err(frame), _) => {
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
    match sink {
        // The collector has ended the form.
        Sink::File(_, mut to) => to.flush()?,
        store => {
            records
                .finish()
                .with_context(|| format!("{server} broke the export off"))?;
            store.finish(is_whole)?;
        }
    }
    Ok(is_whole)
}
