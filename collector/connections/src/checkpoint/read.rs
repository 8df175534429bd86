//! Bytes into numbers, texts and identities. Nothing in them is believed.

use std::sync::Arc;

use super::CheckpointError;
use crate::counts::{Counts, PerEnd};
use crate::observation::{Identity, IdentityKind};

/// Reads what a [`super::write::Writer`] wrote.
pub(super) struct Reader<'b> {
    rest: &'b [u8],
    all: usize,
    texts: Vec<Arc<str>>,
    identities: Vec<Arc<Identity>>,
}

pub(super) type Read<T> = Result<T, CheckpointError>;

impl<'b> Reader<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self {
            rest: bytes,
            all: bytes.len(),
            texts: Vec::new(),
            identities: Vec::new(),
        }
    }

    /// The error of what was read last.
    pub fn malformed<T>(&self, what: &'static str) -> Read<T> {
        let at = super::HEADER + self.all - self.rest.len();
        Err(CheckpointError::Malformed { at, what })
    }

    pub fn end(&self) -> Read<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        self.malformed("there is more than the state")
    }

    pub fn byte(&mut self) -> Read<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return self.malformed("it ends within a value");
        };
        self.rest = rest;
        Ok(*bytes)
    }

    pub fn long(&mut self) -> Read<u64> {
        let mut number = 0u64;
        for shift in (0..).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift > 63 || (shift == 63 && bits > 1) {
                return self.malformed("a number has more than 64 bits");
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(number)
    }

    /// A number that fits where it belongs.
    pub fn number<T: TryFrom<u64>>(&mut self) -> Read<T> {
        let number = self.long()?;
        match T::try_from(number) {
            Ok(number) => Ok(number),
            Err(_) => self.malformed("a number is too large for its field"),
        }
    }

    pub fn signed(&mut self) -> Read<i32> {
        let number: u32 = self.number()?;
        Ok((number >> 1) as i32 ^ -((number & 1) as i32))
    }

    pub fn counts(&mut self) -> Read<Counts> {
        Ok(Counts::new(self.long()?, self.long()?))
    }

    pub fn per_end(&mut self) -> Read<PerEnd<Counts>> {
        Ok(PerEnd {
            low: self.counts()?,
            high: self.counts()?,
        })
    }

    pub fn plain_text(&mut self) -> Read<&'b str> {
        let length: usize = self.number()?;
        let Some((text, rest)) = self.rest.split_at_checked(length) else {
            return self.malformed("it ends within a text");
        };
        self.rest = rest;
        match std::str::from_utf8(text) {
            Ok(text) => Ok(text),
            Err(_) => self.malformed("a text is not UTF-8"),
        }
    }

    pub fn text(&mut self) -> Read<Arc<str>> {
        let number: usize = self.number()?;
        if number == 0 {
            let text: Arc<str> = self.plain_text()?.into();
            self.texts.push(Arc::clone(&text));
            return Ok(text);
        }
        match self.texts.get(number - 1) {
            Some(text) => Ok(Arc::clone(text)),
            None => self.malformed("a text has not been told"),
        }
    }

    pub fn identity(&mut self) -> Read<Option<Arc<Identity>>> {
        let number: usize = self.number()?;
        match number {
            0 => Ok(None),
            1 => {
                let who = Arc::new(self.new_identity()?);
                self.identities.push(Arc::clone(&who));
                Ok(Some(who))
            }
            known => match self.identities.get(known - 2) {
                Some(who) => Ok(Some(Arc::clone(who))),
                None => self.malformed("an identity has not been told"),
            },
        }
    }

    fn new_identity(&mut self) -> Read<Identity> {
        let kind = match self.byte()? {
            0 => IdentityKind::Unknown,
            1 => IdentityKind::Pod,
            2 => IdentityKind::Service,
            3 => IdentityKind::Node,
            _ => return self.malformed("there is no such kind of identity"),
        };
        Ok(Identity {
            kind,
            node: self.text()?,
            ns: self.text()?,
            name: self.text()?,
            workload_kind: self.text()?,
            workload_name: self.text()?,
            service_ns: self.text()?,
            service_name: self.text()?,
        })
    }
}
