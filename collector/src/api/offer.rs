//! Pieces of a body that a thread makes: how long one waits for who reads.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// How often it is looked whether there is room.
const LOOK: Duration = Duration::from_millis(5);

/// Why a piece was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// Nobody reads any more.
    Gone,
    /// Whoever reads did not take it in time.
    InTime,
    /// The time of the whole body is over.
    Over,
}

/// Offers a piece for so long, and not beyond `ends`.
///
/// # Errors
/// Nobody took it.
pub fn offer<T>(
    to: &mpsc::Sender<T>,
    mut piece: T,
    patience: Duration,
    ends: Instant,
) -> Result<(), NotTaken> {
    let begun = Instant::now();
    loop {
        let now = Instant::now();
        piece = match to.try_send(piece) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(NotTaken::Gone),
            Err(TrySendError::Full(piece)) => piece,
        };
        if now >= ends {
            return Err(NotTaken::Over);
        }
        if now.saturating_duration_since(begun) >= patience {
            return Err(NotTaken::InTime);
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_piece_that_nobody_takes_is_offered_so_long_and_not_beyond_the_end() {
        let (to, mut pieces) = mpsc::channel(1);
        let later = Instant::now() + LONG;
        assert_eq!(offer(&to, 1, LONG, later), Ok(()));
        assert_eq!(
            offer(&to, 2, Duration::from_millis(1), later),
            Err(NotTaken::InTime)
        );
        assert_eq!(offer(&to, 3, LONG, Instant::now()), Err(NotTaken::Over));
        assert_eq!(pieces.try_recv(), Ok(1));
        assert_eq!(offer(&to, 4, LONG, Instant::now()), Ok(()), "there is room");
        drop(pieces);
        assert_eq!(offer(&to, 5, LONG, later), Err(NotTaken::Gone));
    }
}
