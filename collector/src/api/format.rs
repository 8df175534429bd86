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
        if let Some(format) = asked {
            return Ok(format);
        }
        let accepted: Vec<&str> = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .collect();
        if accepted.is_empty() {
            return Ok(Self::Json);
        }
        let accepted = accepted.join(",");
        let weights = Self::ALL.map(|format| (weight(format, &accepted), format));
        // The first of equals: JSON before CSV before Arrow.
        let best = weights.into_iter().rev().max_by_key(|(weight, _)| *weight);
        match best {
            Some((weight, format)) if weight > 0 => Ok(format),
            _ => Err(Problem::not_acceptable()),
        }
    }
}

/// How much a format is wanted, in thousandths (RFC 9110 section 12.5.1): the most
/// specific range that fits it says so.
fn weight(format: Format, accepted: &str) -> u32 {
    let full = format.media_type().split(';').next().unwrap_or_default();
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
