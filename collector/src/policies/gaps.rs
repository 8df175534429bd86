//! The times in which changes may have been missed: whoever watched was cut off. Pure.

use weir_identity::Span;

use super::watches::Lost;

/// So many are told apart at most; more, and the two that lie closest behind each other are one.
const MOST: usize = 32;

/// Stretches of time, in order, none meeting another; the last may be open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gaps {
    spans: Vec<Span>,
}

impl Gaps {
    /// Whether something of a record is in one of them.
    #[inline]
    pub fn meet(&self, record: Span) -> bool {
        !self.spans.is_empty() && self.spans.iter().rev().any(|gap| gap.meets(record))
    }

    /// Takes in what is lost as of now. Whether that is news.
    pub fn take(&mut self, lost: Lost, now: u64) -> bool {
        let before = self.clone();
        let mut gap = Span {
            from: lost.since,
            to: if lost.is_open {
                u64::MAX
            } else {
                now.max(lost.since)
            },
        };
        // What is open ends where this one does; what is met becomes part of it.
        while let Some(last) = self.spans.last().filter(|last| last.is_open() || last.meets(gap)) {
            gap.from = gap.from.min(last.from);
            self.spans.pop();
        }
        self.spans.push(gap);
        if self.spans.len() > MOST {
            self.join();
        }
        *self != before
    }

    /// Makes one gap of the two with the shortest time between them.
    fn join(&mut self) {
        let pairs = self.spans.windows(2).enumerate();
        let between = |pair: &[Span]| match pair {
            [one, next] => next.from - one.to,
            _ => u64::MAX,
        };
        let closest = pairs.min_by_key(|(_, pair)| between(pair)).map(|(at, _)| at);
        if let Some(at) = closest {
            let next = self.spans.remove(at + 1);
            if let Some(one) = self.spans.get_mut(at) {
                one.to = next.to;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(from: u64, to: u64) -> Span {
        Span { from, to }
    }

    #[test]
    fn a_gap_is_open_until_somebody_watches_again() {
        let mut gaps = Gaps::default();
        assert!(!gaps.meet(Span::ALWAYS));
        let open = Lost {
            since: 100,
            is_open: true,
        };
        assert!(gaps.take(open, 150) && !gaps.take(open, 160), "told once");
        assert!(gaps.meet(span(50, 100)) && gaps.meet(span(900, 900)) && !gaps.meet(span(50, 99)));
        assert!(gaps.take(
            Lost {
                is_open: false,
                ..open
            },
            200
        ));
        assert!(gaps.meet(span(200, 300)) && !gaps.meet(span(201, 300)));
    }

    proptest! {
        #[test]
        fn no_moment_of_a_gap_is_ever_told_as_watched_and_few_others_as_not(
            breaks in prop::collection::vec((1_u64..20, 0_u64..15, 0_u64..30), 1..60),
        ) {
            let (mut gaps, mut now, mut naive) = (Gaps::default(), 0, Vec::new());
            for (quiet, doubted, lasts) in breaks {
                now += quiet;
                let since = now.saturating_sub(doubted);
                gaps.take(Lost { since, is_open: true }, now);
                prop_assert!(gaps.meet(span(now + 1_000, now + 1_000)));
                now += lasts;
                gaps.take(Lost { since, is_open: false }, now);
                naive.push(span(since, now));
            }
            let is_lost = |at: u64| naive.iter().any(|gap| gap.meets(span(at, at)));
            let told = (0..=now + 5).filter(|at| gaps.meet(span(*at, *at))).collect::<Vec<_>>();
            prop_assert!((0..=now + 5).filter(|at| is_lost(*at)).all(|at| told.contains(&at)));
            prop_assert!(gaps.spans.len() <= MOST);
            if naive.len() <= MOST {
                prop_assert!(told.iter().all(|at| is_lost(*at)));
            }
        }
    }
}
