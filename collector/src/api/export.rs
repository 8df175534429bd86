//! All records that fit, as a stream of any length. A thread an export reads and writes,
//! one piece at a time; it ends when nobody reads any more. Whether all is there is said
//! in trailers (RFC 9110 section 6.5): who gets none knows it by the end of the body, which
//! breaks off where the export did.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue, TRAILER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;
use weir_query::{Engine, ExportFormat, ExportRequest, ExportWriter, Limits, RecordExport};

use super::params::ExportParams;
use super::problem::Problem;
use super::suggest::Asked;
use super::turns::Turn;
use super::{EXPORTS, EXPORTS_OF_ONE};

/// Pieces that may wait for the network.
const WAITING: usize = 4;
/// How long an export may take: whoever was let in then is not looked at again.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Whether all records are there.
const COMPLETE: HeaderName = HeaderName::from_static("weir-complete");
/// How many were written.
const RECORDS: HeaderName = HeaderName::from_static("weir-records");
/// What one should know, once for each note.
const NOTE: HeaderName = HeaderName::from_static("weir-note");

/// A form of exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportForm {
    /// `application/x-ndjson`: a JSON object a line.
    Jsonl,
    /// `text/csv` with a line of names.
    Csv,
    /// `application/vnd.apache.arrow.stream`: an Arrow IPC stream.
    Arrow,
    /// `application/vnd.apache.parquet`: a Parquet file.
    Parquet,
}

impl ExportForm {
    const ALL: [Self; 4] = [Self::Jsonl, Self::Csv, Self::Arrow, Self::Parquet];

    const fn media_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    const fn file(self) -> &'static str {
        match self {
            Self::Jsonl => "attachment; filename=\"flows.jsonl\"",
            Self::Csv => "attachment; filename=\"flows.csv\"",
            Self::Arrow => "attachment; filename=\"flows.arrows\"",
            Self::Parquet => "attachment; filename=\"flows.parquet\"",
        }
    }

    const fn written(self) -> ExportFormat {
        match self {
            Self::Jsonl => ExportFormat::JsonLines,
            Self::Csv => ExportFormat::Csv,
            Self::Arrow => ExportFormat::Arrow,
            Self::Parquet => ExportFormat::Parquet,
        }
    }

    /// The one asked for, else the first that is named in `Accept`, else lines of JSON.
    pub fn choose(asked: Option<Self>, headers: &HeaderMap) -> Self {
        let accepted = headers
            .get(ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .unwrap_or_default();
        let mut ranges = accepted
            .split(',')
            .map(|range| range.split(';').next().unwrap_or_default().trim());
        let named = ranges.find_map(|range| {
            let plain = |form: &&Self| form.media_type().split(';').next() == Some(range);
            Self::ALL.iter().find(plain).copied()
        });
        asked.or(named).unwrap_or(Self::Jsonl)
    }
}

/// Why another export is refused.
pub fn too_many() -> Problem {
    Problem::busy(format!(
        "{EXPORTS} exports run already, or {EXPORTS_OF_ONE} of yours; try again"
    ))
}

/// Begins an export, whose turn it is.
///
/// # Errors
/// The filter, a column or the range is wrong.
pub async fn begin(
    engine: &dyn Engine,
    params: ExportParams,
    form: ExportForm,
    limits: &Limits,
    turn: Turn,
) -> Result<Response, Problem> {
    let request = ExportRequest {
        filter: params.filter,
        since: params.since,
        until: params.until,
        columns: params.columns.0,
        all_observations: params.all_observations,
    };
    let export = engine.export(&request, limits).await.map_err(|error| {
        let fields = vec![("columns", request.columns.clone())];
        Problem::of(
            error,
            &Asked {
                filter: request.filter.clone(),
                fields,
            },
        )
    })?;
    let (pieces, written) = mpsc::channel(WAITING);
    let work = Work {
        export,
        writer: ExportWriter::new(form.written()),
        ends: Instant::now() + LONGEST,
        records: 0,
        pieces,
    };
    let run = move || {
        let _turn = turn;
        work.run();
    };
    let spawned = thread::Builder::new().name("export".to_owned()).spawn(run);
    spawned.map_err(|error| Problem::unavailable(format!("no thread for an export: {error}")))?;
    let frames = stream::unfold(written, async |mut written: mpsc::Receiver<_>| {
        let frame = written.recv().await?;
        Some((frame, written))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(form.media_type())),
        (CONTENT_DISPOSITION, HeaderValue::from_static(form.file())),
        (
            TRAILER,
            HeaderValue::from_static("weir-complete, weir-records, weir-note"),
        ),
    ];
    Ok((StatusCode::OK, headers, Body::new(StreamBody::new(frames))).into_response())
}

type Piece = io::Result<Frame<Bytes>>;

struct Work {
    export: Box<dyn RecordExport>,
    writer: ExportWriter,
    ends: Instant,
    records: u64,
    pieces: mpsc::Sender<Piece>,
}

/// Nobody reads any more.
struct Gone;

impl Work {
    fn run(mut self) {
        match self.copy() {
            Ok(Ok(is_complete)) => drop(self.end(is_complete)),
            Ok(Err(error)) => {
                tracing::error!(%error, "an export failed");
                // The body breaks off, and so everybody sees that it is not whole.
                let _ = self.pieces.blocking_send(Err(error));
            }
            Err(Gone) => {}
        }
    }

    /// Copies the records; false when there are more than there was time for.
    fn copy(&mut self) -> Result<io::Result<bool>, Gone> {
        loop {
            if Instant::now() >= self.ends {
                return Ok(Ok(false));
            }
            let rows = match self.export.next() {
                Ok(Some(rows)) => rows,
                Ok(None) => return Ok(Ok(true)),
                Err(error) => return Ok(Err(io::Error::other(error))),
            };
            self.records += rows.len() as u64;
            match self.writer.write(&rows) {
                Ok(bytes) => self.send(bytes)?,
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    fn send(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        match bytes.is_empty() {
            true if self.pieces.is_closed() => Err(Gone),
            true => Ok(()),
            false => {
                let sent = self.pieces.blocking_send(Ok(Frame::data(bytes.into())));
                sent.map_err(|_| Gone)
            }
        }
    }

    /// The end of the form, then the trailers.
    fn end(mut self, is_complete: bool) -> Result<(), Gone> {
        let writer = std::mem::replace(&mut self.writer, ExportWriter::new(ExportFormat::JsonLines));
        match writer.finish() {
            Ok(bytes) => self.send(bytes)?,
            Err(error) => {
                let _ = self.pieces.blocking_send(Err(error));
                return Err(Gone);
            }
        }
        let notes = self.export.notes();
        let is_whole = is_complete
            && !notes
                .iter()
                .any(|note| note.kind == weir_query::NoteKind::Unreadable);
        let mut trailers = HeaderMap::new();
        trailers.insert(
            COMPLETE,
            HeaderValue::from_static(if is_whole { "true" } else { "false" }),
        );
        trailers.insert(RECORDS, self.records.into());
        let cut = (!is_complete).then(|| format!("the export took longer than {LONGEST:?}, and ends here"));
        let notes = notes.into_iter().map(|note| note.message).chain(cut);
        for note in notes.filter_map(|note| HeaderValue::try_from(note).ok()) {
            trailers.append(NOTE, note);
        }
        let sent = self.pieces.blocking_send(Ok(Frame::trailers(trailers)));
        sent.map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_asked_for_then_the_first_that_is_accepted() {
        let accepts = |text: &str| HeaderMap::from_iter([(ACCEPT, text.parse().unwrap())]);
        let choose = |asked, text| ExportForm::choose(asked, &accepts(text));
        assert_eq!(
            choose(Some(ExportForm::Csv), "application/x-ndjson"),
            ExportForm::Csv
        );
        assert_eq!(choose(None, "text/html, text/csv;q=0.9"), ExportForm::Csv);
        assert_eq!(
            choose(None, "application/vnd.apache.parquet"),
            ExportForm::Parquet
        );
        assert_eq!(choose(None, "*/*"), ExportForm::Jsonl);
        assert_eq!(ExportForm::choose(None, &HeaderMap::new()), ExportForm::Jsonl);
    }
}
