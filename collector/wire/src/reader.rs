//! A cursor over a datagram that reports absolute offsets. It owns bounds
//! checks: nothing else in this crate slices bytes by number.

use crate::reject::Reject;

/// Reads big-endian values from a slice and knows where the slice lies in the
/// datagram.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            offset: 0,
        }
    }

    /// Octets not read yet.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Where the next octet lies in the datagram.
    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    /// The octets not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Cuts off the next `count` octets.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Reject> {
        let Some((head, tail)) = self.rest.split_at_checked(count) else {
            return Err(Reject::Truncated {
                offset: self.offset,
                expected: count,
                found: self.rest.len(),
            });
        };
        self.rest = tail;
        self.offset += count;
        Ok(head)
    }

    /// Cuts off the next `count` octets as a reader of their own.
    pub(crate) fn part(&mut self, count: usize) -> Result<Reader<'a>, Reject> {
        let offset = self.offset;
        Ok(Reader {
            rest: self.take(count)?,
            offset,
        })
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(Reject::Truncated {
                offset: self.offset,
                expected: N,
                found: self.rest.len(),
            });
        };
        self.rest = tail;
        self.offset += N;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Reject> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Reject> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Reject> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Reject> {
        self.array().map(u32::from_be_bytes)
    }
}
