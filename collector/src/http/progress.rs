//! Whether answers are taken. Over HTTP/2 the other side grants each answer a window: who
//! grants none could have any number of answers kept in memory, and answer pings
//! meanwhile. So an answer of which a piece was ready, and not taken in time, ends; the
//! others of its connection, which may be those of other people, go on. Answers that have
//! no piece ready wait for us.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Response;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::answer_task;

/// Bytes of a piece: who takes so much in time reads, however slowly.
const PIECE: usize = 16 << 10;

/// The answers of a connection that wait for its other side, and since when.
#[derive(Debug, Default)]
pub(super) struct Progress {
    waiting: Mutex<HashMap<u64, Offered>>,
    answers: AtomicU64,
}

/// A piece that waits to be taken.
#[derive(Debug, Clone)]
struct Offered {
    since: Instant,
    /// Ends its answer.
    end: Option<Arc<Notify>>,
}

impl Progress {
    /// An answer that is watched, if its connection is.
    pub(super) fn watch(watch: Option<&Arc<Self>>, response: Response<Body>) -> Response<Body> {
        let Some(progress) = watch else {
            return response;
        };
        response.map(|body| {
            let number = progress.answers.fetch_add(1, Ordering::Relaxed);
            let end = answer_task::end_of_this();
            progress.offer(number, end.clone());
            Body::new(Watched {
                body,
                rest: Bytes::new(),
                number,
                end,
                progress: Arc::clone(progress),
            })
        })
    }

    /// A piece of an answer goes out: it is to be taken from now on.
    fn offer(&self, number: u64, end: Option<Arc<Notify>>) {
        let since = Instant::now();
        self.lock().insert(number, Offered { since, end });
    }

    /// Ends answers that have not been taken for so long, until one cannot be ended alone.
    pub(super) async fn watch_for_stalls(&self, patience: Duration) {
        loop {
            sleep(patience / 4).await;
            for stalled in self.stalled(Instant::now(), patience) {
                let Some(end) = stalled.end else { return };
                tracing::debug!("an answer over HTTP/2 is not taken, and ends");
                end.notify_one();
            }
        }
    }

    fn stalled(&self, now: Instant, patience: Duration) -> Vec<Offered> {
        let waiting = self.lock();
        let offered = waiting.values();
        let stalled = offered.filter(|offered| now.saturating_duration_since(offered.since) >= patience);
        stalled.cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Offered>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that is watched.
struct Watched {
    body: Body,
    /// What is left of a piece that was too large.
    rest: Bytes,
    number: u64,
    end: Option<Arc<Notify>>,
    progress: Arc<Progress>,
}

impl Watched {
    /// A piece goes out.
    fn offer(&mut self, mut bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.rest = bytes.split_off(bytes.len().min(PIECE));
        self.progress.offer(self.number, self.end.clone());
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return self.offer(rest);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) => self.offer(bytes),
                Err(trailers) => Poll::Ready(Some(Ok(trailers))),
            },
            other => {
                self.progress.lock().remove(&self.number);
                other
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.progress.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn has_stalled(progress: &Progress, now: Instant) -> bool {
        !progress.stalled(now, PATIENCE).is_empty()
    }

    fn watched(body: Body) -> (Arc<Progress>, Body) {
        let progress = Arc::new(Progress::default());
        let body = Progress::watch(Some(&progress), Response::new(body)).into_body();
        (progress, body)
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_stalls_and_each_piece_that_is_taken_gives_it_time() {
        let (progress, body) = watched(Body::from(vec![0; 4 * PIECE + 1]));
        let until = Instant::now() + PATIENCE;
        assert!(has_stalled(&progress, until));
        let mut pieces = body.into_data_stream();
        let mut sizes = Vec::new();
        while let Some(piece) = pieces.next().await {
            sizes.push(piece.unwrap().len());
            assert!(!has_stalled(&progress, until), "it was taken since");
            assert!(has_stalled(&progress, Instant::now() + PATIENCE));
        }
        assert_eq!(sizes, [PIECE, PIECE, PIECE, PIECE, 1]);
        assert!(
            !has_stalled(&progress, Instant::now() + PATIENCE),
            "all was taken"
        );
    }

    #[tokio::test]
    async fn an_answer_that_has_nothing_ready_waits_for_us_and_one_that_is_gone_for_nobody() {
        let nothing = futures::stream::pending::<Result<Bytes, axum::Error>>();
        let (progress, body) = watched(Body::from_stream(nothing));
        let mut pieces = body.into_data_stream();
        assert!(futures::poll!(pieces.next()).is_pending());
        assert!(!has_stalled(&progress, Instant::now() + 100 * PATIENCE));
        let (progress, body) = watched(Body::from("answer"));
        drop(body);
        assert!(!has_stalled(&progress, Instant::now() + 100 * PATIENCE));
    }
}
