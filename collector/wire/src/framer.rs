//! IPFIX messages cut out of a byte stream by the length in their header
//! (RFC 7011 §10.4.2). It does no I/O and reads no more of a message than its header.

use crate::reader::Reader;
use crate::reject::Reject;

/// Octets of an IPFIX message header: no message is shorter (RFC 7011 §3.1).
const HEADER: usize = 16;

/// Puts the pieces that a TCP connection delivers together. It holds at most one
/// message that is not complete (65,534 octets) and the piece that was pushed last.
///
/// ```
/// use wire::{Framer, encode::Ipfix};
///
/// let message = Ipfix::new(1_795_196_542, 1, 0).encode();
/// let mut framer = Framer::default();
/// framer.push(&message[..7]);
/// assert_eq!(framer.next_message()?, None);
/// framer.push(&message[7..]);
/// assert_eq!(framer.next_message()?, Some(&message[..]));
/// # Ok::<(), wire::Reject>(())
/// ```
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where the next message begins.
    start: usize,
}

impl Framer {
    /// Takes what was read from the stream. [`Self::next_message`] is to be called
    /// until it has no more, else the buffer grows.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.drain(..self.start.min(self.buffer.len()));
        self.start = 0;
        self.buffer.extend_from_slice(octets);
    }

    /// The next whole message, `None` until there is one.
    ///
    /// # Errors
    /// [`Reject::Version`] or [`Reject::Length`] when what follows is no IPFIX
    /// message: nobody can say where the next one begins, so the connection is to be
    /// closed.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, Reject> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let mut header = Reader::new(rest);
        let Ok(version) = header.u16() else {
            return Ok(None);
        };
        if version != 10 {
            return Err(Reject::Version {
                found: u32::from(version),
            });
        }
        let Ok(length) = header.u16().map(usize::from) else {
            return Ok(None);
        };
        if length < HEADER {
            return Err(Reject::Length {
                offset: 2,
                found: length,
                expected: usize::from(u16::MAX),
            });
        }
        let message = rest.get(..length);
        if message.is_some() {
            self.start += length;
        }
        Ok(message)
    }

    /// Octets of a message that is not complete: at the end of a stream, what is
    /// lost.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }
}
