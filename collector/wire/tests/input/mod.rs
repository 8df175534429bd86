//! What the tests write datagrams with.
#![allow(dead_code, reason = "each test uses some of it")]

use wire::encode::Body;

/// What is written in order.
pub fn body(write: impl FnOnce(&mut Body)) -> Vec<u8> {
    let mut body = Body::default();
    write(&mut body);
    body.into_bytes()
}

/// Opaque data of sFlow: format, length, content (a multiple of four bytes).
pub fn part(format: u32, content: &[u8]) -> Vec<u8> {
    body(|body| {
        body.u32(format).u32(content.len() as u32).bytes(content);
    })
}

/// Bytes out of pairs of hexadecimal digits.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits = digits
        .chars()
        .map(|digit| digit.to_digit(16).expect("a digit") as u8);
    let digits: Vec<u8> = digits.collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
