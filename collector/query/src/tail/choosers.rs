//! The filters of those who watch: one for all who ask the same. It looks at each batch once,
//! whoever comes to it first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::array::BooleanArray;

use super::watchers::{Numbered, RECENT};
use crate::chooser::LiveChooser;
use crate::engine::TailRequest;
use crate::{Filter, QueryError, Scope};

/// All that are in use.
#[derive(Debug, Default)]
pub(super) struct Choosers(Mutex<Vec<Weak<SharedChooser>>>);

/// What of a request says which rows are let through.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Which {
    filter: String,
    both_directions: bool,
    all_observations: bool,
    scope: Scope,
}

/// A filter that is shared by all who ask the same.
#[derive(Debug)]
pub(super) struct SharedChooser {
    which: Which,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    chooser: LiveChooser,
    /// What it let through of the last batches, by their number: not all who watch are
    /// equally far.
    chosen: VecDeque<(u64, BooleanArray)>,
    /// Batches that it looked at.
    #[cfg(test)]
    looked: usize,
}

impl Choosers {
    /// The filter of a request, of the flows in `scope`.
    ///
    /// # Errors
    /// The filter is wrong.
    pub(super) fn of(&self, request: &TailRequest, scope: &Scope) -> Result<Arc<SharedChooser>, QueryError> {
        let which = Which {
            filter: request.filter.clone(),
            both_directions: request.both_directions,
            all_observations: request.all_observations,
            scope: scope.clone(),
        };
        if let Some(known) = self.find(&which) {
            return Ok(known);
        }
        // What is wrong with the filter is told now, not when the first record comes.
        let (both, all) = (which.both_directions, which.all_observations);
        let filter = Filter::of_records(&which.filter, both, all, scope)?;
        let made = Arc::new(SharedChooser {
            state: Mutex::new(State {
                chooser: LiveChooser::new(filter)?,
                chosen: VecDeque::new(),
                #[cfg(test)]
                looked: 0,
            }),
            which,
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|chooser| chooser.strong_count() > 0);
        all.push(Arc::downgrade(&made));
        Ok(made)
    }

    fn find(&self, which: &Which) -> Option<Arc<SharedChooser>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter_map(Weak::upgrade)
            .find(|known| known.which == *which)
    }
}

impl SharedChooser {
    /// Which rows of a batch are let through.
    ///
    /// # Errors
    /// The engine fails.
    pub(super) fn choose(&self, arrived: &Numbered) -> Result<BooleanArray, QueryError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state.chosen.iter().find(|(number, _)| *number == arrived.number);
        if let Some((_, chosen)) = known {
            return Ok(chosen.clone());
        }
        let chosen = state.chooser.choose(&arrived.rows)?;
        #[cfg(test)]
        {
            state.looked += 1;
        }
        if state.chosen.len() == RECENT {
            state.chosen.pop_front();
        }
        state.chosen.push_back((arrived.number, chosen.clone()));
        Ok(chosen)
    }

    /// Batches that it looked at.
    #[cfg(test)]
    pub(super) fn looked(&self) -> usize {
        self.state.lock().unwrap().looked
    }
}
