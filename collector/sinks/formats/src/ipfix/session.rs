//! Records into messages: sequence numbers, templates, sizes. No clock: the time of the export
//! comes in.

use wire::Field;
use wire::encode::Ipfix;

/// Over UDP templates are sent anew after so many seconds (RFC 7011 §8.4).
pub const TEMPLATES_EACH_SECONDS: u32 = 600;
/// And after so many messages.
pub const TEMPLATES_EACH_MESSAGES: u32 = 4096;

/// Octets of a message before its first set, and of a set before its content.
const HEADERS: usize = 16 + 4;

/// One transport session, or all datagrams to one collector.
#[derive(Debug)]
pub struct Session {
    domain: u32,
    largest: usize,
    templates: Vec<(u16, Vec<Field>)>,
    /// Data records that were sent, modulo 2^32 (RFC 7011 §3.1).
    sequence: u32,
    /// Records of one template that wait.
    set: Vec<u8>,
    set_id: u16,
    waiting: u32,
    told_at: Option<u32>,
    messages: u32,
}

impl Session {
    /// A session of that observation domain, whose messages have `largest` octets at most; a
    /// record that is larger goes alone.
    pub fn new(domain: u32, largest: usize, templates: Vec<(u16, Vec<Field>)>) -> Self {
        Self {
            domain,
            largest,
            templates,
            sequence: 0,
            set: Vec::new(),
            set_id: 0,
            waiting: 0,
            told_at: None,
            messages: 0,
        }
    }

    /// Records that no message has been made of yet.
    pub const fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Templates have been sent in this session.
    pub const fn has_told_templates(&self) -> bool {
        self.told_at.is_some()
    }

    /// Templates have not been sent, or so long ago that over UDP they are due again.
    pub fn wants_templates(&self, now: u32) -> bool {
        self.told_at.is_none_or(|at| {
            now.wrapping_sub(at) >= TEMPLATES_EACH_SECONDS || self.messages >= TEMPLATES_EACH_MESSAGES
        })
    }

    /// The message that tells all templates; `now` are seconds since the epoch UTC, here and below.
    pub fn templates(&mut self, now: u32) -> Vec<u8> {
        self.told_at = Some(now);
        self.messages = 0;
        let mut set = Vec::new();
        for (id, fields) in &self.templates {
            set.extend(id.to_be_bytes());
            set.extend((fields.len() as u16).to_be_bytes());
            for field in fields {
                let enterprise = if field.enterprise == 0 { 0 } else { 0x8000 };
                set.extend((field.id | enterprise).to_be_bytes());
                set.extend(field.width.to_be_bytes());
                if field.enterprise != 0 {
                    set.extend(field.enterprise.to_be_bytes());
                }
            }
        }
        Ipfix::new(now, self.sequence, self.domain).set(2, &set).encode()
    }

    /// Adds a data record of a template. Returns the message that had no room for it.
    pub fn add(&mut self, template: u16, record: &[u8], now: u32) -> Option<Vec<u8>> {
        let fits = HEADERS + self.set.len() + record.len() <= self.largest;
        let full = match self.waiting > 0 && (template != self.set_id || !fits) {
            true => self.finish(now),
            false => None,
        };
        self.set_id = template;
        self.set.extend_from_slice(record);
        self.waiting += 1;
        full
    }

    /// The message of what waits, if anything does.
    pub fn finish(&mut self, now: u32) -> Option<Vec<u8>> {
        if self.waiting == 0 {
            return None;
        }
        let message = Ipfix::new(now, self.sequence, self.domain)
            .set(self.set_id, &self.set)
            .encode();
        self.set.clear();
        self.sequence = self.sequence.wrapping_add(std::mem::take(&mut self.waiting));
        self.messages += 1;
        Some(message)
    }

    /// A new transport session (RFC 7011 §10.2): templates are due, and numbers begin anew. What
    /// waited is forgotten; who held it adds it again.
    pub fn restart(&mut self) {
        *self = Self::new(self.domain, self.largest, std::mem::take(&mut self.templates));
    }
}
