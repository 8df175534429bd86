//! Splits a byte stream into JSON objects. OVSDB writes them one after the other
//! with nothing, or white space, between them, so only counting brackets outside
//! of strings finds where one ends. What is in them is [`crate::rpc`]'s business.

/// Collects bytes and hands out whole objects.
#[derive(Debug)]
pub struct Splitter {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were looked at.
    scanned: usize,
    depth: u32,
    in_string: bool,
    escaped: bool,
    limit: usize,
}

/// A stream that cannot be a sequence of objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A message begins with something else than `{`.
    #[error("a message begins with byte {0:#04x} instead of '{{'")]
    NotAnObject(u8),
    /// A message is larger than allowed.
    #[error("a message is larger than {limit} bytes")]
    TooLarge {
        /// The largest allowed, in bytes.
        limit: usize,
    },
}

impl Splitter {
    /// The default of the largest message: 64 MiB.
    pub const DEFAULT_LIMIT: usize = 64 << 20;

    /// An empty stream whose messages have at most `limit` bytes.
    pub fn new(limit: usize) -> Splitter {
        Splitter {
            buffer: Vec::new(),
            scanned: 0,
            depth: 0,
            in_string: false,
            escaped: false,
            limit,
        }
    }

    /// Appends what was received. Take out all messages before the next push, so
    /// that the buffer holds no more than one message and one push.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`FramingError`]; the stream has no meaning after it.
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, FramingError> {
        self.skip_white_space();
        while let Some(&byte) = self.buffer.get(self.scanned) {
            if self.scanned == 0 && byte != b'{' {
                return Err(FramingError::NotAnObject(byte));
            }
            self.scanned += 1;
            if self.scanned > self.limit {
                return Err(FramingError::TooLarge { limit: self.limit });
            }
            if self.ends_message(byte) {
                return Ok(Some(self.take_message()));
            }
        }
        Ok(None)
    }

    fn skip_white_space(&mut self) {
        if self.scanned == 0 {
            let white = self
                .buffer
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
            self.buffer.drain(..white);
        }
    }

    /// Brackets of both kinds count alike: whether they match is for the parser.
    fn ends_message(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth -= 1;
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }

    fn take_message(&mut self) -> Vec<u8> {
        let rest = self.buffer.split_off(self.scanned);
        self.scanned = 0;
        // The message takes the allocation along, so one large message leaves no large buffer.
        std::mem::replace(&mut self.buffer, rest)
    }
}

#[cfg(test)]
mod tests;
