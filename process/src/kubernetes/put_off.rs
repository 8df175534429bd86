//! Requests that the server puts off because it has too much to do, and how long it wants to be
//! left alone. Its own limits (API Priority and Fairness) answer plain text and say so in the
//! header `Retry-After`; of an answer `kube` keeps the `Status` alone, so it is made one.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use kube::runtime::watcher;
use serde_json::json;

const JSON: &str = "application/json";

/// An answer in which `kube` finds how long to wait, if the server says so. One that is a
/// `Status` says it itself.
pub(super) fn as_status<B>(answer: Response<B>) -> Response<Either<B, Full<Bytes>>> {
    let (mut head, body) = answer.into_parts();
    let wish = seconds(&head.headers).filter(|_| is_put_off(head.status.as_u16()));
    let Some(seconds) = wish else {
        return Response::from_parts(head, Either::Left(body));
    };
    let text = text(head.status, seconds);
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    Response::from_parts(head, Either::Right(Full::from(text)))
}

/// The header of an answer that is no `Status`.
fn seconds(headers: &HeaderMap) -> Option<u32> {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if kind.starts_with(JSON.as_bytes()) {
        return None;
    }
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

fn text(status: StatusCode, seconds: u32) -> String {
    let message = format!("the API server has too much to do, and wants to be asked again in {seconds} s");
    let reason = "TooManyRequests";
    json!({"status": "Failure", "code": status.as_u16(), "reason": reason, "message": message,
        "details": {"retryAfterSeconds": seconds}})
    .to_string()
}

fn is_put_off(code: u16) -> bool {
    [429, 503, 504].contains(&code)
}

/// Whether a watch, or its list, was put off; how long the server wants to be left alone, 0 if
/// it does not say.
pub fn put_off(error: &watcher::Error) -> Option<Duration> {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status,
        _ => return None,
    };
    let details = status.details.as_ref();
    let seconds = details.map_or(0, |details| details.retry_after_seconds);
    is_put_off(status.code).then(|| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use kube::core::Status;

    use super::*;

    /// What is made of an answer of this text, and how long to wait by it.
    async fn read(status: u16, headers: &[(&str, &str)], text: &str) -> (String, Option<Duration>) {
        let answer = Response::builder().status(status);
        let answer = headers
            .iter()
            .fold(answer, |answer, (name, value)| answer.header(*name, *value));
        let made = as_status(answer.body(Full::<Bytes>::from(text.to_owned())).unwrap());
        let body = made.into_body().collect().await.unwrap().to_bytes();
        let status = serde_json::from_slice::<Status>(&body).ok();
        let failed = |status: Status| watcher::Error::WatchStartFailed(kube::Error::Api(status.boxed()));
        let wait = status.and_then(|status| put_off(&failed(status)));
        (String::from_utf8(body.to_vec()).unwrap(), wait)
    }

    #[tokio::test]
    async fn how_long_to_wait_is_known_of_text_with_a_header_and_of_a_status() {
        let header = ("retry-after", "7");
        for status in [429, 503] {
            let (_, wait) = read(status, &[header], "Too many requests").await;
            assert_eq!(wait, Some(Duration::from_secs(7)), "{status}");
        }
        let own =
            r#"{"status":"Failure","code":429,"details":{"retryAfterSeconds":3},"message":"own words"}"#;
        let (text, wait) = read(429, &[header, ("content-type", "application/json")], own).await;
        assert_eq!((text.as_str(), wait), (own, Some(Duration::from_secs(3))));
    }

    #[tokio::test]
    async fn whatever_else_is_answered_stays_as_it_is() {
        let header = ("retry-after", "7");
        for (status, headers) in [
            (200, &[header][..]),
            (500, &[header]),
            (429, &[]),
            (503, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]),
        ] {
            assert_eq!(
                read(status, headers, "as it is").await,
                ("as it is".to_owned(), None)
            );
        }
    }
}
