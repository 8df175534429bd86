//! A short string that needs no heap: interface names, which every IPFIX record
//! of Open vSwitch carries, seldom have more than 15 octets.

use std::fmt;

/// Octets that fit without a heap allocation.
const INLINE: usize = 22;

/// A string from the wire. Empty means absent or empty: the wire does not tell
/// the two apart usefully. Octets that are no UTF-8 become U+FFFD, trailing NULs
/// (fixed-width strings are padded with them) are cut off.
#[derive(Clone)]
pub struct Text(Form);

#[derive(Clone)]
enum Form {
    Inline { length: u8, octets: [u8; INLINE] },
    Heap(Box<str>),
}

impl Text {
    /// The empty text.
    pub const EMPTY: Text = Text(Form::Inline {
        length: 0,
        octets: [0; INLINE],
    });

    /// Reads a string field (RFC 7011 §6.1.6).
    pub fn from_wire(bytes: &[u8]) -> Self {
        let end = bytes
            .iter()
            .rposition(|&octet| octet != 0)
            .map_or(0, |last| last + 1);
        let trimmed = bytes.get(..end).unwrap_or(bytes);
        match std::str::from_utf8(trimmed) {
            Ok(text) => Self::from(text),
            Err(_) => Self::from(String::from_utf8_lossy(trimmed).as_ref()),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // Only whole strings are ever stored, so the check cannot fail.
            Form::Inline { length, octets } => octets
                .get(..usize::from(*length))
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or_default(),
            Form::Heap(text) => text,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Form::Inline { length, .. } => *length == 0,
            Form::Heap(text) => text.is_empty(),
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let mut octets = [0; INLINE];
        match (octets.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(text.as_bytes());
                Self(Form::Inline { length, octets })
            }
            _ => Self(Form::Heap(text.into())),
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            // A text that fits is never on the heap.
            (Form::Inline { .. }, Form::Heap(_)) | (Form::Heap(_), Form::Inline { .. }) => false,
            (Form::Heap(one), Form::Heap(other)) => one == other,
            (
                Form::Inline { length, octets },
                Form::Inline {
                    length: other,
                    octets: others,
                },
            ) => (length, octets) == (other, others),
        }
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_texts_come_back_as_they_were() {
        for text in [
            "",
            "veth0",
            "exactly-22-octets-long",
            "23-octets-are-too-many.",
            &"x".repeat(254),
        ] {
            assert_eq!(Text::from_wire(text.as_bytes()), text);
        }
    }

    #[test]
    fn padding_is_cut_off_and_ill_formed_octets_are_replaced() {
        assert_eq!(Text::from_wire(b"eth0\0\0\0\0"), "eth0");
        assert_eq!(Text::from_wire(b"\0\0"), "");
        assert_eq!(Text::from_wire(b"a\xffb"), "a\u{fffd}b");
    }
}
