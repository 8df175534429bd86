//! Waiting for a condition with a deadline, never for a time to pass.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

const PAUSE: Duration = Duration::from_millis(20);

/// Polls `condition` until it holds. An error counts as "not yet" and becomes
/// the cause of the failure when the deadline passes.
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_for(what, deadline, || Ok(condition()?.then_some(())))
}

/// Polls `source` until it yields a value, and returns that.
///
/// # Errors
/// Names `what` and the deadline; its cause is the last error of `source`.
pub fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut source: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        let last = match source() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() >= end {
            return Err(last.unwrap_or_else(|| anyhow!("the condition never held")))
                .with_context(|| format!("waited {deadline:?} for: {what}"));
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_comes_later_is_returned() {
        let mut calls = 0;
        let value = wait_for("the third call", Duration::from_secs(60), || {
            calls += 1;
            Ok((calls == 3).then_some(calls))
        });
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn the_failure_names_what_was_waited_for_and_the_last_error() {
        let error = wait_until("rain", Duration::ZERO, || Err(anyhow!("no clouds"))).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("rain") && text.contains("no clouds"), "{text}");
    }
}
