//! sFlow datagrams, and the packets that they sample: layer upon layer, with lengths and
//! checksums that are right most of the time.

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use wire::encode::Body;

use crate::exporter::damaged;
use crate::fields::noise;

/// Layers in one packet.
const MAX_DEPTH: usize = 6;

/// A datagram of up to four samples.
pub fn datagram(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut body = Body::default();
    body.u32(5).u32(1).bytes(&[192, 0, 2, u.int_in_range(1..=3)?]);
    body.u32(u.int_in_range(0..=2)?).u32(u.arbitrary()?).u32(1_000);
    let count = u.int_in_range(1..=4)?;
    body.u32(count);
    for _ in 0..count {
        let (format, sample) = sample(u)?;
        opaque(&mut body, format, &sample);
    }
    damaged(u, body.into_bytes())
}

fn opaque(body: &mut Body, format: u32, content: &[u8]) {
    body.u32(format).u32(content.len() as u32).bytes(content);
    body.bytes(&[0; 3][..(4 - content.len() % 4) % 4]);
}

fn sample(u: &mut Unstructured<'_>) -> Result<(u32, Vec<u8>)> {
    let format = *u.choose(&[1, 1, 1, 3, 2, 4, 5, 77])?;
    // Words before the parts.
    let words = match format {
        1 => 7,
        2 => 2,
        3 => 10,
        4 => 3,
        _ => 7,
    };
    let mut body = Body::default();
    for _ in 0..words {
        body.u32(u.arbitrary()?);
    }
    let count = u.int_in_range(0..=4)?;
    body.u32(count);
    for _ in 0..count {
        let (format, part) = part(u, matches!(format, 2 | 4))?;
        opaque(&mut body, format, &part);
    }
    Ok((format, body.into_bytes()))
}

fn part(u: &mut Unstructured<'_>, counters: bool) -> Result<(u32, Vec<u8>)> {
    let usual: &[(u32, usize)] = if counters {
        &[(1, 88), (2, 52), (1004, 12), (2203, 40), (2207, 24), (7, 56)]
    } else {
        &[
            (2, 20),
            (3, 32),
            (4, 56),
            (1001, 16),
            (1002, 16),
            (1003, 60),
            (1004, 24),
            (1007, 16),
            (1020, 8),
            (1023, 32),
            (1024, 32),
            (1025, 56),
            (1026, 56),
            (1029, 4),
            (1030, 4),
        ]
    };
    match u.int_in_range(0..=5)? {
        0..=2 if !counters => Ok((1, header(u)?)),
        3 if counters => {
            let length = u.int_in_range(0..=400)?;
            let name = noise(u, length)?;
            let mut body = Body::default();
            body.u32(name.len() as u32).bytes(&name);
            Ok((1005, body.into_bytes()))
        }
        _ => {
            let &(format, length) = u.choose(usual)?;
            Ok((format, noise(u, length)?))
        }
    }
}

fn header(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let protocol = *u.choose(&[1, 1, 1, 7, 11, 12, 13, 14, 3])?;
    let mut packet = Vec::new();
    match protocol {
        1 => ethernet(u, 0, &mut packet)?,
        7 | 14 => ppp(u, 0, &mut packet)?,
        13 => mpls(u, 0, &mut packet)?,
        _ => ip(u, 0, &mut packet)?,
    }
    let trailer = if u.ratio(1, 8)? { u.arbitrary()? } else { 4 };
    let length = (packet.len() as u32).wrapping_add(trailer);
    packet.truncate(u.int_in_range(0..=192)?);
    let mut body = Body::default();
    body.u32(protocol).u32(length).u32(*u.choose(&[4, 4, 0, 18])?);
    body.u32(packet.len() as u32).bytes(&packet);
    Ok(body.into_bytes())
}

/// An Ethernet frame.
pub fn frame(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut packet = Vec::new();
    ethernet(u, 0, &mut packet)?;
    Ok(packet)
}

fn ethernet(u: &mut Unstructured<'_>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    for _ in 0..2 {
        let first = *u.choose(&[0x00, 0x02, 0x45, 0x60])?;
        out.extend([first, 0, 0, 0, 0, u.arbitrary()?]);
    }
    for _ in 0..u.int_in_range(0..=5)? {
        out.extend(u.choose(&[[0x81, 0], [0x88, 0xa8], [0x91, 0]])?);
        out.extend(u.arbitrary::<u16>()?.to_be_bytes());
    }
    match u.int_in_range(0..=7)? {
        0 => {
            out.extend([0, 100, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
            ip(u, depth + 1, out)
        }
        1 => {
            out.extend([0x88, 0x64, 0x11, 0, 0, 1, 0, 50]);
            ppp(u, depth + 1, out)
        }
        2 | 3 => {
            out.extend([0x88, 0x47]);
            mpls(u, depth + 1, out)
        }
        4 => {
            out.extend(u.arbitrary::<u16>()?.to_be_bytes());
            some(u, out)
        }
        _ => {
            out.extend(u.choose(&[[0x08, 0], [0x86, 0xdd]])?);
            ip(u, depth + 1, out)
        }
    }
}

fn ppp(u: &mut Unstructured<'_>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    if u.ratio(1, 2)? {
        out.extend([0xff, 3]);
    }
    out.extend(u.choose(&[[0, 0x21], [0, 0x57], [0x02, 0x81], [0xc0, 0x21]])?);
    ip(u, depth + 1, out)
}

fn mpls(u: &mut Unstructured<'_>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    for _ in 0..u.int_in_range(0..=18)? {
        out.extend([0, 1, 0x20, 64]);
    }
    let bottom: u8 = u.int_in_range(0..=4)?;
    out.extend([0, 0, bottom << 4 | 1, 64]);
    match u.int_in_range(0..=3)? {
        0 => {
            out.extend([0; 4]);
            ethernet(u, depth + 1, out)
        }
        1 => ethernet(u, depth + 1, out),
        _ => ip(u, depth + 1, out),
    }
}

fn some(u: &mut Unstructured<'_>, out: &mut Vec<u8>) -> Result<()> {
    let count = u.int_in_range(0..=80)?;
    out.extend(noise(u, count)?);
    Ok(())
}

fn ip(u: &mut Unstructured<'_>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    if depth > MAX_DEPTH {
        return some(u, out);
    }
    let protocol = *u.choose(&[1, 4, 6, 6, 17, 17, 41, 47, 50, 58, 89, 132])?;
    let mut payload = Vec::new();
    transport(u, protocol, depth, &mut payload)?;
    if u.ratio(1, 2)? {
        ipv4(u, protocol, payload.len(), out)?;
    } else {
        ipv6(u, protocol, payload.len(), out)?;
    }
    out.extend(payload);
    Ok(())
}

fn ipv4(u: &mut Unstructured<'_>, protocol: u8, payload: usize, out: &mut Vec<u8>) -> Result<()> {
    let words = match u.int_in_range(0..=5)? {
        0 => u.int_in_range(0..=15)?,
        _ => 5u8,
    };
    let length = usize::from(words) * 4 + payload;
    let mut header = vec![0x40 | words, 0];
    header.extend((length as u16).to_be_bytes());
    header.extend([
        0,
        1,
        *u.choose(&[0, 0x20, 0x40])?,
        *u.choose(&[0, 0, 0, 1])?,
        64,
        protocol,
        0,
        0,
    ]);
    header.extend(u.arbitrary::<[u8; 8]>()?);
    header.resize((usize::from(words) * 4).max(20), 1);
    if u.ratio(1, 2)? {
        let words = header
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
        let mut sum: u32 = words.sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        header[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    }
    out.extend(header);
    Ok(())
}

fn ipv6(u: &mut Unstructured<'_>, protocol: u8, payload: usize, out: &mut Vec<u8>) -> Result<()> {
    let count = if u.ratio(1, 4)? {
        u.int_in_range(1..=20)?
    } else {
        0
    };
    let kinds: Vec<u8> = (0..count)
        .map(|_| u.choose(&[0, 43, 44, 51, 60, 135]).copied())
        .collect::<Result<_>>()?;
    let next = kinds.iter().copied().skip(1).chain([protocol]);
    let extensions: Vec<u8> = kinds
        .iter()
        .zip(next)
        .flat_map(|(kind, next)| match kind {
            51 => [next, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec(),
            _ => vec![next, 0, 0, 0, 0, 0, 0, 0],
        })
        .collect();
    out.extend([0x60, 0, 0, 0]);
    out.extend(((extensions.len() + payload) as u16).to_be_bytes());
    out.extend([kinds.first().copied().unwrap_or(protocol), 64]);
    for _ in 0..2 {
        out.extend([
            *u.choose(&[0x20, 0xfd, 0x45])?,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            u.arbitrary()?,
        ]);
    }
    out.extend(extensions);
    Ok(())
}

fn transport(u: &mut Unstructured<'_>, protocol: u8, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    match protocol {
        4 | 41 => ip(u, depth + 1, out),
        17 => {
            let port: u16 = *u.choose(&[53, 4789, 8472, 6081])?;
            out.extend([0xd4, 0x31]);
            out.extend(port.to_be_bytes());
            out.extend([0; 4]);
            out.extend(u.choose(&[[8, 0, 0, 0], [2, 0, 0x65, 0x58], [0, 0, 8, 0]])?);
            out.extend([0, 0x13, 0x89, 0]);
            ethernet_within(u, depth, out)
        }
        47 => {
            let flags: u8 = *u.choose(&[0, 0x10, 0x20, 0x30, 0xb0, 0x40])?;
            out.extend([flags, u.int_in_range(0..=1)?]);
            out.extend(u.choose(&[[0x65, 0x58], [8, 0], [0x88, 0xbe], [0x22, 0xeb]])?);
            out.extend(noise(u, 8)?);
            ethernet_within(u, depth, out)
        }
        _ => some(u, out),
    }
}

fn ethernet_within(u: &mut Unstructured<'_>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    if depth > MAX_DEPTH {
        return some(u, out);
    }
    ethernet(u, depth + 1, out)
}
