//! In which form an answer is written: as `format=` says, else as `Accept` does.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use serde::Deserialize;
use utoipa::ToSchema;

use super::problem::Problem;

/// A form of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `application/json`.
    Json,
    /// `text/csv` with a line of names.
    Csv,
    /// `application/vnd.apache.arrow.stream`: an Arrow IPC stream.
    Arrow,
}

impl Format {
    const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Arrow];

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// The form to write: the one asked for, else the best that is accepted.
    ///
    /// # Errors
    /// None is accepted.
    pub fn choose(asked: Option<Self>, headers: &HeaderMap) -> Result<Self, Problem> {
        choose(
            asked,
            &Self::ALL.map(|format| (format, format.media_type())),
            headers,
        )
    }
}

/// A form of tables that are no flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TableForm {
    /// `application/json`.
    Json,
    /// `text/csv` with a line of names.
    Csv,
}

impl TableForm {
    /// The form to write: the one asked for, else the best that is accepted.
    ///
    /// # Errors
    /// None is accepted.
    pub fn choose(asked: Option<Self>, headers: &HeaderMap) -> Result<Self, Problem> {
        let all = [
            (Self::Json, Format::Json.media_type()),
            (Self::Csv, Format::Csv.media_type()),
        ];
        choose(asked, &all, headers)
    }
}

/// A form of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GeneratedForm {
    /// `application/json`: the objects, and what one should know of them.
    Json,
    /// `application/yaml`: the objects alone, with comments.
    Yaml,
}

/// YAML (RFC 9512).
pub const YAML: &str = "application/yaml";

impl GeneratedForm {
    /// The form to write: the one asked for, else the best that is accepted.
    ///
    /// # Errors
    /// None is accepted.
    pub fn choose(asked: Option<Self>, headers: &HeaderMap) -> Result<Self, Problem> {
        let all = [(Self::Json, Format::Json.media_type()), (Self::Yaml, YAML)];
        choose(asked, &all, headers)
    }
}

/// The form that is asked for, else the best of these that is accepted, the first of equals.
fn choose<T: Copy>(asked: Option<T>, all: &[(T, &'static str)], headers: &HeaderMap) -> Result<T, Problem> {
    if let Some(format) = asked {
        return Ok(format);
    }
    let accepted: Vec<&str> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .collect();
    let accepted = match accepted.is_empty() {
        true => "*/*".to_owned(),
        false => accepted.join(","),
    };
    let weights = all
        .iter()
        .map(|(form, media_type)| (weight(media_type, &accepted), *form));
    let best = weights.rev().max_by_key(|(weight, _)| *weight);
    match best {
        Some((weight, form)) if weight > 0 => Ok(form),
        _ => {
            let all: Vec<&str> = all.iter().map(|(_, media_type)| essence(media_type)).collect();
            Err(Problem::not_acceptable(&all))
        }
    }
}

/// A media type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default()
}

/// How much a media type is wanted, in thousandths (RFC 9110 section 12.5.1): the most
/// specific range that fits it says so.
fn weight(media_type: &str, accepted: &str) -> u32 {
    let full = essence(media_type);
    let family = full.split('/').next().unwrap_or_default();
    let fits = |range: &str| match range.trim() {
        range if range.eq_ignore_ascii_case(full) => Some(2),
        range
            if range
                .strip_suffix("/*")
                .is_some_and(|f| f.eq_ignore_ascii_case(family)) =>
        {
            Some(1)
        }
        "*/*" => Some(0),
        _ => None,
    };
    let ranges = accepted.split(',').filter_map(|range| {
        let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
        Some((fits(range)?, quality(parameters)))
    });
    ranges
        .max_by_key(|(rank, _)| *rank)
        .map_or(0, |(_, quality)| quality)
}

pub(super) fn quality(parameters: &str) -> u32 {
    let quality = parameters.split(';').find_map(|p| p.trim().strip_prefix("q="));
    let quality = quality.and_then(|q| q.trim().parse::<f32>().ok()).unwrap_or(1.0);
    (quality.clamp(0.0, 1.0) * 1000.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(accept: &[&str]) -> Option<Format> {
        let values = accept.iter().map(|value| (ACCEPT, value.parse().unwrap()));
        Format::choose(None, &values.collect()).ok()
    }

    #[test]
    fn the_form_is_the_best_that_is_accepted_and_json_among_equals() {
        assert_eq!(choose(&[]), Some(Format::Json));
        assert_eq!(choose(&["*/*"]), Some(Format::Json));
        assert_eq!(choose(&["text/csv"]), Some(Format::Csv));
        assert_eq!(
            choose(&["text/*;q=0.5, application/json;q=0.4"]),
            Some(Format::Csv)
        );
        assert_eq!(
            choose(&["application/vnd.apache.arrow.stream, */*;q=0.1"]),
            Some(Format::Arrow)
        );
        assert_eq!(choose(&["application/*"]), Some(Format::Json));
        assert_eq!(
            choose(&["application/json;q=0", "text/csv;q=0.1"]),
            Some(Format::Csv)
        );
        assert_eq!(choose(&["text/html"]), None);
        assert_eq!(choose(&["*/*;q=0"]), None);
    }

    #[test]
    fn the_parameter_beats_the_header() {
        let headers = HeaderMap::from_iter([(ACCEPT, "text/html".parse().unwrap())]);
        assert_eq!(Format::choose(Some(Format::Csv), &headers), Ok(Format::Csv));
    }
}
