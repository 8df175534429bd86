//! All records that fit, as a stream of any length. A thread an export reads and writes,
//! one piece at a time; it ends when nobody reads any more. A body that ends is whole, and its
//! trailers (RFC 9110 section 6.5) say so, and how many records it has; what is not whole
//! breaks off.

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
use weir_query::{Engine, ExportFormat, ExportRequest, ExportWriter, Limits, NoteKind, RecordExport};

use super::offer::{NotTaken, offer};
use super::params::ExportParams;
use super::problem::Problem;
use super::reply::problem;
use super::turns::Turn;
use super::{EXPORTS, EXPORTS_OF_ONE};

/// Pieces that may wait for the network.
const WAITING: usize = 4;
/// How long an export may take: whoever was let in then is not looked at again.
const LONGEST: Duration = Duration::from_secs(3_600);

/// How long a piece may wait for who reads.
const PATIENCE: Duration = Duration::from_secs(60);
/// All records are there.
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
    let export = engine.export(&request, limits).await;
    let export = export.map_err(|error| {
        let fields = vec![("columns", request.columns.clone())];
        problem(error, request.filter.clone(), fields)
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
    let frames = stream::unfold(Some(written), async |written| next(written?).await);
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

/// The next piece, until there was the last of a whole export, or none any more.
async fn next(mut written: mpsc::Receiver<Piece>) -> Option<(Piece, Option<mpsc::Receiver<Piece>>)> {
    match written.recv().await {
        Some(Ok(piece)) if piece.is_data() => Some((Ok(piece), Some(written))),
        Some(last) => Some((last, None)),
        // Its thread died, and could not say so.
        None => Some((Err(io::Error::other("the export broke off")), None)),
    }
}

/// A piece of the body, its trailers, or why it breaks off here. Trailers are the last of a
/// whole export.
type Piece = io::Result<Frame<Bytes>>;

struct Work {
    export: Box<dyn RecordExport>,
    writer: ExportWriter,
    ends: Instant,
    records: u64,
    pieces: mpsc::Sender<Piece>,
}

/// Why an export ends before its end.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("nobody reads any more")]
    Gone,
    #[error("no piece was taken within {PATIENCE:?}")]
    NotTaken,
    #[error("it took longer than {LONGEST:?}")]
    TooLong,
    #[error("a file could not be read: {0}")]
    Unreadable(String),
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl Work {
    fn run(mut self) {
        let cut = match self.copy() {
            Ok(()) => return,
            Err(Cut::Gone) => return,
            Err(cut) => cut,
        };
        tracing::warn!(%cut, records = self.records, "an export broke off");
        // The body breaks off, too, and so everybody sees that it is not whole.
        let why = match cut {
            Cut::Failed(_) => "it failed; the collector's log says why".to_owned(),
            cut => cut.to_string(),
        };
        let _ = self.pieces.try_send(Err(io::Error::other(why)));
    }

    /// Copies the records, and says that they are all.
    fn copy(&mut self) -> Result<(), Cut> {
        while let Some(rows) = self.export.next().map_err(io::Error::other)? {
            self.records += rows.len() as u64;
            let bytes = self.writer.write(&rows)?;
            self.send(bytes)?;
        }
        let notes = self.export.notes();
        if let Some(left_out) = notes.iter().find(|note| note.kind == NoteKind::Unreadable) {
            return Err(Cut::Unreadable(left_out.message.clone()));
        }
        let writer = std::mem::replace(&mut self.writer, ExportWriter::new(ExportFormat::JsonLines));
        self.send(writer.finish()?)?;
        let mut trailers = HeaderMap::new();
        trailers.insert(COMPLETE, HeaderValue::from_static("true"));
        trailers.insert(RECORDS, self.records.into());
        for note in notes {
            trailers.extend(HeaderValue::try_from(note.message).ok().map(|note| (NOTE, note)));
        }
        self.offer(Ok(Frame::trailers(trailers)))
    }

    fn send(&self, bytes: Vec<u8>) -> Result<(), Cut> {
        match bytes.is_empty() {
            true if self.pieces.is_closed() => Err(Cut::Gone),
            true => Ok(()),
            false => self.offer(Ok(Frame::data(bytes.into()))),
        }
    }

    /// Waits until there is room for a piece, but not for ever.
    fn offer(&self, piece: Piece) -> Result<(), Cut> {
        if Instant::now() >= self.ends {
            return Err(Cut::TooLong);
        }
        offer(&self.pieces, piece, PATIENCE, self.ends).map_err(|not_taken| match not_taken {
            NotTaken::Gone => Cut::Gone,
            NotTaken::InTime => Cut::NotTaken,
            NotTaken::Over => Cut::TooLong,
        })
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

    #[tokio::test]
    async fn a_body_without_the_last_piece_of_a_whole_export_breaks_off() {
        let (pieces, written) = mpsc::channel(WAITING);
        pieces.send(Ok(Frame::data(Bytes::from("a")))).await.unwrap();
        drop(pieces);
        let (piece, written) = next(written).await.unwrap();
        assert!(piece.unwrap().is_data());
        let (piece, written) = next(written.unwrap()).await.unwrap();
        assert!(piece.is_err() && written.is_none(), "its thread died");
        let (pieces, written) = mpsc::channel(WAITING);
        pieces.send(Ok(Frame::trailers(HeaderMap::new()))).await.unwrap();
        let (piece, written) = next(written).await.unwrap();
        assert!(piece.is_ok() && written.is_none());
    }
}
