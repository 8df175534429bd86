//! One kind of object: what was read of it last, and what is being read. It is read in a task of
//! its own with one deadline: whoever leaves takes nothing from those who wait, nor from who
//! comes next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

/// How long what was read is good for, and why it could not be read, too.
const FRESH: Duration = Duration::from_secs(3);
/// How long Kubernetes may take for all that is read of a kind, or looked up for a plan.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What was read of one kind; in words why it could not be.
pub type Part<T> = Result<T, String>;

/// When it was read, and what; nothing while it is being read.
type Outcome<T> = Option<(Instant, Part<Arc<T>>)>;

/// The last reading.
#[derive(Debug, Default)]
pub(super) struct Reading<T> {
    last: Mutex<Option<watch::Receiver<Outcome<T>>>>,
}

impl<T: Send + Sync + 'static> Reading<T> {
    /// What is read now, or was a moment ago; else it is read in this way.
    ///
    /// # Errors
    /// In words why it could not be read.
    pub(super) async fn now(&self, read: impl Future<Output = Part<T>> + Send + 'static) -> Part<Arc<T>> {
        let mut outcome = self.last_or(read);
        let seen = outcome.wait_for(Option::is_some).await;
        match seen.as_deref() {
            Ok(Some((_, part))) => part.clone(),
            Ok(None) | Err(_) => Err("the reading ended without an answer".to_owned()),
        }
    }

    fn last_or(&self, read: impl Future<Output = Part<T>> + Send + 'static) -> watch::Receiver<Outcome<T>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = last.as_ref().filter(|outcome| is_good(outcome)) {
            return outcome.clone();
        }
        let (done, outcome) = watch::channel(None);
        tokio::spawn(async move {
            let part = timeout(PATIENCE, read).await.unwrap_or_else(|_| Err(too_late()));
            done.send_replace(Some((Instant::now(), part.map(Arc::new))));
        });
        *last = Some(outcome.clone());
        outcome
    }
}

/// It was read a moment ago, or somebody reads it still.
fn is_good<T>(outcome: &watch::Receiver<Outcome<T>>) -> bool {
    let is_fresh = outcome.borrow().as_ref().map(|(at, _)| at.elapsed() < FRESH);
    is_fresh.unwrap_or_else(|| outcome.has_changed().is_ok())
}

pub(super) fn too_late() -> String {
    format!("Kubernetes gave no answer within {} s", PATIENCE.as_secs())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_leaves_takes_the_reading_from_nobody() {
        let reading = Reading::default();
        let (release, released) = oneshot::channel();
        let first = reading.now(async { released.await.map_err(|_| "dropped".to_owned()) });
        assert!(first.now_or_never().is_none());
        let second = reading.now(async { Err("read a second time".to_owned()) });
        release.send(1).unwrap();
        assert_eq!(second.await, Ok(Arc::new(1)));
        let third = reading.now(async { Err("read a third time".to_owned()) });
        assert_eq!(third.await, Ok(Arc::new(1)));
    }

    #[tokio::test]
    async fn a_reading_that_died_says_so_and_the_next_is_begun() {
        let reading = Reading::<u8>::default();
        let died = reading.now(async { panic!("as a reading may") }).await;
        assert!(died.unwrap_err().contains("without an answer"));
        assert_eq!(reading.now(async { Ok(2) }).await, Ok(Arc::new(2)));
    }
}
