//! An exporter of NetFlow v9 or IPFIX that is right most of the time: it remembers its
//! templates and sends data that fits them, or such as OVS sends, or what comes to mind.

use std::collections::BTreeMap;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use wire::encode::{Body, Ipfix, NetFlow9};
use wire::ovs::{STATISTICS_TEMPLATE, TemplateKey};
use wire::{Field, Protocol};

use crate::fields::{fields, noise, ovs_record, record};

/// A set with its id.
type Set = (u16, Vec<u8>);

/// One observation domain of a session.
#[derive(Debug)]
pub struct Exporter {
    protocol: Protocol,
    domain: u32,
    sequence: u32,
    templates: BTreeMap<u16, Vec<Field>>,
}

impl Exporter {
    /// One that has sent nothing. `protocol`: IPFIX, else NetFlow v9.
    pub fn new(protocol: Protocol, domain: u32) -> Self {
        Self {
            protocol,
            domain,
            sequence: 0,
            templates: BTreeMap::new(),
        }
    }

    /// The next message. OVS sends one set in a message.
    pub fn message(&mut self, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let count = if u.ratio(2, 3)? { 1 } else { u.int_in_range(0..=4)? };
        let sets: Vec<Set> = (0..count).map(|_| self.set(u)).collect::<Result<_>>()?;
        self.sequence = self.sequence.wrapping_add(u.int_in_range(0..=3)?);
        let message = match self.protocol {
            Protocol::Ipfix => {
                let message = Ipfix::new(1_000, self.sequence, self.domain);
                sets.iter()
                    .fold(message, |message, (id, set)| message.set(*id, set))
                    .encode()
            }
            _ => {
                let claimed = u.int_in_range(0..=6)?;
                let message = NetFlow9::new(claimed, 1_000, 1_000, self.sequence, self.domain);
                sets.iter()
                    .fold(message, |message, (id, set)| message.set(*id, set))
                    .encode()
            }
        };
        damaged(u, message)
    }

    fn set(&mut self, u: &mut Unstructured<'_>) -> Result<Set> {
        let is_ipfix = self.protocol == Protocol::Ipfix;
        let (templates, options) = if is_ipfix { (2, 3) } else { (0, 1) };
        match u.int_in_range(0..=11)? {
            0 | 1 => Ok((templates, self.template(u, false)?)),
            2 | 3 => Ok((options, self.template(u, true)?)),
            4 if is_ipfix => {
                let options = u.ratio(1, 2)?;
                Ok((2 + u16::from(options), self.withdrawal(u, options)?))
            }
            5 => Ok((u.arbitrary()?, some_bytes(u)?)),
            _ => self.data(u),
        }
    }

    fn template(&mut self, u: &mut Unstructured<'_>, options: bool) -> Result<Vec<u8>> {
        let mut body = Body::default();
        for _ in 0..u.int_in_range(1..=2)? {
            let id = id(u)?;
            let fields = fields(u, id, options)?;
            let scope = match u.int_in_range(0..=7)? {
                0 => u.int_in_range(0..=fields.len() + 1)?,
                _ => 1,
            };
            body.u16(id);
            match (self.protocol, options) {
                (_, false) => body.u16(fields.len() as u16),
                (Protocol::Ipfix, true) => body.u16(fields.len() as u16).u16(scope as u16),
                (_, true) => body
                    .u16(scope as u16 * 4)
                    .u16(fields.len().saturating_sub(scope) as u16 * 4),
            };
            for field in &fields {
                specifier(&mut body, field);
            }
            self.templates.insert(id, fields);
        }
        Ok(body.into_bytes())
    }

    /// Of one template, or of all of a kind (RFC 7011 §8.1).
    fn withdrawal(&mut self, u: &mut Unstructured<'_>, options: bool) -> Result<Vec<u8>> {
        let id = match u.int_in_range(0..=3)? {
            0 => 2 + u16::from(options),
            _ => self.known_id(u)?,
        };
        Ok([id.to_be_bytes(), [0, 0]].concat())
    }

    fn data(&mut self, u: &mut Unstructured<'_>) -> Result<Set> {
        let id = if u.ratio(3, 4)? { self.known_id(u)? } else { id(u)? };
        let mut body = Body::default();
        match (self.templates.get(&id), TemplateKey::of_id(id)) {
            (Some(fields), _) if u.ratio(1, 2)? => {
                for _ in 0..u.int_in_range(1..=3)? {
                    record(u, fields, &mut body)?;
                }
                body.bytes(&[0; 3][..u.int_in_range(0..=3)?]);
            }
            (_, Some(key)) if u.ratio(3, 4)? => ovs_record(u, key, &mut body)?,
            _ if id == STATISTICS_TEMPLATE => {
                body.bytes(&noise(u, 12)?);
            }
            _ => {
                body.bytes(&some_bytes(u)?);
            }
        }
        Ok((id, body.into_bytes()))
    }

    fn known_id(&self, u: &mut Unstructured<'_>) -> Result<u16> {
        let known: Vec<u16> = self.templates.keys().copied().collect();
        if known.is_empty() {
            id(u)
        } else {
            u.choose(&known).copied()
        }
    }
}

/// OVS's, that of its statistics, few others, any.
fn id(u: &mut Unstructured<'_>) -> Result<u16> {
    match u.int_in_range(0..=9)? {
        0..=2 => u.int_in_range(256..=375),
        3..=6 => Ok(STATISTICS_TEMPLATE),
        7 | 8 => u.int_in_range(500..=503),
        _ => u.arbitrary(),
    }
}

fn specifier(body: &mut Body, field: &Field) {
    if field.enterprise == 0 {
        body.u16(field.id).u16(field.width);
    } else {
        body.u16(field.id | 0x8000).u16(field.width).u32(field.enterprise);
    }
}

fn some_bytes(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let count = u.int_in_range(0..=64)?;
    noise(u, count)
}

/// One in eight messages is not as it was meant.
pub fn damaged(u: &mut Unstructured<'_>, mut message: Vec<u8>) -> Result<Vec<u8>> {
    if message.is_empty() || !u.ratio(1, 8)? {
        return Ok(message);
    }
    let place = u.int_in_range(0..=message.len() - 1)?;
    match u.int_in_range(0..=2)? {
        0 => message.truncate(place),
        1 => message[place] = u.arbitrary()?,
        _ => message.extend(some_bytes(u)?),
    }
    Ok(message)
}
