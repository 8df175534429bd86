//! What the API server says of who asks, when it passes a request on (the aggregation
//! layer of Kubernetes): it shows a certificate of an authority of its own, and names the
//! person in headers. The authority and the headers' names are in the ConfigMap
//! `kube-system/extension-apiserver-authentication`. Of anybody else these headers mean
//! nothing.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderValue};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_rustls::rustls::RootCertStore;

use super::der::element;
use crate::api::person::Person;

/// The namespace of the ConfigMap.
pub(super) const NAMESPACE: &str = "kube-system";
/// Its name.
pub(super) const CONFIG_MAP: &str = "extension-apiserver-authentication";

/// The object identifier of a common name (2.5.4.3), as DER writes it.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// How the API server is known, and where it says who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FrontProxy {
    authorities: Vec<CertificateDer<'static>>,
    /// Names that its certificate may have; any, if there are none.
    names: Vec<String>,
    user: Vec<String>,
    uid: Vec<String>,
    group: Vec<String>,
    /// What the headers of all else begin with.
    extra: Vec<String>,
}

impl FrontProxy {
    /// Reads the ConfigMap.
    ///
    /// # Errors
    /// It does not say how the API server is known.
    pub(super) fn read(data: &BTreeMap<String, String>) -> Result<Self, String> {
        let list = |key: &str| -> Result<Vec<String>, String> {
            let Some(text) = data.get(key) else {
                return Ok(Vec::new());
            };
            serde_json::from_str(text).map_err(|error| format!("{key}: {error}"))
        };
        let authorities = data
            .get("requestheader-client-ca-file")
            .ok_or("the API server aggregates nothing: requestheader-client-ca-file is missing")?;
        let authorities =
            CertificateDer::pem_slice_iter(authorities.as_bytes()).collect::<Result<Vec<_>, _>>();
        let authorities = authorities.map_err(|error| format!("requestheader-client-ca-file: {error}"))?;
        if authorities.is_empty() {
            return Err(
                "the API server aggregates nothing: requestheader-client-ca-file is empty".to_owned(),
            );
        }
        let allowed = list("requestheader-allowed-names")?;
        if allowed.is_empty() && data.get("client-ca-file") == data.get("requestheader-client-ca-file") {
            return Err(
                "any client's certificate would be the API server's: it has one authority for both, and no \
                 --requestheader-allowed-names"
                    .to_owned(),
            );
        }
        let lower = |names: Vec<String>| names.iter().map(|name| name.to_lowercase()).collect();
        Ok(Self {
            authorities,
            names: allowed,
            user: lower(list("requestheader-username-headers")?),
            uid: lower(list("requestheader-uid-headers")?),
            group: lower(list("requestheader-group-headers")?),
            extra: lower(list("requestheader-extra-headers-prefix")?),
        })
    }

    /// The authorities of its certificates.
    pub(super) fn authorities(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.authorities.iter().cloned());
        roots
    }

    /// Whether a certificate of one of its authorities is the API server's.
    pub(super) fn is_shown_by(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
            return false;
        };
        self.names.is_empty()
            || common_name(certificate.subject())
                .is_some_and(|name| self.names.iter().any(|known| known == name))
    }

    /// Who asks, as these headers say; nobody, when one of them cannot be read: who is in
    /// fewer groups may be allowed more.
    pub(super) fn person(&self, headers: &HeaderMap) -> Option<Person> {
        let all = |names: &[String]| -> Option<Vec<String>> {
            let values = names.iter().flat_map(|name| headers.get_all(name));
            let texts: Option<Vec<&str>> = values.map(text).collect();
            let texts = texts?.into_iter().filter(|text| !text.is_empty());
            Some(texts.map(str::to_owned).collect())
        };
        let mut extra = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in headers {
            let name = name.as_str();
            let key = self
                .extra
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix.as_str()));
            if let Some(key) = key {
                extra
                    .entry(unescaped(key))
                    .or_default()
                    .push(text(value)?.to_owned());
            }
        }
        Some(Person {
            name: all(&self.user)?.into_iter().next()?,
            uid: all(&self.uid)?.into_iter().next(),
            groups: all(&self.group)?,
            extra,
        })
    }
}

/// Names may have any letters; the API server sends UTF-8.
fn text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

/// The common name in a name as DER writes it (X.501: a sequence of sets of types and
/// values), without its outermost frame.
fn common_name(mut subject: &[u8]) -> Option<&str> {
    while !subject.is_empty() {
        let (mut set, rest) = element(subject)?;
        subject = rest;
        while !set.is_empty() {
            let (pair, rest) = element(set)?;
            set = rest;
            if let Some(value) = pair.strip_prefix(&COMMON_NAME) {
                return std::str::from_utf8(element(value)?.0).ok();
            }
        }
    }
    None
}

/// Names of extras are escaped as in a URL.
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(names: &str) -> BTreeMap<String, String> {
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let pairs = [
            ("requestheader-client-ca-file", authority.pem().as_str()),
            ("requestheader-allowed-names", names),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
            ("requestheader-uid-headers", r#"["X-Remote-Uid"]"#),
            ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
            ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        pairs.into()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn who_asks_is_read_from_the_headers_that_the_config_map_names() {
        let proxy = FrontProxy::read(&config("[]")).unwrap();
        let person = proxy.person(&headers(&[
            ("x-remote-user", "ann"),
            ("x-remote-uid", "7"),
            ("x-remote-group", "staff"),
            ("x-remote-group", "system:authenticated"),
            (
                "x-remote-extra-authentication.kubernetes.io%2fnode-name",
                "node-a",
            ),
            ("x-remote-extra-scopes", "one"),
            ("x-remote-extra-scopes", "two"),
        ]));
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let expected = Person {
            name: "ann".to_owned(),
            uid: Some("7".to_owned()),
            groups: list(&["staff", "system:authenticated"]),
            extra: [
                (
                    "authentication.kubernetes.io/node-name".to_owned(),
                    list(&["node-a"]),
                ),
                ("scopes".to_owned(), list(&["one", "two"])),
            ]
            .into(),
        };
        assert_eq!(person, Some(expected));
        assert_eq!(
            proxy.person(&headers(&[("x-remote-group", "system:masters")])),
            None
        );
        assert_eq!(proxy.person(&headers(&[("x-remote-user", "")])), None);
        let beyond_ascii = HeaderValue::from_bytes("j\u{fc}rgen".as_bytes()).unwrap();
        let mut of_juergen = HeaderMap::from_iter([("x-remote-user".parse().unwrap(), beyond_ascii)]);
        let name = |headers: &HeaderMap| proxy.person(headers).map(|person| person.name);
        assert_eq!(name(&of_juergen).as_deref(), Some("j\u{fc}rgen"));
        of_juergen.append("x-remote-group", HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(name(&of_juergen), None, "a group that nobody can read");
    }

    #[test]
    fn only_a_certificate_with_an_allowed_name_is_the_api_servers() {
        let shown = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params
                .distinguished_name
                .push(rcgen::DnType::OrganizationName, "front-proxy-client");
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.self_signed(&key).unwrap().der().clone()
        };
        let proxy = FrontProxy::read(&config(r#"["front-proxy-client", "other"]"#)).unwrap();
        assert!(proxy.is_shown_by(&shown("front-proxy-client")));
        assert!(proxy.is_shown_by(&shown("other")));
        assert!(!proxy.is_shown_by(&shown("front-proxy-client.evil")));
        assert!(!proxy.is_shown_by(&shown("")));
        let any = FrontProxy::read(&config("[]")).unwrap();
        assert!(any.is_shown_by(&shown("anybody")));
    }

    #[test]
    fn an_api_server_that_aggregates_nothing_is_told_so() {
        assert!(
            FrontProxy::read(&BTreeMap::new())
                .unwrap_err()
                .contains("aggregates nothing")
        );
        let mut shared = config("[]");
        shared.insert(
            "client-ca-file".to_owned(),
            shared["requestheader-client-ca-file"].clone(),
        );
        assert!(FrontProxy::read(&shared).unwrap_err().contains("any client"));
        let mut broken = config("[]");
        broken.insert("requestheader-allowed-names".to_owned(), "x".to_owned());
        assert!(
            FrontProxy::read(&broken)
                .unwrap_err()
                .contains("requestheader-allowed-names")
        );
    }

    #[test]
    fn names_of_extras_are_read_as_they_were_meant() {
        for (escaped, meant) in [
            ("a", "a"),
            ("a%2Fb", "a/b"),
            ("a%2", "a%2"),
            ("%zz", "%zz"),
            ("%c3%bc", "\u{fc}"),
            ("%ff", "%ff"),
        ] {
            assert_eq!(unescaped(escaped), meant);
        }
    }
}
