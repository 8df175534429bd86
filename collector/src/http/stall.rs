//! A connection whose other side may not make it wait for ever: its first byte comes in
//! time, and it takes what is written to it in time. How long a request may take to
//! arrive, and how long there may be none, is hyper's to watch.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// The connection, watched.
pub(super) struct Stall<S> {
    stream: S,
    /// Nothing was read yet.
    silent: bool,
    /// How long the other side may leave what is written where it is.
    patience: Duration,
    writing: bool,
    deadline: Pin<Box<Sleep>>,
}

impl<S> Stall<S> {
    /// Watches from now on: so long for the first byte, so long for each write.
    pub(super) fn new(stream: S, first: Duration, patience: Duration) -> Self {
        Self {
            stream,
            silent: true,
            patience,
            writing: false,
            deadline: Box::pin(sleep_until(Instant::now() + first)),
        }
    }

    fn over(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    /// What came of a write: while nothing does, the time runs.
    fn written<T>(&mut self, outcome: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.writing = false;
            return outcome;
        }
        if !self.writing {
            self.writing = true;
            self.silent = false;
            self.deadline.as_mut().reset(Instant::now() + self.patience);
        }
        self.over(cx).map(Err)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stall<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if !self.silent {
            return outcome;
        }
        if outcome.is_ready() {
            self.silent = false;
            return outcome;
        }
        self.over(cx).map(Err)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stall<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(outcome, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.written(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(outcome, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.written(outcome, cx)
    }
}
