//! Octets and packets, and pairs of something for the two directions of a connection.

/// Octets of layer 3 and packets, scaled by sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Octets of layer 3.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
}

impl Counts {
    /// So many octets in so many packets.
    pub const fn new(bytes: u64, packets: u64) -> Self {
        Self { bytes, packets }
    }

    /// Both together; it stays at the greatest number instead of beginning again.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(more.bytes),
            packets: self.packets.saturating_add(more.packets),
        }
    }

    /// What is more than `less`; nothing where it is not.
    #[must_use]
    pub const fn since(self, less: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(less.bytes),
            packets: self.packets.saturating_sub(less.packets),
        }
    }

    /// The greater of each.
    pub(crate) fn greatest(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.max(other.bytes),
            packets: self.packets.max(other.packets),
        }
    }

    /// Whether either is less than in `other`.
    pub(crate) const fn is_below(self, other: Self) -> bool {
        self.bytes < other.bytes || self.packets < other.packets
    }

    /// The share of `part` in `whole`, rounded down.
    pub(crate) fn share(self, part: u64, whole: u64) -> Self {
        let of = |count: u64| {
            let share = u128::from(count) * u128::from(part.min(whole)) / u128::from(whole.max(1));
            u64::try_from(share).unwrap_or(count)
        };
        Self {
            bytes: of(self.bytes),
            packets: of(self.packets),
        }
    }
}

/// The same of both directions of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Biflow<T> {
    /// From the client to the server.
    pub forward: T,
    /// From the server to the client.
    pub reverse: T,
}

impl<T> Biflow<T> {
    /// Each put through `change`.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> Biflow<U> {
        Biflow {
            forward: change(self.forward),
            reverse: change(self.reverse),
        }
    }
}

impl Biflow<Counts> {
    /// Both together, direction by direction.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            forward: self.forward.plus(more.forward),
            reverse: self.reverse.plus(more.reverse),
        }
    }

    /// What is more than `less`, direction by direction.
    #[must_use]
    pub const fn since(self, less: Self) -> Self {
        Self {
            forward: self.forward.since(less.forward),
            reverse: self.reverse.since(less.reverse),
        }
    }
}

/// Something of each end of a key, the lower end first: no client is known there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PerEnd<T> {
    pub low: T,
    pub high: T,
}

impl<T> PerEnd<T> {
    pub fn at(&self, high: bool) -> &T {
        if high { &self.high } else { &self.low }
    }

    pub fn at_mut(&mut self, high: bool) -> &mut T {
        if high { &mut self.high } else { &mut self.low }
    }
}

impl PerEnd<Counts> {
    /// Both together, end by end.
    pub fn plus(self, more: Self) -> Self {
        Self {
            low: self.low.plus(more.low),
            high: self.high.plus(more.high),
        }
    }
}

impl<T: Copy> PerEnd<T> {
    /// As seen by the client.
    pub fn oriented(&self, client_high: bool) -> Biflow<T> {
        Biflow {
            forward: *self.at(client_high),
            reverse: *self.at(!client_high),
        }
    }

    /// Of what the client's end and the server's end have.
    pub fn of(biflow: Biflow<T>, client_high: bool) -> Self {
        if client_high {
            Self {
                low: biflow.reverse,
                high: biflow.forward,
            }
        } else {
            Self {
                low: biflow.forward,
                high: biflow.reverse,
            }
        }
    }
}
