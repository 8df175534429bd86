//! Reports as exit codes of a program.

use super::Report;

/// Nothing breaks.
pub const PASSES: u8 = 0;
/// Something that was allowed is denied; or what was asked for by an option.
pub const BREAKS: u8 = 1;
/// No answer: files that cannot be parsed, no edges, no rights.
pub const NO_ANSWER: u8 = 2;
/// Nothing breaks as far as is known, and too much is not known.
pub const TOO_MUCH_UNKNOWN: u8 = 3;

/// What counts as broken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CheckOptions {
    /// Newly denied edges count also where nobody ever answered.
    pub strict: bool,
    /// The share, 0 to 1, of the flows with an end that the change may be about, that may be
    /// without an answer.
    pub max_unknown: f64,
    /// Newly allowed edges, and pairs that the change opens, count too.
    pub newly_allowed_fails: bool,
}

impl Default for CheckOptions {
    fn default() -> CheckOptions {
        CheckOptions {
            strict: false,
            max_unknown: 0.01,
            newly_allowed_fails: false,
        }
    }
}

/// The exit code of a check; without a report, or with one about nothing, there is no
/// answer. No answer beats broken, broken beats too much unknown.
pub fn exit_code(report: Option<&Report>, options: &CheckOptions) -> u8 {
    let Some(report) = report.filter(|report| report.all.edges > 0) else {
        return NO_ANSWER;
    };
    let is_denied =
        !report.newly_denied.is_empty() || options.strict && !report.newly_denied_unanswered.is_empty();
    let is_opened = !report.newly_allowed.is_empty() || report.opens.pairs > 0;
    if is_denied || options.newly_allowed_fails && is_opened {
        return BREAKS;
    }
    match report.concerned_unknown.share_of_flows(&report.concerned) > options.max_unknown {
        true => TOO_MUCH_UNKNOWN,
        false => PASSES,
    }
}
