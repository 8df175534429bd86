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

    /// Whether all moments of this one belong to the other.
    pub const fn is_within(self, other: Self) -> bool {
        other.from <= self.from && self.to <= other.to
    }

    /// What belongs to both, of spans that meet.
    pub(crate) fn common(self, other: Self) -> Self {
        Self {
            from: self.from.max(other.from),
            to: self.to.min(other.to),
        }
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

/// The longest span around a flow such that every flow within it meets the same of these
/// holdings as this one does, when both are widened by the tolerance. `None`: the flow
/// reaches over the beginning or the end of a holding.
pub fn steady(spans: impl IntoIterator<Item = Span>, flow: Span, tolerance: Duration) -> Option<Span> {
    let mut around = Span::ALWAYS;
    for span in spans {
        let met = span.widened(tolerance);
        let part = if flow.is_within(met) {
            met
        } else if flow.to < met.from {
            Span {
                from: 0,
                to: met.from - 1,
            }
        } else if met.to < flow.from {
            Span::since(met.to + 1)
        } else {
            return None;
        };
        around = around.common(part);
    }
    Some(around)
}

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
    fn flows_within_a_steady_span_meet_the_same_holders() {
        let held = [(10, 20), (30, 40), (35, u64::MAX)].map(|(from, to)| Held {
            span: Span { from, to },
            who: Identity::nobody(),
        });
        let tolerance = Duration::from_nanos(2);
        let spans = || held.iter().map(|held| held.span);
        let met = |flow: Span| {
            held.each_ref()
                .map(|held| held.span.meets(flow.widened(tolerance)))
        };
        let flows = (0..60).flat_map(|from| (from..60).map(move |to| Span { from, to }));
        let mut steady_flows = 0;
        for flow in flows.clone() {
            let Some(around) = steady(spans(), flow, tolerance) else {
                continue;
            };
            steady_flows += 1;
            assert!(flow.is_within(around), "{flow:?} {around:?}");
            for other in flows.clone().filter(|other| other.is_within(around)) {
                assert_eq!(met(other), met(flow), "{other:?} {flow:?} {around:?}");
            }
        }
        assert!(steady_flows > 300, "{steady_flows}");
        let crossing = Span { from: 15, to: 23 };
        assert_eq!(steady(spans(), crossing, tolerance), None);
        let open = Span { from: 50, to: 50 };
        assert_eq!(steady(spans(), open, tolerance), Some(Span::since(43)));
    }

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
