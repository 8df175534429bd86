//! Numbers, texts and identities into bytes.

use std::io::{self, Write};
use std::sync::Arc;

use foldhash::HashMap;

use crate::counts::{Counts, PerEnd};
use crate::observation::Identity;

/// So many bytes are gathered before they are written.
const GATHER: usize = 1 << 16;

/// Writes varints; counts and sums up what it wrote.
pub(super) struct Writer<'w, W> {
    out: &'w mut W,
    gathered: Vec<u8>,
    checksum: crc32fast::Hasher,
    length: u64,
    /// Texts and identities that have a number, by where they are.
    texts: HashMap<usize, u64>,
    identities: HashMap<usize, u64>,
}

impl<'w, W: Write> Writer<'w, W> {
    pub fn new(out: &'w mut W) -> Self {
        Self {
            out,
            gathered: Vec::with_capacity(GATHER * 2),
            checksum: crc32fast::Hasher::new(),
            length: 0,
            texts: HashMap::default(),
            identities: HashMap::default(),
        }
    }

    /// Writes out what has gathered, if it is enough.
    pub fn settle(&mut self) -> io::Result<()> {
        if self.gathered.len() < GATHER {
            return Ok(());
        }
        self.write_out()
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.checksum.update(&self.gathered);
        self.length += self.gathered.len() as u64;
        self.out.write_all(&self.gathered)?;
        self.gathered.clear();
        Ok(())
    }

    /// The length and checksum of all.
    pub fn finish(mut self) -> io::Result<(u64, u32)> {
        self.write_out()?;
        Ok((self.length, self.checksum.finalize()))
    }

    pub fn byte(&mut self, byte: u8) {
        self.gathered.push(byte);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
    }

    pub fn number(&mut self, number: impl Into<u64>) {
        let mut rest = number.into();
        while rest >= 0x80 {
            self.byte(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.byte(rest as u8);
    }

    /// Small whichever side of nothing it is on.
    pub fn signed(&mut self, number: i32) {
        self.number((number << 1 ^ number >> 31) as u32);
    }

    pub fn counts(&mut self, counts: Counts) {
        self.number(counts.bytes);
        self.number(counts.packets);
    }

    pub fn per_end(&mut self, counts: PerEnd<Counts>) {
        self.counts(counts.low);
        self.counts(counts.high);
    }

    /// Its number, or 0 and the text.
    pub fn text(&mut self, text: &Arc<str>) {
        let next = self.texts.len() as u64 + 1;
        let known = *self.texts.entry(text.as_ptr() as usize).or_insert(next);
        if known != next {
            self.number(known);
            return;
        }
        self.byte(0);
        self.plain_text(text);
    }

    pub fn plain_text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    /// 0: nobody; 1 and who it is; or its number from 2.
    pub fn identity(&mut self, who: Option<&Arc<Identity>>) {
        let Some(who) = who else {
            self.byte(0);
            return;
        };
        let next = self.identities.len() as u64 + 2;
        let known = *self.identities.entry(Arc::as_ptr(who) as usize).or_insert(next);
        if known != next {
            self.number(known);
            return;
        }
        self.byte(1);
        self.byte(who.kind as u8);
        let [ns, name] = [&who.ns, &who.name];
        let [kind, workload] = [&who.workload_kind, &who.workload_name];
        for text in [
            &who.node,
            ns,
            name,
            kind,
            workload,
            &who.service_ns,
            &who.service_name,
        ] {
            self.text(text);
        }
    }
}
