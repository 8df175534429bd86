//! Template records as they stand on the wire: their bounds and their fields.
//! What a template means for a record is [`crate::plan`]'s business.

use crate::protocol::Protocol;
use crate::reader::Reader;
use crate::reject::Reject;

/// One field specifier of a template (RFC 7011 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Field {
    /// The element's number, without the enterprise bit.
    pub id: u16,
    /// Private enterprise number; 0 for the elements of IANA's registry.
    pub enterprise: u32,
    /// Octets of a value; [`Field::VARIABLE`] when each value brings its length.
    pub width: u16,
}

impl Field {
    /// The width that stands for variable length (RFC 7011 §7).
    pub const VARIABLE: u16 = u16::MAX;

    /// A field of IANA's registry.
    pub const fn iana(id: u16, width: u16) -> Self {
        Self {
            id,
            enterprise: 0,
            width,
        }
    }

    /// A field of an enterprise's own.
    pub const fn vendor(enterprise: u32, id: u16, width: u16) -> Self {
        Self {
            id,
            enterprise,
            width,
        }
    }

    /// Whether each value brings its own length.
    pub const fn is_variable(&self) -> bool {
        self.width == Self::VARIABLE
    }
}

/// A template record, its fields still on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Definition<'a> {
    pub protocol: Protocol,
    pub id: u16,
    /// Where it begins in the message.
    pub offset: usize,
    /// Number of fields.
    pub count: usize,
    /// An options template: its data records describe the exporter, not flows.
    pub options: bool,
    /// The first so many fields are the scope; only options templates have one.
    pub scope: usize,
    /// Octets of its shortest record: every variable field empty.
    pub min_len: usize,
    specifiers: Reader<'a>,
}

/// What a template set contains.
#[derive(Debug, Clone)]
pub(crate) enum Entry<'a> {
    Definition(Definition<'a>),
    /// A template without fields: a withdrawal in IPFIX (RFC 7011 §8.1). The id of
    /// the set itself stands for all templates of its kind.
    Withdrawal(u16),
}

impl<'a> Definition<'a> {
    /// A template of which only the field specifiers are there.
    pub(crate) fn of_bytes(
        protocol: Protocol,
        id: u16,
        scope: usize,
        options: bool,
        specifiers: &'a [u8],
    ) -> Self {
        let specifiers = Reader::new(specifiers);
        let widths = || fields(specifiers.clone(), protocol).map(|field| least_bytes(&field));
        Self {
            protocol,
            id,
            offset: 0,
            count: widths().count(),
            options,
            scope,
            min_len: widths().sum(),
            specifiers,
        }
    }

    /// The octets of the field specifiers.
    pub(crate) fn octets(&self) -> &'a [u8] {
        self.specifiers.rest()
    }

    /// The template record, as it stands on the wire.
    pub(crate) fn record(&self) -> Vec<u8> {
        let number = |count: usize| (count as u16).to_be_bytes();
        let mut octets = self.id.to_be_bytes().to_vec();
        match (self.protocol, self.options) {
            (_, false) => octets.extend(number(self.count)),
            (Protocol::NetFlow9, true) => {
                octets.extend(number(4 * self.scope));
                octets.extend(number(4 * (self.count - self.scope)));
            }
            (_, true) => {
                octets.extend(number(self.count));
                octets.extend(number(self.scope));
            }
        }
        octets.extend_from_slice(self.octets());
        octets
    }

    /// The fields in order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field> + use<'a> {
        fields(self.specifiers.clone(), self.protocol)
    }
}

fn fields<'a>(mut specifiers: Reader<'a>, protocol: Protocol) -> impl Iterator<Item = Field> + use<'a> {
    std::iter::from_fn(move || specifier(&mut specifiers, protocol).ok())
}

/// The shortest value of a field. NetFlow v9 knows no variable lengths (RFC 3954), but
/// H3C's has them, written as in IPFIX; no value has 65535 octets.
fn least_bytes(field: &Field) -> usize {
    if field.is_variable() {
        1
    } else {
        usize::from(field.width)
    }
}

/// Reads the next template of a template set or options template set. `None` at
/// the end of the set; up to three octets, or zeros, before it are padding.
pub(crate) fn next_entry<'a>(
    set: &mut Reader<'a>,
    protocol: Protocol,
    options: bool,
) -> Result<Option<Entry<'a>>, Reject> {
    if set.left() < 4 {
        return Ok(None);
    }
    let offset = set.offset();
    let id = set.u16()?;
    let size = set.u16()?;
    if id == 0 && size == 0 {
        return Ok(None);
    }
    // A withdrawal may name the set id itself: "all templates" (RFC 7011 §8.1).
    if size == 0 && (protocol == Protocol::Ipfix || !options) {
        return Ok(Some(Entry::Withdrawal(id)));
    }
    if id < 256 {
        return Err(Reject::TemplateId { offset, found: id });
    }
    let (scope, count) = match (protocol, options) {
        (_, false) => (0, usize::from(size)),
        (Protocol::NetFlow9, true) => netflow9_options_count(set, offset, size)?,
        (_, true) => ipfix_options_count(set, offset, size)?,
    };
    let (specifiers, min_len) = specifiers(set, protocol, count)?;
    Ok(Some(Entry::Definition(Definition {
        protocol,
        id,
        offset,
        count,
        options,
        scope,
        min_len,
        specifiers,
    })))
}

/// RFC 7011 §3.4.2.2: a scope field count follows the field count.
fn ipfix_options_count(set: &mut Reader<'_>, offset: usize, count: u16) -> Result<(usize, usize), Reject> {
    let scope = set.u16()?;
    if scope == 0 || scope > count {
        return Err(Reject::Scope {
            offset,
            found: usize::from(scope),
            expected: usize::from(count),
        });
    }
    Ok((usize::from(scope), usize::from(count)))
}

/// RFC 3954 §6.1: the octets of the scope specifiers, then of the option specifiers.
fn netflow9_options_count(set: &mut Reader<'_>, offset: usize, scope: u16) -> Result<(usize, usize), Reject> {
    let options = set.u16()?;
    if !scope.is_multiple_of(4) || !options.is_multiple_of(4) {
        return Err(Reject::OptionsLength {
            offset,
            scope,
            options,
        });
    }
    let scope = usize::from(scope / 4);
    Ok((scope, scope + usize::from(options / 4)))
}

/// Field specifiers as they stand in an IPFIX template.
pub(crate) fn specifier_bytes(fields: &[Field]) -> Vec<u8> {
    let mut octets = Vec::new();
    for field in fields {
        let vendor = if field.enterprise == 0 { 0 } else { 0x8000 };
        octets.extend((field.id | vendor).to_be_bytes());
        octets.extend(field.width.to_be_bytes());
        if vendor != 0 {
            octets.extend(field.enterprise.to_be_bytes());
        }
    }
    octets
}

/// Cuts `count` field specifiers off the set; the number is that of the octets of the
/// shortest record.
fn specifiers<'a>(
    set: &mut Reader<'a>,
    protocol: Protocol,
    count: usize,
) -> Result<(Reader<'a>, usize), Reject> {
    let (mut ahead, mut min_len) = (set.clone(), 0);
    for _ in 0..count {
        min_len += least_bytes(&specifier(&mut ahead, protocol)?);
    }
    Ok((set.part(set.left() - ahead.left())?, min_len))
}

/// Reads one field specifier. The enterprise bit exists in IPFIX only.
fn specifier(reader: &mut Reader<'_>, protocol: Protocol) -> Result<Field, Reject> {
    let id = reader.u16()?;
    let width = reader.u16()?;
    if protocol == Protocol::Ipfix && id & 0x8000 != 0 {
        return Ok(Field::vendor(reader.u32()?, id & 0x7fff, width));
    }
    Ok(Field::iana(id, width))
}
