//! Whether the server still lives: any bytes prove it, silence asks for an echo,
//! more silence decides (as `jsonrpc_session` of OVS does).

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
