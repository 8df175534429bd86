//! The web UI, as it is served: one page under the name of each of its pages, and the files
//! that it is made of. All addresses in it are relative, so that it works below any prefix.
//! It shows nobody's flows: it asks the API, as whoever looks at it.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use weir_ui::UiFile;

use crate::api::accepts;

/// Nothing but what is served here is fetched, run or asked, nothing is sent elsewhere, and
/// no text becomes code or markup. Behind the API server the page has an origin with it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Files whose names tell what is in them are asked for once.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Others are kept, and asked about each time.
const ASK: &str = "no-cache";

/// What a program without a UI says.
const WITHOUT: &str = "There is no web UI in this program: run `make ui` before it is built.\n\
     Its API: api/v1/openapi.json; of a collector also metrics, flow-metrics, healthz, readyz.\n";

/// Whether this program has a UI.
pub fn is_built_in() -> bool {
    weir_ui::index().is_some()
}

/// The pages of the UI; without one a page that says so.
pub fn routes() -> Router {
    let Some(index) = weir_ui::index() else {
        return Router::new().route("/", get(WITHOUT));
    };
    let page = move |headers: HeaderMap| async move { answer(index, &headers, ASK) };
    let pages = weir_ui::pages().map(|name| format!("/{name}"));
    let router = Router::new().route("/", get(page));
    pages
        .fold(router, |router, path| router.route(&path, get(page)))
        .route("/assets/{name}", get(asset))
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match weir_ui::file(&format!("assets/{name}")) {
        Some(file) => answer(file, &headers, caching(file)),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The build puts a hash behind the name of whatever it bundles.
fn caching(file: &UiFile) -> &'static str {
    if file.path.contains('-') { FOREVER } else { ASK }
}

fn answer(file: &UiFile, headers: &HeaderMap, caching: &'static str) -> Response {
    let (body, coding) = coded(file, headers);
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|tags| has_tag(tags, file.etag));
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => body.into_response(),
    };
    let own = [
        (CACHE_CONTROL, caching),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CONTENT_TYPE, file.media_type),
        (ETAG, file.etag),
        (REFERRER_POLICY, "no-referrer"),
        (VARY, "accept-encoding"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    let coding = coding.map(|coding| (CONTENT_ENCODING, coding));
    for (name, value) in own.into_iter().chain(coding) {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The smallest form of it that is accepted, and its coding.
fn coded(file: &UiFile, headers: &HeaderMap) -> (&'static [u8], Option<&'static str>) {
    let forms = [(file.brotli, "br"), (file.gzip, "gzip")];
    let accepted = forms
        .into_iter()
        .find(|(form, coding)| form.is_some() && accepts(headers, coding));
    match accepted {
        Some((Some(form), coding)) => (form, Some(coding)),
        _ => (file.plain, None),
    }
}

/// Whether a list of tags names this one; a proxy that compresses makes it a weak one.
fn has_tag(tags: &HeaderValue, etag: &str) -> bool {
    let tags = tags.to_str().unwrap_or_default().split(',');
    tags.map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use axum::http::header::ACCEPT_ENCODING;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    const FILE: UiFile = UiFile {
        path: "assets/a.js",
        media_type: "text/javascript; charset=utf-8",
        etag: "\"0a\"",
        plain: b"plain",
        gzip: Some(b"gzip"),
        brotli: Some(b"br"),
    };

    fn asked(pairs: &[(HeaderName, &str)]) -> Response {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()));
        answer(&FILE, &pairs.collect(), FOREVER)
    }

    async fn body(response: Response) -> Vec<u8> {
        response.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn a_file_comes_in_the_smallest_form_that_is_accepted() {
        for (accepted, form, coding) in [
            ("gzip, deflate, br, zstd", "br", Some("br")),
            ("gzip", "gzip", Some("gzip")),
            ("br;q=0, gzip", "gzip", Some("gzip")),
            ("identity", "plain", None),
        ] {
            let response = asked(&[(ACCEPT_ENCODING, accepted)]);
            let found = response
                .headers()
                .get(CONTENT_ENCODING)
                .map(|coding| coding.to_str().unwrap());
            assert_eq!(found, coding, "{accepted}");
            assert_eq!(response.headers()[VARY], "accept-encoding");
            assert_eq!(body(response).await, form.as_bytes(), "{accepted}");
        }
    }

    #[tokio::test]
    async fn what_is_known_is_not_sent_again() {
        for tags in ["\"0a\"", "W/\"0a\"", "\"0b\", \"0a\"", "*"] {
            let response = asked(&[(IF_NONE_MATCH, tags)]);
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{tags}");
            assert_eq!(response.headers()[ETAG], "\"0a\"");
            assert!(body(response).await.is_empty());
        }
        let response = asked(&[(IF_NONE_MATCH, "\"0b\"")]);
        assert_eq!(response.status(), StatusCode::OK);
    }

    #[test]
    fn nothing_from_elsewhere_runs_and_no_text_becomes_markup() {
        let response = asked(&[]);
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"));
        assert!(
            policy.contains("require-trusted-types-for 'script'")
                && policy.contains("frame-ancestors 'none'")
        );
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[REFERRER_POLICY], "no-referrer");
    }

    #[tokio::test]
    async fn each_page_is_the_same_page_and_nothing_else_is_one() {
        let get = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            routes().oneshot(request).await.unwrap()
        };
        if weir_ui::index().is_none() {
            let said = String::from_utf8(body(get("/").await).await).unwrap();
            return assert!(said.contains("make ui"), "{said}");
        }
        let tag = get("/").await.headers()[ETAG].clone();
        for page in weir_ui::pages() {
            let response = get(&format!("/{page}")).await;
            assert_eq!(
                (response.status(), &response.headers()[ETAG]),
                (StatusCode::OK, &tag),
                "{page}"
            );
            assert_eq!(response.headers()[CACHE_CONTROL], ASK);
        }
        for file in weir_ui::files().iter().filter(|file| file.path != "index.html") {
            let response = get(&format!("/{}", file.path)).await;
            let kept = if file.path.ends_with(".txt") { ASK } else { FOREVER };
            assert_eq!(response.headers()[CACHE_CONTROL], kept, "{}", file.path);
        }
        for other in [
            "/index.html",
            "/nothing",
            "/assets/nothing.js",
            "/assets/../index.html",
            "/flows/more",
        ] {
            assert_eq!(get(other).await.status(), StatusCode::NOT_FOUND, "{other}");
        }
    }
}
