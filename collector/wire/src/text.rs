//! A short string that needs no heap: interface names, which every IPFIX record
//! of Open vSwitch carries, seldom have more than 15 octets.

use std::fmt;

/// Octets that fit without a heap allocation.
const INLINE: usize = 22;

/// A string from the wire, of 255 bytes at most. Empty means absent or empty: the wire
/// does not tell the two apart usefully. Octets that are no UTF-8 become U+FFFD, trailing NULs
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

    /// The longest text that is taken from the wire; a longer one is cut off. No name
    /// needs more, and what waits in a queue must not grow with what strangers send.
    pub const MAX_BYTES: usize = 255;

    /// Reads a string field (RFC 7011 §6.1.6), up to [`Self::MAX_BYTES`] of it.
    pub fn from_wire(bytes: &[u8]) -> Self {
        // One character more than may stay, so that none is halved where the cut is.
        let head = bytes.get(..Self::MAX_BYTES + 4).unwrap_or(bytes);
        let end = head
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        let trimmed = head.get(..end).unwrap_or(head);
        match std::str::from_utf8(trimmed) {
            Ok(text) => Self::from(cut(text)),
            Err(_) => Self::from(cut(&String::from_utf8_lossy(trimmed))),
        }
    }

    /// What it takes beside its own size: nothing up to 22 bytes.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Inline { .. } => 0,
            Form::Heap(text) => text.len(),
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

/// No more than may stay, in whole characters, and no padding where it was cut.
fn cut(text: &str) -> &str {
    if text.len() <= Text::MAX_BYTES {
        return text;
    }
    let head = text.get(..text.floor_char_boundary(Text::MAX_BYTES));
    head.unwrap_or_default().trim_end_matches('\0')
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
    fn a_long_text_is_cut_off_at_a_character() {
        let long = "x".repeat(254);
        for (tail, stays) in [
            ("yz", "y"),
            ("é", ""),
            ("\u{1f30a}more", ""),
            ("\0more", ""),
            ("\u{7}more", "\u{7}"),
        ] {
            let text = Text::from_wire(format!("{long}{tail}").as_bytes());
            assert_eq!(text, &*format!("{long}{stays}"));
        }
        let many = Text::from_wire(&[b'n'; 65_000]);
        assert_eq!((many.as_str().len(), many.heap_bytes()), (255, 255));
    }

    #[test]
    fn octets_that_are_no_text_do_not_make_more_of_it() {
        let replaced = Text::from_wire(&[0xff; 65_000]);
        assert_eq!(replaced, &*"\u{fffd}".repeat(85));
        assert_eq!(replaced.heap_bytes(), 255);
    }

    #[test]
    fn only_long_texts_take_heap() {
        let bytes =
            ["", "exactly-22-octets-long", "23-octets-are-too-many."].map(|t| Text::from(t).heap_bytes());
        assert_eq!(bytes, [0, 0, 23]);
    }

    #[test]
    fn padding_is_cut_off_and_ill_formed_octets_are_replaced() {
        assert_eq!(Text::from_wire(b"eth0\0\0\0\0"), "eth0");
        assert_eq!(Text::from_wire(b"\0\0"), "");
        assert_eq!(Text::from_wire(b"a\xffb"), "a\u{fffd}b");
    }
}
