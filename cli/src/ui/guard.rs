//! Who gets an answer of `weir ui`: whoever knows the key, asks this host by its own name,
//! and asks from a page of its own. Decided by the head of a request alone; no I/O.
//!
//! Every program and page on this host reaches the listener, and what is asked behind it is
//! asked with somebody's rights. So the key is the first part of each path; and where a page
//! from elsewhere should learn it, its requests are told by the headers that browsers set.
//! Of a request that is let through nothing is left but its page, its query and what kinds
//! of answers it takes.

use std::fmt;

use axum::body::Body;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HOST, IF_NONE_MATCH, ORIGIN};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use weir_collector::api::access::names_this_host;

/// Bytes of a key.
const KEY: usize = 16;
/// Where a browser says that a request is from (Fetch Metadata).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What the answer is to be for: `document` when somebody opens a page.
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// All that goes on of what a browser says.
const KEPT: [HeaderName; 3] = [ACCEPT, ACCEPT_ENCODING, IF_NONE_MATCH];
/// Pages that are asked by what is sent along. They change nothing either.
pub const ASKED_BY_BODY: [&str; 2] = ["policy/check", "flow-metrics/estimate"];
/// What is sent along, and nothing that a form of another page could send.
pub const YAML: &str = "application/yaml";

/// What nobody can guess, as text of letters and digits.
pub struct Key(String);

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; KEY];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Whether it is this word, in a time that does not tell how much of it is right.
    fn is(&self, word: &str) -> bool {
        let differ = |differ, (own, other): (u8, u8)| differ | (own ^ other);
        self.0.len() == word.len() && self.0.bytes().zip(word.bytes()).fold(0, differ) == 0
    }
}

/// As it stands in an address. It has no `Debug`, so that no log has it.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a request gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The request names no path, or more than one.
    Form,
    /// It is for another host.
    Host,
    /// It is from another page.
    Origin,
    /// There is nothing under this path, as far as whoever asks is told.
    Nothing,
    /// It is none that only reads.
    Method,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Form => (StatusCode::BAD_REQUEST, "write a path alone behind the method\n"),
            Self::Host => (StatusCode::MISDIRECTED_REQUEST, "this is for localhost alone\n"),
            Self::Origin => (StatusCode::FORBIDDEN, "this is not for other pages\n"),
            Self::Nothing => (
                StatusCode::NOT_FOUND,
                "nothing is here: `weir ui` has printed the address\n",
            ),
            Self::Method => {
                let allow = [(ALLOW, HeaderValue::from_static("GET"))];
                return (StatusCode::METHOD_NOT_ALLOWED, allow, "only GET\n").into_response();
            }
        };
        (status, text).into_response()
    }
}

/// Tells who gets an answer.
pub struct Guard {
    key: Key,
}

impl Guard {
    /// For whoever knows this key.
    pub fn new(key: Key) -> Self {
        Self { key }
    }

    /// The request as it goes on: without the key, and with a body only where a page is asked
    /// by one.
    ///
    /// # Errors
    /// It goes nowhere.
    pub fn admit<B: Into<Body>>(&self, request: Request<B>) -> Result<Request<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let is_path_alone = parts.uri.scheme().is_none() && parts.uri.authority().is_none();
        if !is_path_alone || !parts.uri.path().starts_with('/') {
            return Err(Refusal::Form);
        }
        is_for_this_host(&parts.headers)?;
        is_from_here(&parts.headers)?;
        let uri = self.below_key(&parts.uri).ok_or(Refusal::Nothing)?;
        let mut request = match parts.method {
            Method::GET => Request::new(Body::empty()),
            Method::POST if is_asked_by_body(&uri, &parts.headers) => {
                let mut request = Request::new(body.into());
                *request.method_mut() = Method::POST;
                let kind = HeaderValue::from_static(YAML);
                request.headers_mut().insert(CONTENT_TYPE, kind);
                request
            }
            _ => return Err(Refusal::Method),
        };
        *request.uri_mut() = uri;
        let kept = KEPT.into_iter().chain([HOST]);
        let kept = kept.filter_map(|name| Some((name.clone(), parts.headers.get(name)?.clone())));
        request.headers_mut().extend(kept);
        Ok(request)
    }

    /// The address behind the key, when its path is one that a page can have.
    fn below_key(&self, uri: &Uri) -> Option<Uri> {
        let (key, path) = uri.path().strip_prefix('/')?.split_once('/')?;
        if !self.key.is(key) || !is_plain(path) {
            return None;
        }
        let own = match uri.query() {
            Some(query) => format!("/{path}?{query}"),
            None => format!("/{path}"),
        };
        PathAndQuery::try_from(own).ok().map(Uri::from)
    }
}

/// A page that is asked by what is sent along, and that is what it has to be.
fn is_asked_by_body(uri: &Uri, headers: &HeaderMap) -> bool {
    let page = uri.path().strip_prefix("/api/v1/");
    let kinds = headers.get_all(CONTENT_TYPE);
    page.is_some_and(|page| ASKED_BY_BODY.contains(&page)) && kinds.iter().eq([YAML])
}

/// Names of pages and files: nothing that leads up, and nothing that means one thing here and
/// another further on.
fn is_plain(path: &str) -> bool {
    let is_name = |name: &str| {
        let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(may_stand)
    };
    path.is_empty() || path.split('/').all(is_name)
}

/// Asked once for this host.
fn is_for_this_host(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_one = headers.get_all(HOST).iter().count() == 1;
    if is_one && names_this_host(headers) {
        return Ok(());
    }
    Err(Refusal::Host)
}

/// From a page of ours, or opened by a person. A person may follow a link, also of the file
/// that [`super::browser`] writes, but nothing else is had from another page.
fn is_from_here(headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let is_own = |origin: &HeaderValue| origin.as_bytes().strip_prefix(b"http://") == Some(host);
    let says = |name: HeaderName, words: &[&str]| {
        headers
            .get_all(name)
            .iter()
            .all(|said| words.iter().any(|word| said == word))
    };
    let is_opened = headers.contains_key(FETCH_DEST) && says(FETCH_DEST, &["document"]);
    if headers.get_all(ORIGIN).iter().all(is_own) && (says(FETCH_SITE, &["same-origin", "none"]) || is_opened)
    {
        return Ok(());
    }
    Err(Refusal::Origin)
}

#[cfg(test)]
mod tests;
