//! Whose turn it is: so many at a time in all, and of one asker; and when somebody waits,
//! the next turn is of whoever has the fewest. So one who asks much waits for themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Who takes turns.
pub type Asker = Arc<str>;

/// The turns that there are.
#[derive(Debug)]
pub struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    all: usize,
    of_one: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    of: HashMap<Asker, usize>,
    waiting: Vec<Waiting>,
}

/// In the order in which they came.
#[derive(Debug)]
struct Waiting {
    asker: Asker,
    told: oneshot::Sender<Turn>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    asker: Asker,
    shared: Arc<Shared>,
}

impl Turns {
    /// So many in all, and of one asker.
    pub fn new(all: usize, of_one: usize) -> Self {
        Self(Arc::new(Shared {
            all,
            of_one,
            state: Mutex::default(),
        }))
    }

    /// A turn, if there is one now.
    pub fn take(&self, asker: &Asker) -> Option<Turn> {
        let mut state = self.0.lock();
        self.0.may(&state, asker).then(|| self.0.give(&mut state, asker))
    }

    /// A turn as soon as it comes. Who drops the future waits no longer.
    pub async fn wait(&self, asker: &Asker) -> Turn {
        let come = {
            let mut state = self.0.lock();
            if self.0.may(&state, asker) {
                return self.0.give(&mut state, asker);
            }
            let (told, come) = oneshot::channel();
            let asker = Arc::clone(asker);
            state.waiting.push(Waiting { asker, told });
            come
        };
        come.await
            .expect("we are told before the turns are gone, which we hold")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may(&self, state: &State, asker: &Asker) -> bool {
        state.taken < self.all && state.of(asker) < self.of_one
    }

    fn give(self: &Arc<Self>, state: &mut State, asker: &Asker) -> Turn {
        state.taken += 1;
        *state.of.entry(Arc::clone(asker)).or_default() += 1;
        Turn {
            asker: Arc::clone(asker),
            shared: Arc::clone(self),
        }
    }

    /// Gives what is free to those who wait. A turn whose asker has gone in between is
    /// dropped outside the lock, and comes back.
    fn pass_on(self: &Arc<Self>) {
        loop {
            let (turn, told) = {
                let mut state = self.lock();
                state.waiting.retain(|waiting| !waiting.told.is_closed());
                let next = (0..state.waiting.len())
                    .filter(|at| self.may(&state, &state.waiting[*at].asker))
                    .min_by_key(|at| state.of(&state.waiting[*at].asker));
                let Some(next) = next else { return };
                let Waiting { asker, told } = state.waiting.remove(next);
                (self.give(&mut state, &asker), told)
            };
            drop(told.send(turn));
        }
    }
}

impl State {
    fn of(&self, asker: &Asker) -> usize {
        self.of.get(asker).copied().unwrap_or_default()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.taken -= 1;
            if let Some(of) = state.of.get_mut(&self.asker) {
                *of -= 1;
                if *of == 0 {
                    state.of.remove(&self.asker);
                }
            }
        }
        self.shared.pass_on();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::*;

    fn askers() -> [Asker; 3] {
        ["ann", "ben", "eve"].map(Asker::from)
    }

    fn waits<'a>(turns: &'a Turns, asker: &'a Asker) -> BoxFuture<'a, Turn> {
        let mut waits = turns.wait(asker).boxed();
        assert!(waits.as_mut().now_or_never().is_none());
        waits
    }

    #[test]
    fn nobody_takes_all_turns() {
        let [ann, ben, eve] = askers();
        let turns = Turns::new(4, 2);
        let _of_eve = [turns.take(&eve).unwrap(), turns.take(&eve).unwrap()];
        assert!(turns.take(&eve).is_none());
        let _of_ann = turns.take(&ann).unwrap();
        let last = turns.take(&ben).unwrap();
        assert!(turns.take(&ben).is_none(), "there are no more");
        drop(last);
        assert!(turns.take(&ann).is_some());
    }

    #[tokio::test]
    async fn the_next_turn_is_of_whoever_has_the_fewest_then_of_whoever_waits_longest() {
        let [ann, ben, eve] = askers();
        let turns = Turns::new(2, 2);
        let (first, second) = (turns.take(&eve).unwrap(), turns.take(&eve).unwrap());
        let of_eve = waits(&turns, &eve);
        let (of_ann, of_ben) = (waits(&turns, &ann), waits(&turns, &ben));
        drop(first);
        let ann_has = of_ann.await;
        let again_of_ann = waits(&turns, &ann);
        drop(second);
        // Neither has one, and Eve came first.
        let eve_has = of_eve.await;
        drop(eve_has);
        let ben_has = of_ben.await;
        drop(ann_has);
        let _ann_has = again_of_ann.await;
        drop(ben_has);
        assert_eq!(turns.0.lock().of.len(), 1, "nothing is kept of who has none");
    }

    #[tokio::test]
    async fn who_waits_no_longer_gets_no_turn_and_keeps_none() {
        let [ann, ben, _] = askers();
        let turns = Turns::new(1, 1);
        let held = turns.take(&ann).unwrap();
        let mut gone = turns.wait(&ben).boxed();
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        drop(held);
        let told_late = turns.take(&ben).unwrap();
        // The turn was given, and nobody took it.
        let mut waits = turns.wait(&ann).boxed();
        assert!(waits.as_mut().now_or_never().is_none());
        drop(told_late);
        drop(waits);
        assert!(turns.take(&ben).is_some());
        assert!(turns.0.lock().waiting.is_empty());
    }
}
