//! The checks of a resource's filters.

use regex::bytes::{Regex, RegexBuilder};

use super::Checker;
use crate::filter::{Filter, Piece, Predicate, Reading, Template};
use crate::problem::ProblemKind;
use crate::resource::{Direction, MatchType, MetricFilter};
use crate::source::{Derived, Source};

/// What the expressions of one metric may take in memory when they are compiled, in bytes.
const EXPRESSIONS: usize = 8 << 20;
/// The same of one of them.
const EXPRESSION: usize = 1 << 20;

impl Checker<'_> {
    pub(super) fn filters(&mut self) -> Vec<Filter> {
        let mut filters: Vec<Filter> = Vec::new();
        // Each further one takes its part of what they may take together.
        let is_expression = |filter: &&MetricFilter| {
            matches!(
                filter.match_type,
                MatchType::MatchRegex | MatchType::NotMatchRegex
            )
        };
        let expressions = self.spec.filters.iter().filter(is_expression).count();
        let size = EXPRESSION.min(EXPRESSIONS / expressions.max(1));
        for (at, filter) in self.spec.filters.iter().enumerate() {
            let path = format!("spec.filters[{at}]");
            let field = format!("{path}.field");
            let named = self.text_field(&field, &filter.field);
            let reading = named.and_then(|named| self.reading(&field, &filter.field, named));
            let predicate = self.predicate(&format!("{path}.value"), filter, size);
            let (Some(reading), Some(predicate)) = (reading, predicate) else {
                continue;
            };
            match filters.iter_mut().find(|filter| filter.reading == reading) {
                Some(same) => same.any.push(predicate),
                None => filters.push(Filter {
                    reading,
                    any: vec![predicate],
                }),
            }
        }
        let other = match self.spec.direction {
            Direction::Any => return filters,
            Direction::Egress => "0",
            Direction::Ingress => "1",
        };
        filters.push(Filter {
            reading: Reading::Record(Source::Derived(Derived::FlowDirection)),
            any: vec![Predicate::NotEqual(Template(vec![Piece::Literal(other.into())]))],
        });
        filters
    }

    /// `size`: what an expression may take in memory, in bytes.
    fn predicate(&mut self, path: &str, filter: &MetricFilter, size: usize) -> Option<Predicate> {
        Some(match filter.match_type {
            MatchType::Equal => {
                if filter.value.is_empty() {
                    self.warn(
                        path,
                        "an empty value equals nothing: for records without one, say matchType: Absence",
                    );
                }
                Predicate::Equal(self.template(path, &filter.value)?)
            }
            MatchType::NotEqual => Predicate::NotEqual(self.template(path, &filter.value)?),
            MatchType::MatchRegex => Predicate::Matches(self.regex(path, &filter.value, size)?),
            MatchType::NotMatchRegex => Predicate::NotMatches(self.regex(path, &filter.value, size)?),
            MatchType::Presence | MatchType::Absence => {
                if !filter.value.is_empty() {
                    self.warn(
                        path,
                        "presence and absence compare with no value; this one is not read",
                    );
                }
                match filter.match_type {
                    MatchType::Presence => Predicate::Present,
                    _ => Predicate::Absent,
                }
            }
        })
    }

    fn regex(&mut self, path: &str, expression: &str, size: usize) -> Option<Regex> {
        let mut builder = RegexBuilder::new(expression);
        match builder.size_limit(size).dfa_size_limit(size).build() {
            Ok(regex) => Some(regex),
            Err(regex::Error::CompiledTooBig(_)) => {
                let message = format!("{expression:?} takes more than {size} bytes when it is compiled");
                let remedy = "repeat less, or say [a-z0-9] instead of \\w";
                self.problems.add(path, ProblemKind::BadRegex, message, remedy);
                None
            }
            Err(error) => {
                let text = error.to_string();
                let reason = text
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ");
                let message = format!("{expression:?} is no regular expression: {reason}");
                let remedy = "mend it; a character that stands for itself needs a backslash";
                self.problems.add(path, ProblemKind::BadRegex, message, remedy);
                None
            }
        }
    }

    /// A value with its `$(Field)`s; what is not closed stands for itself.
    fn template(&mut self, path: &str, value: &str) -> Option<Template> {
        let (mut pieces, mut rest) = (Vec::new(), value);
        while let Some((before, inside)) = rest.split_once("$(") {
            let Some((name, after)) = inside.split_once(')') else {
                break;
            };
            if !before.is_empty() {
                pieces.push(Piece::Literal(before.into()));
            }
            let named = self.text_field(path, name)?;
            pieces.push(Piece::Field(self.reading(path, name, named)?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.into()));
        }
        Some(Template(pieces))
    }
}
