//! What goes wrong, as problem details (RFC 9457): one form for every error.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_query::QueryError;

use super::suggest::{Asked, Suggestion, suggestions};

/// Media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";
/// The word for [`Problem::no_policies`].
const NO_POLICIES: &str = "no-policies";

/// Why a request was not answered (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// What kind of problem it is: `urn:weir:` and a word.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Box<str>,
    /// The kind in words.
    #[schema(value_type = String)]
    pub title: Box<str>,
    /// The status code of the answer.
    pub status: u16,
    /// What is wrong with this request, and what helps.
    pub detail: String,
    /// Where in the filter, in characters from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub column: Option<usize>,
    /// The name that may have been meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub nearest: Option<Box<str>>,
    /// What to ask instead.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<Suggestion>, required = false)]
    pub suggest: Box<[Suggestion]>,
    /// What is wrong with the objects of a body, each with its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<BodyError>, required = false)]
    pub errors: Option<Box<BodyErrors>>,
}

/// All that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BodyErrors(pub Vec<BodyError>);

/// What is wrong with an object of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BodyError {
    /// Which document, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub document: Option<usize>,
    /// In which line of the body, from 1: where the document begins, of what cannot be read
    /// where that ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<u64>,
    /// Where in the object: `spec.ingress[0].from[1].ipBlock.cidr`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

impl Problem {
    fn new(status: StatusCode, word: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:weir:{word}").into(),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            column: None,
            nearest: None,
            suggest: Box::default(),
            errors: None,
        }
    }

    /// The problem of a question, with what to ask instead.
    pub fn of(error: QueryError, asked: &Asked) -> Self {
        let suggest = suggestions(&error, asked).into();
        Self {
            suggest,
            ..error.into()
        }
    }

    /// A parameter is wrong.
    pub fn parameter(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "parameter",
            "A parameter is wrong",
            detail,
        )
    }

    /// The filter is wrong, at this column, and this may have been meant.
    pub fn filter(detail: impl Into<String>, column: Option<usize>, nearest: Option<String>) -> Self {
        Self {
            column,
            nearest: nearest.map(Into::into),
            ..Self::new(StatusCode::BAD_REQUEST, "filter", "The filter is wrong", detail)
        }
    }

    /// Nobody knows who asks.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Say who you are",
            detail,
        )
    }

    /// Whoever asks may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "You may not see this", detail)
    }

    /// There is nothing under that path.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is no such page",
            "see /api/v1/openapi.json",
        )
    }

    /// The page takes other methods.
    pub fn method() -> Self {
        let detail = "the header Allow has the methods that this page takes";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Wrong method", detail)
    }

    /// None of the forms that are accepted can be written.
    pub fn not_acceptable(all: &[&str]) -> Self {
        let detail = format!("answers can be {}", all.join(", "));
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            "not-acceptable",
            "No such form of answer",
            detail,
        )
    }

    /// The objects of a body are not as they must be.
    pub fn objects(detail: impl Into<String>, errors: Vec<BodyError>) -> Self {
        Self {
            errors: Some(Box::new(BodyErrors(errors))),
            ..Self::new(
                StatusCode::BAD_REQUEST,
                "objects",
                "The objects are not as they must be",
                detail,
            )
        }
    }

    /// The body is too long.
    pub fn too_long(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-long",
            "The body is too long",
            detail,
        )
    }

    /// There is nothing to answer from, or what came out does not hold.
    pub fn no_answer(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "no-answer",
            "There is no answer",
            detail,
        )
    }

    /// There is no cluster whose export could be told.
    pub fn no_cluster(detail: impl Into<String>) -> Self {
        Self::new(
            // It will not be otherwise when somebody tries again.
            StatusCode::UNPROCESSABLE_ENTITY,
            "no-cluster",
            "There is no cluster",
            detail,
        )
    }

    /// Which policies there are is not known here, or not yet.
    pub fn no_policies(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            NO_POLICIES,
            "The policies are not known",
            detail,
        )
    }

    /// Whether it is the one of [`Problem::no_policies`].
    pub fn is_no_policies(&self) -> bool {
        self.kind.strip_prefix("urn:weir:") == Some(NO_POLICIES)
    }

    /// The answer is too large, or takes too much to make.
    pub fn too_much(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "too-much",
            "That is too much",
            detail,
        )
    }

    /// There are too many requests at a time.
    pub fn busy(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "busy",
            "Too many queries at a time",
            detail,
        )
    }

    /// It was not its asker's turn: asked again later, it may be.
    pub fn is_busy(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS.as_u16()
    }

    /// It took too long.
    pub fn timeout(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "The query took too long",
            detail,
        )
    }

    /// It cannot be answered now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not now", detail)
    }

    /// No connection is left but for probes.
    pub fn full() -> Self {
        Self::unavailable("all connections are taken; only /healthz, /readyz and /metrics answer now")
    }

    /// A fault of ours.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The query failed",
            detail,
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))]);
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        // The headers come last: they replace what `Json` says of itself.
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().extend(headers);
        response
    }
}

/// What a person is told who asked this.
impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let text = error.to_string();
        match error {
            QueryError::Filter(wrong) => Self::filter(text, Some(wrong.column), wrong.nearest),
            QueryError::UnknownField { nearest, .. } => Self {
                nearest: nearest.map(Into::into),
                ..Self::parameter(text)
            },
            QueryError::Invalid(_) => Self::parameter(text),
            QueryError::TooManyGroups(_) | QueryError::TooManyRows(_) | QueryError::Memory(_) => {
                Self::too_much(text)
            }
            QueryError::Timeout(_) => Self::timeout(text),
            QueryError::Engine(_) => Self::internal(text),
        }
    }
}
