//! Fields of templates and values for them: such as exporters send, and such as none
//! should.

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use wire::Field;
use wire::encode::Body;
use wire::ovs::{Network, PEN_VMWARE, STATISTICS_FIELDS, STATISTICS_TEMPLATE, TemplateKey, Transport};

/// Enterprise numbers: of the reverse half of a biflow (RFC 5103), VMware, Antrea, Cisco,
/// ntop, and one that nobody knows.
const ENTERPRISES: [u32; 6] = [29305, PEN_VMWARE, 56506, 9, 35632, 4_000_000];

/// Elements that mean something, by the width that they mostly have.
const ELEMENTS: [(u16, &[u16]); 8] = [
    (
        1,
        &[
            4, 5, 9, 13, 29, 30, 38, 39, 48, 60, 61, 89, 136, 176, 177, 192, 195, 230, 233,
        ],
    ),
    (
        2,
        &[
            6, 7, 11, 32, 58, 59, 139, 180, 181, 182, 183, 227, 228, 240, 243, 254, 256,
        ],
    ),
    (
        4,
        &[
            8, 10, 12, 14, 15, 16, 17, 18, 21, 22, 31, 34, 50, 70, 71, 95, 138, 150, 151, 158, 159, 161, 225,
            226, 234, 235, 252, 253, 305, 306, 309, 310, 312,
        ],
    ),
    (6, &[56, 57, 80, 81]),
    (
        8,
        &[
            1, 2, 23, 24, 25, 26, 85, 86, 132, 133, 148, 152, 153, 154, 155, 156, 157, 160, 231, 232, 298,
            299, 302, 322, 323, 324, 325, 352,
        ],
    ),
    (16, &[27, 28, 62, 63, 281, 282]),
    (32, &[82, 83, 96]),
    (Field::VARIABLE, &[82, 83, 96, 291, 292, 293, 313, 315, 371]),
];

/// Elements of options alone: samplers, statistics, interfaces, types of elements, and
/// the scopes of NetFlow v9.
const OPTIONS: [(u16, &[u16]); 5] = [
    (1, &[35, 48, 49, 339]),
    (2, &[1, 2, 303, 304]),
    (4, &[1, 2, 10, 34, 50, 142, 144, 149, 305, 306, 309, 310, 346]),
    (8, &[167, 302]),
    (Field::VARIABLE, &[82, 83, 341]),
];

/// The fields of a template: often those that OVS has under this id.
pub fn fields(u: &mut Unstructured<'_>, id: u16, options: bool) -> Result<Vec<Field>> {
    let own = match TemplateKey::of_id(id) {
        Some(key) => Some(key.fields(u.arbitrary()?)),
        None => (id == STATISTICS_TEMPLATE).then(|| STATISTICS_FIELDS.to_vec()),
    };
    match own {
        Some(own) if u.ratio(1, 3)? => Ok(own),
        _ => {
            let most = *u.choose(&[1, 3, 10])?;
            (0..u.int_in_range(1..=most)?)
                .map(|_| field(u, options))
                .collect()
        }
    }
}

fn field(u: &mut Unstructured<'_>, options: bool) -> Result<Field> {
    let table: &[(u16, &[u16])] = if options && u.ratio(2, 3)? {
        &OPTIONS
    } else {
        &ELEMENTS
    };
    let &(usual, ids) = u.choose(table)?;
    let id = *u.choose(ids)?;
    let width = match u.int_in_range(0..=9)? {
        0 | 1 => Field::VARIABLE,
        2 => u.int_in_range(0..=17)?,
        3 => *u.choose(&[0, 255, 256, 65_534])?,
        _ => usual,
    };
    if u.ratio(1, 8)? {
        let id = if u.ratio(1, 2)? {
            id
        } else {
            u.int_in_range(96..=898)?
        };
        return Ok(Field::vendor(*u.choose(&ENTERPRISES)?, id, width));
    }
    Ok(Field::iana(id, width))
}

/// One record of these fields.
pub fn record(u: &mut Unstructured<'_>, fields: &[Field], body: &mut Body) -> Result<()> {
    for field in fields {
        let width = if field.is_variable() {
            length(u)?
        } else {
            field.width.min(512)
        };
        let value = match field.id {
            315 | 313 if u.ratio(1, 2)? => crate::frames::frame(u)?,
            _ => noise(u, usize::from(width))?,
        };
        put(u, field, &value, body)?;
    }
    Ok(())
}

fn length(u: &mut Unstructured<'_>) -> Result<u16> {
    match u.int_in_range(0..=7)? {
        0 => Ok(0),
        1 => u.int_in_range(250..=600),
        _ => u.int_in_range(1..=40),
    }
}

/// A value in the room that the field has for it.
fn put(u: &mut Unstructured<'_>, field: &Field, value: &[u8], body: &mut Body) -> Result<()> {
    if !field.is_variable() {
        let mut padded = value.to_vec();
        padded.resize(usize::from(field.width.min(512)), 0);
        body.bytes(&padded);
    } else if u.ratio(1, 4)? {
        body.variable_long(value);
    } else {
        body.variable(value);
    }
    Ok(())
}

/// What OVS would send under the id of this key.
pub fn ovs_record(u: &mut Unstructured<'_>, key: TemplateKey, body: &mut Body) -> Result<()> {
    for field in key.fields(u.ratio(1, 8)?) {
        let value = match ovs_value(key, field.id) {
            Some(number) => number.to_be_bytes()[8 - usize::from(field.width.min(8))..].to_vec(),
            None if field.is_variable() => {
                let length = u.int_in_range(0..=20)?;
                noise(u, length)?
            }
            None => noise(u, usize::from(field.width))?,
        };
        put(u, &field, &value, body)?;
    }
    Ok(())
}

/// Values that must agree with the id and with one another.
fn ovs_value(key: TemplateKey, id: u16) -> Option<u64> {
    let icmp = if key.network == Network::Ipv6 { 58 } else { 1 };
    Some(match id {
        61 => u64::from(key.egress),
        240 => {
            if key.vlan {
                18
            } else {
                14
            }
        }
        256 => match key.network {
            Network::Other => 0x0806,
            Network::Ipv4 => 0x0800,
            Network::Ipv6 => 0x86dd,
        },
        60 => {
            if key.network == Network::Ipv6 {
                6
            } else {
                4
            }
        }
        4 => match key.transport {
            Transport::Other => 89,
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Sctp => 132,
            Transport::Icmp => icmp,
        },
        58 | 243 => 100,
        158 => 2_000,
        159 => 1_000,
        2 | 133 => 3,
        1 | 352 | 353 => 300,
        25 | 26 => 100,
        136 => 2,
        _ => return None,
    })
}

/// Bytes that are as they come, or made of few of them.
pub fn noise(u: &mut Unstructured<'_>, count: usize) -> Result<Vec<u8>> {
    let seed: u16 = u.arbitrary()?;
    if seed % 4 == 0 {
        let mut bytes = u.bytes(count.min(u.len()))?.to_vec();
        bytes.resize(count, 0);
        return Ok(bytes);
    }
    let mut state = u32::from(seed);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    Ok(std::iter::repeat_with(next).take(count).collect())
}
