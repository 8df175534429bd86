//! How answers and refusals are sent: their headers, compressed or not.

use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::IntoResponses;
use weir_query::QueryError;

use super::ask::Written;
use super::compress::Coding;
use super::format::Format;
use super::problem::Problem;
use super::suggest::Asked;

/// Where the next page begins, in forms without room for it.
const CURSOR: HeaderName = HeaderName::from_static("weir-cursor");
/// What one should know about an answer, likewise; once for each note.
const NOTE: HeaderName = HeaderName::from_static("weir-note");

/// What every page may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is read by the document alone")]
pub enum Refusal {
    /// A parameter or the filter is wrong.
    #[response(status = 400, content_type = "application/problem+json")]
    Parameter(Problem),
    /// There is no token, or Kubernetes does not accept it.
    #[response(status = 401, content_type = "application/problem+json",
               headers(("www-authenticate" = String, description = "`Bearer`")))]
    Unauthorized(Problem),
    /// Whoever asks may not see any of it.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// None of the accepted forms can be written.
    #[response(status = 406, content_type = "application/problem+json")]
    NotAcceptable(Problem),
    /// The answer has too many groups or rows, or takes too much memory; or there is nothing to
    /// answer from.
    #[response(status = 422, content_type = "application/problem+json")]
    TooMuch(Problem),
    /// Too many queries are worked on.
    #[response(status = 429, content_type = "application/problem+json",
               headers(("retry-after" = u32, description = "Seconds after which to try again")))]
    Busy(Problem),
    /// The query failed.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// There is no store, Kubernetes does not answer, or which policies there are is not known.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
    /// The query took too long.
    #[response(status = 504, content_type = "application/problem+json")]
    Timeout(Problem),
}

/// Sends an answer as JSON.
pub fn send_json(answer: &impl Serialize, coding: Option<Coding>) -> Response {
    match serde_json::to_vec(answer) {
        Ok(body) => send(
            Written {
                media_type: Format::Json.media_type(),
                body,
                cursor: None,
                notes: Vec::new(),
            },
            coding,
        ),
        Err(error) => Problem::internal(error.to_string()).into_response(),
    }
}

/// Sends an answer in the form that it has.
pub fn send(written: Written, coding: Option<Coding>) -> Response {
    let format = HeaderValue::from_static(written.media_type);
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, format)]);
    headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    let (body, coding) = Coding::apply(coding, written.body);
    if let Some(coding) = coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    if let Some(Ok(cursor)) = written.cursor.map(HeaderValue::try_from) {
        headers.insert(CURSOR, cursor);
    }
    for note in written
        .notes
        .into_iter()
        .filter_map(|note| HeaderValue::try_from(note).ok())
    {
        headers.append(NOTE, note);
    }
    (StatusCode::OK, headers, body).into_response()
}

/// The problem of a question with this filter and these fields in its parameters; a fault
/// of ours goes to the log, too.
pub fn problem(error: QueryError, filter: String, fields: Vec<(&'static str, Vec<String>)>) -> Problem {
    if let QueryError::Engine(why) = &error {
        tracing::error!(why, "a query failed");
    }
    Problem::of(error, &Asked { filter, fields })
}
