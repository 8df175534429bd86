//! How the figures stand to their bounds, as it is told: with hysteresis, since each change
//! is a write to the API server. Pure, and without a clock: looks are counted.

use weir_api::export::Budget;

/// What a budget bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetFigure {
    /// The processor time of ovs-vswitchd.
    Processor,
    /// Packets that the switch lost.
    Lost,
}

/// One figure in one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// At most its bound, or without one.
    Within,
    /// More than its bound.
    Over,
    /// OVS did not tell it.
    Unknown,
}

/// Good looks in a row, one each 5 s, before what was not good is forgotten.
pub const GOOD_LOOKS: u32 = 12;

/// Looks in a row without a figure before it counts as unknown: more than a switch that
/// starts takes, and than OVS's own pace of 5 s for its statistics.
pub const BLIND_LOOKS: u32 = 4;

/// What is told of all figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    budget: Option<Budget>,
    processor: Trend,
    lost: Trend,
}

/// What is told of one figure, and what would change that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Trend {
    told: Option<Reading>,
    within: u32,
    over: u32,
    unknown: u32,
}

impl Verdict {
    /// A look was taken. Another budget is judged anew.
    pub fn look(&mut self, budget: &Budget, [processor, lost]: [Reading; 2]) {
        if self.budget.as_ref() != Some(budget) {
            *self = Self {
                budget: Some(*budget),
                ..Self::default()
            };
        }
        // One bad look at the processor may be a moment; a lost packet is lost.
        self.processor.look(processor, crate::governor::WINDOWS);
        self.lost.look(lost, 1);
    }

    /// What is over its bound; lost packets first.
    pub fn excess(&self) -> Option<BudgetFigure> {
        self.figures()
            .find(|(_, told)| *told == Some(Reading::Over))
            .map(|(figure, _)| figure)
    }

    /// The bounded figures that are not known.
    pub fn unknown(&self) -> Vec<BudgetFigure> {
        let unknown = self.figures().filter(|(_, told)| *told == Some(Reading::Unknown));
        unknown.map(|(figure, _)| figure).collect()
    }

    /// Whether there is something to be said of each figure yet.
    pub fn is_reached(&self) -> bool {
        self.figures().all(|(_, told)| told.is_some())
    }

    fn figures(&self) -> impl Iterator<Item = (BudgetFigure, Option<Reading>)> {
        [
            (BudgetFigure::Lost, self.lost.told),
            (BudgetFigure::Processor, self.processor.told),
        ]
        .into_iter()
    }
}

impl Trend {
    /// `enough`: looks over the bound, whatever unknown ones stand between, to tell it.
    fn look(&mut self, reading: Reading, enough: u32) {
        let count = |n: &mut u32| *n = n.saturating_add(1);
        match reading {
            Reading::Within => {
                count(&mut self.within);
                (self.over, self.unknown) = (0, 0);
            }
            Reading::Over => {
                count(&mut self.over);
                (self.within, self.unknown) = (0, 0);
            }
            Reading::Unknown => count(&mut self.unknown),
        }
        let blind = match self.told {
            Some(Reading::Over) => GOOD_LOOKS,
            _ => BLIND_LOOKS,
        };
        let first = self.told.is_none();
        if self.over >= enough && reading == Reading::Over {
            self.told = Some(Reading::Over);
        } else if self.unknown >= blind {
            self.told = Some(Reading::Unknown);
            self.within = 0;
        } else if self.within >= GOOD_LOOKS || (first && self.within > 0) {
            self.told = Some(Reading::Within);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(looks: &[Reading]) -> Vec<Option<Reading>> {
        let mut trend = Trend::default();
        let mut look = |reading: &Reading| {
            trend.look(*reading, 3);
            trend.told
        };
        looks.iter().map(&mut look).collect()
    }

    const UNKNOWN: Reading = Reading::Unknown;
    const OVER: Reading = Reading::Over;
    const WITHIN: Reading = Reading::Within;

    #[test]
    fn looks_without_a_figure_are_told_after_some_and_break_no_row() {
        assert_eq!(told(&[UNKNOWN; 3]).last(), Some(&None));
        assert_eq!(told(&[UNKNOWN; 4]).last(), Some(&Some(UNKNOWN)));
        let told = told(&[OVER, UNKNOWN, OVER, UNKNOWN, OVER]);
        assert_eq!(told.last(), Some(&Some(OVER)));
    }

    #[test]
    fn what_comes_and_goes_is_told_once() {
        let flapping = [OVER, OVER, OVER, WITHIN, WITHIN, UNKNOWN].repeat(50);
        let mut said = told(&flapping);
        said.dedup();
        assert_eq!(said, [None, Some(OVER)]);
        let blinking = [&[UNKNOWN; 6][..], &[WITHIN; 6]].concat().repeat(50);
        let mut said = told(&blinking);
        said.dedup();
        assert_eq!(said, [None, Some(UNKNOWN)]);
    }

    #[test]
    fn a_minute_of_good_looks_clears_what_was_told() {
        let looks = [&[OVER; 3][..], &[WITHIN; 12]].concat();
        let said = told(&looks);
        assert_eq!((said[13], said[14]), (Some(OVER), Some(WITHIN)));
    }
}
