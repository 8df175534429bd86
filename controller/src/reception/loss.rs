//! How much of what a node sends is lost on the way, in classes that do not change with
//! each datagram. Pure.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::passed;

/// Losses are told by what was lost in so long.
const WINDOW: Duration = Duration::from_secs(300);
/// So little is chance.
const CHANCE: u64 = 20;

/// How much is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LossClass {
    /// Less than one in a hundred, or nobody knows.
    #[default]
    Little,
    /// Less than one in ten.
    Some,
    /// More.
    Much,
}

impl LossClass {
    fn of(came: u64, lost: u64) -> Self {
        let all = came.saturating_add(lost);
        if lost < CHANCE || lost < all / 100 {
            Self::Little
        } else if lost < all / 10 {
            Self::Some
        } else {
            Self::Much
        }
    }
}

/// Counters as they were when the window began, and what the one before came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct LossWindow {
    began: Option<(Timestamp, u64, u64)>,
    class: LossClass,
}

impl LossWindow {
    /// The counters stand so.
    pub(super) fn saw(&mut self, sequenced: u64, lost: u64, time: Timestamp) {
        let Some((began, sequenced_then, lost_then)) = self.began else {
            self.began = Some((time, sequenced, lost));
            return;
        };
        let grown = sequenced.checked_sub(sequenced_then);
        // A collector that started anew counts from the beginning.
        let Some((came, missing)) = grown.zip(lost.checked_sub(lost_then)) else {
            self.began = Some((time, sequenced, lost));
            return;
        };
        if passed(began, time) >= WINDOW {
            self.class = LossClass::of(came, missing);
            self.began = Some((time, sequenced, lost));
        }
    }

    /// The counters are those of another collector from now on. What was found out of the one
    /// before holds until there is a window of this one: a loss on the way is the same for both.
    pub(super) fn begin_anew(&mut self) {
        self.began = None;
    }

    pub(super) fn class(&self) -> LossClass {
        self.class
    }
}
