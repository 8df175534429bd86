//! The tasks of a connection of HTTP/2, one an answer: each can be ended by itself, and the
//! other side is told that it was cancelled (RST_STREAM, RFC 9113 section 6.4).

use std::future::Future;
use std::sync::Arc;

use hyper::rt::Executor;
use tokio::sync::Notify;

tokio::task_local! {
    /// Ends the task that asks.
    static END: Arc<Notify>;
}

/// Runs the answers of a connection.
#[derive(Debug, Clone)]
pub(super) struct AnswerTasks;

impl<F> Executor<F> for AnswerTasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, answer: F) {
        let end = Arc::new(Notify::new());
        let task = END.scope(Arc::clone(&end), async move {
            tokio::select! {
                _ = answer => {}
                () = end.notified() => {}
            }
        });
        tokio::spawn(task);
    }
}

/// What ends the answer that is being made by whoever calls, if that can be ended alone.
pub(super) fn end_of_this() -> Option<Arc<Notify>> {
    END.try_with(Arc::clone).ok()
}
