//! Whether the server still lives: any bytes prove it, silence asks for an echo,
//! more silence decides (as `jsonrpc_session` of OVS does). While a long request
//! is still being taken by the socket, nothing is asked.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Probe {
    interval: Duration,
    heard: Instant,
    asked: Option<Instant>,
}

pub(super) enum Verdict {
    Alive,
    Ask,
    Dead,
}

impl Probe {
    pub(super) fn new(interval: Duration, now: Instant) -> Probe {
        Probe {
            interval,
            heard: now,
            asked: None,
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    /// The socket took bytes. It takes those of the echo request too, so this is
    /// no sign of life once one was sent.
    pub(super) fn progressed(&mut self, now: Instant) {
        if self.asked.is_none() {
            self.heard = now;
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.asked.unwrap_or(self.heard) + self.interval
    }

    pub(super) fn check(&mut self, now: Instant) -> Verdict {
        if now < self.deadline() {
            return Verdict::Alive;
        }
        match self.asked.replace(now) {
            None => Verdict::Ask,
            Some(_) => Verdict::Dead,
        }
    }
}
