//! A certificate for the HTTP port that the collector makes for itself, where nobody
//! else does. Each comes with an authority of its own, whose key is forgotten as soon as
//! it has signed: what is kept can speak for one name, and sign for none. Who trusted the
//! authority before trusts its certificates as long as they last, since the bundle has
//! both.
//!
//! No clock is read here, and nothing is kept.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// How long a certificate holds, and its authority with it.
const LIFETIME: Duration = days(365);
/// So long before its end a new one is made.
pub(super) const RENEWAL: Duration = days(120);
/// Clocks that are this far behind take it.
const CLOCK_SKEW: Duration = days(1);
/// Authorities that are told: the newest, and those before it.
const AUTHORITIES: usize = 2;

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// A certificate with its key and the authorities to tell, all in PEM; as a Secret of the
/// type `kubernetes.io/tls` has them.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Issued {
    /// `ca.crt`: the authority of the certificate first.
    pub(super) authorities: String,
    /// `tls.crt`.
    pub(super) certificate: String,
    /// `tls.key`.
    pub(super) private_key: String,
}

/// Makes a certificate for these names; `before` is what the one before was trusted by.
///
/// # Errors
/// A name is none, or there is no randomness.
pub(super) fn issue(names: &[String], before: &str, now: SystemTime) -> Result<Issued, rcgen::Error> {
    let made = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let (from, until) = (date(now - CLOCK_SKEW), date(now + LIFETIME));
    let params = |names: Vec<String>, called: String| {
        let mut params = CertificateParams::new(names)?;
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, called);
        Ok::<_, rcgen::Error>(params)
    };
    let mut authority = params(Vec::new(), format!("weir-collector {made}"))?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;

    let mut params = params(names.to_vec(), "weir-collector".to_owned())?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &Issuer::new(authority, authority_key))?;
    let before = blocks(before).take(AUTHORITIES - 1);
    Ok(Issued {
        authorities: std::iter::once(authority_certificate.pem())
            .chain(before)
            .collect(),
        certificate: certificate.pem(),
        private_key: key.serialize_pem(),
    })
}

/// Year, month and day of a moment, which is as exact as is needed.
fn date(moment: SystemTime) -> (i32, u8, u8) {
    let moment = Timestamp::try_from(moment).unwrap_or(Timestamp::UNIX_EPOCH);
    let date = moment.to_zoned(TimeZone::UTC).date();
    (
        date.year().into(),
        date.month().unsigned_abs(),
        date.day().unsigned_abs(),
    )
}

/// The certificates of a bundle, in PEM, each on its own.
fn blocks(bundle: &str) -> impl Iterator<Item = String> {
    const END: &str = "-----END CERTIFICATE-----";
    bundle
        .split_inclusive(END)
        .filter(|block| block.contains(END))
        .map(|block| block.trim_start().to_owned() + "\n")
}

/// Why a certificate is not one for these names at that moment; nothing, if it is.
pub(super) fn fault(issued: &Issued, names: &[String], at: SystemTime) -> Option<String> {
    let parsed = |pem: &str| CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let certificates = match parsed(&issued.certificate) {
        Ok(certificates) if !certificates.is_empty() => certificates,
        Ok(_) => return Some("there is none".to_owned()),
        Err(error) => return Some(error.to_string()),
    };
    let authorities = match parsed(&issued.authorities) {
        Ok(authorities) => authorities,
        Err(error) => return Some(error.to_string()),
    };
    check(&certificates, &authorities, names, at)
        .err()
        .map(|error| error.to_string())
}

fn check(
    certificates: &[CertificateDer<'_>],
    authorities: &[CertificateDer<'_>],
    names: &[String],
    at: SystemTime,
) -> Result<(), webpki::Error> {
    let anchors = authorities.iter().map(anchor_from_trusted_cert);
    let anchors = anchors.collect::<Result<Vec<_>, _>>()?;
    let [first, between @ ..] = certificates else {
        return Err(webpki::Error::BadDer);
    };
    let certificate = EndEntityCert::try_from(first)?;
    let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let usage = KeyUsage::server_auth();
    certificate.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, between, at, usage, None, None)?;
    for name in names {
        let name = ServerName::try_from(name.as_str()).map_err(|_| webpki::Error::BadDer)?;
        certificate.verify_is_valid_for_subject_name(&name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &str) -> Vec<String> {
        vec![format!("{of}.weir-system.svc"), of.to_owned()]
    }

    #[test]
    fn what_is_made_holds_for_its_names_until_its_end_and_for_nobody_else() {
        let now = SystemTime::now();
        let made = issue(&names("a"), "", now).unwrap();
        let holds = |names: &[String], at| fault(&made, names, at).is_none();
        assert_eq!(fault(&made, &names("a"), now), None);
        assert!(holds(&names("a"), now + LIFETIME - days(2)));
        assert!(!holds(&names("a"), now + LIFETIME + days(1)));
        assert!(!holds(&names("a"), now - days(3)));
        assert!(!holds(&names("b"), now));
        let other = issue(&names("a"), "", now).unwrap();
        let foreign = Issued {
            authorities: other.authorities,
            ..made.clone()
        };
        assert!(fault(&foreign, &names("a"), now).is_some());
        for broken in [
            Issued::default(),
            Issued {
                certificate: "nothing".to_owned(),
                ..made.clone()
            },
            Issued {
                authorities: String::new(),
                ..made.clone()
            },
        ] {
            assert!(fault(&broken, &names("a"), now).is_some());
        }
    }

    #[test]
    fn who_trusted_the_authority_before_trusts_its_certificate_on_and_no_key_of_one_is_kept() {
        let now = SystemTime::now();
        let mut made = issue(&names("a"), "", now).unwrap();
        for _ in 0..3 {
            let before = made;
            made = issue(&names("a"), &before.authorities, now).unwrap();
            let told = Issued {
                authorities: made.authorities.clone(),
                ..before
            };
            assert_eq!(fault(&told, &names("a"), now), None);
            assert_eq!(fault(&made, &names("a"), now), None);
            assert_eq!(blocks(&made.authorities).count(), AUTHORITIES);
            assert_eq!(
                made.private_key.matches("PRIVATE KEY").count(),
                2,
                "one key, begun and ended"
            );
        }
    }
}
