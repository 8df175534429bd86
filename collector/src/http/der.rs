//! What certificates say (RFC 5280 section 4.1), as far as it is wanted here, out of the bytes
//! that they are in (DER, X.690).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The tags of what is read.
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// What the first element of DER holds, and what comes after it.
pub(super) fn element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [_, length, rest @ ..] = bytes else {
        return None;
    };
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (
            usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])),
            rest.get(2..)?,
        ),
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// When a certificate ends.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(certificate)?;
    let (mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.1;
    }
    // The serial number, the algorithm, who issued it.
    for _ in 0..3 {
        fields = element(fields)?.1;
    }
    let (validity, _) = element(fields)?;
    let (_, end) = element(validity)?;
    let (text, _) = element(end)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match *end.first()? {
        // Until 2049 (section 4.1.2.5.1).
        UTC_TIME => format!("{}{text}", if *text < *"50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_in_either_form() {
        for (year, end) in [(2031, "2031-05-09T00:00:00Z"), (2051, "2051-05-09T00:00:00Z")] {
            let mut params = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 5, 9);
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(not_after(certificate.der()).unwrap().to_string(), end);
            for cut in 0..certificate.der().len().min(200) {
                let _ = not_after(&certificate.der()[..cut]);
            }
        }
        assert_eq!(not_after(b""), None);
    }
}
