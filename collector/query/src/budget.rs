//! The time that one question has, all of its steps together: reading the filter,
//! planning, reading files, a second attempt without a broken one, putting in order.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use crate::{Limits, QueryError};

/// What a question may cost, and when its time is over.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pub(crate) limits: Limits,
    ends: Instant,
}

impl Budget {
    /// From now on.
    pub(crate) fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            limits: limits.clone(),
            ends: now.checked_add(limits.timeout).unwrap_or(now),
        }
    }

    /// An error when the time is over; for work that cannot be dropped half-way.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if Instant::now() < self.ends {
            return Ok(());
        }
        Err(QueryError::Timeout(self.limits.timeout))
    }

    /// Does the work, or ends it when its time is over.
    pub(crate) async fn spend<T>(
        &self,
        work: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        let ended = tokio::time::timeout_at(self.ends.into(), work).await;
        ended.unwrap_or(Err(QueryError::Timeout(self.limits.timeout)))
    }
}

/// Something that a question keeps as long as anything works for it.
type Held = Arc<dyn Any + Send + Sync>;

tokio::task_local! {
    static HELD: Held;
}

/// Does the work, and keeps `held` until it has ended or is dropped, and every step has
/// ended, too, that it had begun on a thread of its own: such a step cannot be dropped
/// half-way.
pub async fn holding<T>(held: Held, work: impl Future<Output = T>) -> T {
    HELD.scope(held, work).await
}

/// Does work that waits for nothing on a thread of its own, so that whoever polls this
/// stays free and a timeout is seen in time.
///
/// # Errors
/// Those of the work, or it died.
pub async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    let held = HELD.try_with(Arc::clone).ok();
    let step = move || {
        let done = work();
        drop(held);
        done
    };
    let done = tokio::task::spawn_blocking(step).await;
    done.unwrap_or_else(|error| Err(QueryError::Engine(format!("a step died: {error}"))))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_that_waits_for_nothing_is_left_when_its_time_is_over() {
        let limits = Limits {
            timeout: Duration::from_millis(20),
            ..Limits::default()
        };
        let budget = Budget::new(&limits);
        let (left, is_left) = sync_channel::<()>(0);
        // One thread polls: were the work on it, nobody would look at the clock.
        let endless = off_thread(move || {
            let _ = is_left.recv();
            Ok(())
        });
        let ended = budget.spend(endless).await;
        assert!(matches!(ended, Err(QueryError::Timeout(_))), "{ended:?}");
        assert!(matches!(budget.check(), Err(QueryError::Timeout(_))));
        drop(left);
    }

    #[tokio::test]
    async fn work_that_dies_is_an_error() {
        let died = off_thread::<()>(|| panic!("a fault of ours")).await;
        assert!(matches!(died, Err(QueryError::Engine(_))), "{died:?}");
    }
}
