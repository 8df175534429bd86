//! When somebody had something: spans of time, and who had it in them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_flow::Identity;

/// A span of time, ns since the epoch UTC; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first moment.
    pub from: u64,
    /// Its last moment; `u64::MAX` while it lasts.
    pub to: u64,
}

impl Span {
    /// All of time.
    pub const ALWAYS: Self = Self::since(0);

    /// A span that lasts.
    pub const fn since(from: u64) -> Self {
        Self { from, to: u64::MAX }
    }

    /// Whether it lasts.
    pub const fn is_open(self) -> bool {
        self.to == u64::MAX
    }

    /// Whether some moment belongs to both.
    pub const fn meets(self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }

    /// The span with so much before and after it.
    pub fn widened(self, by: Duration) -> Self {
        let by = nanoseconds(by);
        Self {
            from: self.from.saturating_sub(by),
            to: self.to.saturating_add(by),
        }
    }
}

/// Who had something in a span of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// When.
    pub span: Span,
    /// Who.
    pub who: Arc<Identity>,
}

/// Everybody who had something, in the order of their beginnings.
pub type Timeline = Arc<[Held]>;

/// A duration as a number; more than 584 years are 584 years.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Now, ns since the epoch UTC.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_meet_where_they_share_a_moment() {
        let span = |from, to| Span { from, to };
        assert!(span(1, 5).meets(span(5, 9)) && span(5, 9).meets(span(1, 5)));
        assert!(!span(1, 4).meets(span(5, 9)));
        assert!(Span::since(7).meets(span(9, 9)) && !Span::since(7).meets(span(0, 6)));
        assert!(span(1, 4).widened(Duration::from_nanos(1)).meets(span(5, 9)));
        assert_eq!(Span::ALWAYS.widened(Duration::MAX), Span::ALWAYS);
    }
}
