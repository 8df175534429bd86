//! Answers that are made and not taken: they wait in memory as long as whoever asked lets
//! them, so that each counts for its asker until the last of it is on its way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::response::Response;

use super::problem::Problem;
use super::turns::Asker;

/// Bytes of answers that wait, from which on those who have some get no more.
const ALL: usize = 512 << 20;
/// Those of one asker, where several are told apart.
const OF_ONE: usize = 64 << 20;

/// What waits, and for whom.
#[derive(Debug, Clone)]
pub struct Untaken(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    all: usize,
    of_one: usize,
    waits: Mutex<Waits>,
}

#[derive(Debug, Default)]
struct Waits {
    all: usize,
    of: HashMap<Asker, usize>,
}

/// An answer that waits, until the last that has a part of it lets go of it.
struct Answer {
    bytes: Bytes,
    asker: Asker,
    untaken: Arc<Shared>,
}

impl Untaken {
    /// Where askers are told apart, one has a share of it.
    pub fn new(are_told_apart: bool) -> Self {
        Self::of(ALL, if are_told_apart { OF_ONE } else { ALL })
    }

    fn of(all: usize, of_one: usize) -> Self {
        Self(Arc::new(Shared {
            all,
            of_one,
            waits: Mutex::default(),
        }))
    }

    /// Whether somebody may have another answer.
    ///
    /// # Errors
    /// Too much waits for them already.
    pub fn check(&self, asker: &Asker) -> Result<(), Problem> {
        let waits = self.0.lock();
        let own = waits.of.get(asker).copied().unwrap_or_default();
        if own < self.0.of_one && (waits.all < self.0.all || own == 0) {
            return Ok(());
        }
        Err(Problem::busy(format!(
            "{} MiB of answers wait to be taken by you: read them, or end their connections",
            own >> 20
        )))
    }

    /// The answer, which counts for them as long as anything of it waits.
    pub async fn hold(&self, asker: &Asker, answer: Response) -> Response {
        let (head, body) = answer.into_parts();
        // It is there: nothing is waited for.
        let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
        self.0.lock().add(asker, bytes.len());
        let held = Answer {
            bytes,
            asker: Arc::clone(asker),
            untaken: Arc::clone(&self.0),
        };
        Response::from_parts(head, Body::from(Bytes::from_owner(held)))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waits {
    fn add(&mut self, asker: &Asker, bytes: usize) {
        self.all += bytes;
        *self.of.entry(Arc::clone(asker)).or_default() += bytes;
    }

    fn remove(&mut self, asker: &Asker, bytes: usize) {
        self.all -= bytes;
        if let Some(of) = self.of.get_mut(asker) {
            *of -= bytes;
            if *of == 0 {
                self.of.remove(asker);
            }
        }
    }
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.untaken.lock().remove(&self.asker, self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize) -> Response {
        Response::new(Body::from(vec![0; bytes]))
    }

    #[tokio::test]
    async fn who_leaves_answers_untaken_gets_no_more_until_the_last_part_of_one_is_gone() {
        let untaken = Untaken::of(100, 30);
        let [ann, ben, eve] = ["ann", "ben", "eve"].map(Asker::from);
        let first = untaken.hold(&eve, answer(20)).await;
        assert!(untaken.check(&eve).is_ok());
        let second = untaken.hold(&eve, answer(20)).await;
        assert_eq!(untaken.check(&eve).unwrap_err().status, 429);
        assert!(untaken.check(&ann).is_ok());
        // Its body is read, and a part of it is on its way still.
        let mut bytes = to_bytes(first.into_body(), usize::MAX).await.unwrap();
        let part = bytes.split_off(19);
        drop(bytes);
        assert!(untaken.check(&eve).is_err());
        drop(part);
        assert!(untaken.check(&eve).is_ok());
        // When all is taken up, those who have nothing still get something.
        let _many = untaken.hold(&ann, answer(90)).await;
        assert!(untaken.check(&eve).is_err() && untaken.check(&ben).is_ok());
        drop(second);
        assert!(untaken.check(&eve).is_ok());
        assert_eq!(untaken.0.lock().of.len(), 1, "nothing is kept of who has none");
    }
}
