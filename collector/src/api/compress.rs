//! Answers made smaller on their way, as the asker accepts (RFC 9110 section 12.5.3). It is
//! done where the answer was made, in its asker's turn, so that no more is compressed at a
//! time than is answered. What has no end is sent as it is.

use std::io::{self, Write};

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Smaller answers are not worth it: they fit into a packet.
const WORTH_IT: usize = 1 << 10;
/// How hard it is tried: the networks between are fast, the cores few.
const ZSTD_LEVEL: i32 = 1;
const GZIP_LEVEL: Compression = Compression::new(4);

/// How an answer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// The best of equals first.
    const ALL: [Self; 2] = [Self::Zstd, Self::Gzip];

    /// Its name in headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What is accepted best; none: as it is.
    pub fn choose(headers: &HeaderMap) -> Option<Self> {
        let accepted = accepted(headers);
        let weights = Self::ALL.map(|coding| (weight(coding.name(), &accepted), coding));
        let best = weights.into_iter().rev().max_by_key(|(weight, _)| *weight)?;
        (best.0 > 0).then_some(best.1)
    }

    /// The answer in it, and in what it is: it stays as it is where that is not worth it.
    pub fn apply(this: Option<Self>, body: Vec<u8>) -> (Vec<u8>, Option<Self>) {
        let Some(coding) = this.filter(|_| body.len() >= WORTH_IT) else {
            return (body, None);
        };
        match coding.encode(&body) {
            Ok(smaller) => (smaller, this),
            Err(error) => {
                tracing::error!(%error, coding = coding.name(), "an answer cannot be compressed");
                (body, None)
            }
        }
    }

    fn encode(self, body: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), GZIP_LEVEL);
                encoder.write_all(body)?;
                encoder.finish()
            }
        }
    }
}

/// Whether answers may come in this coding.
pub fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    weight(coding, &accepted(headers)) > 0
}

fn accepted(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).collect()
}

/// How much a coding is wanted, in thousandths; what is not named is not.
fn weight(name: &str, accepted: &[&str]) -> u32 {
    let quality = |wanted: &str| {
        accepted.iter().find_map(|part| {
            let (coding, parameters) = part.split_once(';').unwrap_or((part, ""));
            coding
                .trim()
                .eq_ignore_ascii_case(wanted)
                .then(|| super::format::quality(parameters))
        })
    };
    quality(name).or_else(|| quality("*")).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn choose(accept: &[&str]) -> Option<Coding> {
        let values = accept
            .iter()
            .map(|value| (ACCEPT_ENCODING, value.parse().unwrap()));
        Coding::choose(&values.collect())
    }

    #[test]
    fn the_coding_is_the_best_that_is_accepted_and_none_that_is_not() {
        assert_eq!(choose(&[]), None);
        assert_eq!(choose(&["identity"]), None);
        assert_eq!(choose(&["br"]), None);
        assert_eq!(choose(&["gzip"]), Some(Coding::Gzip));
        assert_eq!(choose(&["gzip, deflate, br, zstd"]), Some(Coding::Zstd));
        assert_eq!(choose(&["zstd;q=0.5, GZIP"]), Some(Coding::Gzip));
        assert_eq!(choose(&["zstd;q=0, gzip;q=0"]), None);
        assert_eq!(choose(&["*"]), Some(Coding::Zstd));
        assert_eq!(choose(&["*", "zstd;q=0"]), Some(Coding::Gzip));
    }

    #[test]
    fn what_comes_out_is_what_went_in_and_small_answers_stay_as_they_are() {
        let body = "weir ".repeat(10_000).into_bytes();
        let (zstd, coding) = Coding::apply(Some(Coding::Zstd), body.clone());
        assert!(zstd.len() < body.len() / 20 && coding == Some(Coding::Zstd));
        assert_eq!(zstd::bulk::decompress(&zstd, body.len()).unwrap(), body);
        let (gzip, coding) = Coding::apply(Some(Coding::Gzip), body.clone());
        assert!(gzip.len() < body.len() / 20 && coding == Some(Coding::Gzip));
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(gzip.as_slice())
            .read_to_end(&mut back)
            .unwrap();
        assert_eq!(back, body);
        assert_eq!(Coding::apply(None, body.clone()), (body, None));
        assert_eq!(
            Coding::apply(Some(Coding::Gzip), b"{}".to_vec()),
            (b"{}".to_vec(), None)
        );
    }
}
