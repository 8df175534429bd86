//! Ethernet addresses as databases and annotations write them.

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Reads `0a:58:0a:80:00:05`. An address of a group (IEEE 802) or of zeros is nobody's.
pub fn parse(text: &str) -> Option<Mac> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let is_byte = |text: &&str| (1..=2).contains(&text.len()) && !text.starts_with('+');
        let digits = parts.next().filter(is_byte)?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    let somebodys = mac != [0; 6] && mac[0] & 1 == 0;
    (somebodys && parts.next().is_none()).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ethernet_address_is_read_and_what_is_none_is_nobodys() {
        assert_eq!(parse("0a:58:0A:80:00:5"), Some([0x0a, 0x58, 0x0a, 0x80, 0, 5]));
        for wrong in [
            "",
            "0a:58:0a:80:00",
            "0a:58:0a:80:00:05:06",
            "0a:58:0a:80:00:+5",
            "x",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse("00:00:00:00:00:00"), None);
        assert_eq!(parse("ff:ff:ff:ff:ff:ff"), None);
    }
}
