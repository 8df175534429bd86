//! Row identifiers (RFC 4122 text form). Does not make new ones: the server does.

use std::{fmt, str::FromStr};

/// A row's identity, as the server made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(u128);

/// The text is not `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID: {0:?}")]
pub struct InvalidUuid(pub String);

impl Uuid {
    /// All zeros: "no transaction" in `monitor_cond_since` (ovsdb-server.7 section 4.1.15).
    pub const ZERO: Uuid = Uuid(0);

    /// The UUID whose 128 bits are `bits`, most significant digit first.
    pub const fn from_u128(bits: u128) -> Uuid {
        Uuid(bits)
    }

    /// Parses the 36-character text form; the same as `text.parse()`.
    ///
    /// # Errors
    /// [`InvalidUuid`] for any other text.
    pub fn parse(text: &str) -> Result<Uuid, InvalidUuid> {
        text.parse()
    }
}

impl FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Uuid, InvalidUuid> {
        let invalid = || InvalidUuid(text.chars().take(64).collect());
        if text.len() != 36 {
            return Err(invalid());
        }
        let mut bits = 0_u128;
        for (position, byte) in text.bytes().enumerate() {
            match (position, char::from(byte).to_digit(16)) {
                (8 | 13 | 18 | 23, _) if byte == b'-' => {}
                (8 | 13 | 18 | 23, _) | (_, None) => return Err(invalid()),
                (_, Some(digit)) => bits = (bits << 4) | u128::from(digit),
            }
        }
        Ok(Uuid(bits))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Uuid(bits) = *self;
        let (first, second, third) = (bits >> 96, (bits >> 80) & 0xffff, (bits >> 64) & 0xffff);
        let (fourth, last) = ((bits >> 48) & 0xffff, bits & 0xffff_ffff_ffff);
        write!(f, "{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{last:012x}")
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
