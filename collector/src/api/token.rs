//! What a bearer token is for. A token of the API server is good for all that its owner may
//! do in the cluster: it is shown to nobody but the API server. One for a collector names
//! the collector as its audience (RFC 7519 section 4.1.3), and is good for nothing else.

use serde::Deserialize;

/// The audience of tokens for collectors.
pub const AUDIENCE: &str = "weir-collector";

/// What a token says of itself, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Claims {
    aud: Audience,
}

/// One, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Whether a token is for collectors alone.
pub fn is_for_collectors(token: &str) -> bool {
    audiences(token).is_some_and(|audiences| audiences == [AUDIENCE])
}

/// Whether a token says that it is for others, too. Not every token says whom it is for.
pub fn is_for_others(token: &str) -> bool {
    audiences(token).is_some_and(|audiences| audiences != [AUDIENCE])
}

/// Whether a token says whom it is for.
pub fn says_whom_it_is_for(token: &str) -> bool {
    audiences(token).is_some()
}

/// Whom a token is for, if it is a JSON Web Token that says so.
fn audiences(token: &str) -> Option<Vec<String>> {
    let parts: Vec<&str> = token.split('.').collect();
    let [_, claims, _] = parts.as_slice() else {
        return None;
    };
    let claims: Claims = serde_json::from_slice(&decoded(claims)?).ok()?;
    Some(match claims.aud {
        Audience::One(audience) => vec![audience],
        Audience::Several(audiences) => audiences,
    })
}

/// Base 64 for URLs, without padding (RFC 4648 section 5).
fn decoded(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len()), 0_u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_for_collectors_alone_is_one() {
        // {"aud":["weir-collector"],"sub":"a"}, {"aud":"weir-collector"}, and others.
        for token in [
            "e30.eyJhdWQiOlsid2Vpci1jb2xsZWN0b3IiXSwic3ViIjoiYSJ9.c2ln",
            "e30.eyJhdWQiOiJ3ZWlyLWNvbGxlY3RvciJ9.c2ln",
        ] {
            assert!(is_for_collectors(token) && !is_for_others(token), "{token}");
        }
        for token in [
            // {"aud":["https://kubernetes.default.svc"]}
            "e30.eyJhdWQiOlsiaHR0cHM6Ly9rdWJlcm5ldGVzLmRlZmF1bHQuc3ZjIl19.c2ln",
            // {"aud":["weir-collector","https://kubernetes.default.svc"]}
            "e30.eyJhdWQiOlsid2Vpci1jb2xsZWN0b3IiLCJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMiXX0.c2ln",
            "e30.e30.c2ln",
            "sha256~opaque",
            "a.b",
            "a.!.c",
            "",
        ] {
            assert!(!is_for_collectors(token), "{token}");
        }
    }
}
