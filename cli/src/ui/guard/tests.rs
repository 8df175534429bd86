use proptest::prelude::*;

use super::*;

const KEY_TEXT: &str = "0123456789abcdef0123456789abcdef";

fn guard() -> Guard {
    Guard::new(Key(KEY_TEXT.to_owned()))
}

/// A request as a browser sends it, with these headers in place of its own.
fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(uri);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header(HOST, "127.0.0.1:40000");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

fn admitted(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<String, Refusal> {
    let admitted = guard().admit(request(method, uri, headers));
    admitted.map(|request| request.uri().to_string())
}

fn below(path: &str) -> String {
    format!("/{KEY_TEXT}/{path}")
}

#[test]
fn who_has_the_key_and_asks_this_host_gets_pages_files_and_answers() {
    for (path, own) in [
        ("", "/"),
        (
            "flows?filter=ns==%22shop%22&since=1h",
            "/flows?filter=ns==%22shop%22&since=1h",
        ),
        ("assets/index-4f2a.js", "/assets/index-4f2a.js"),
        ("api/v1/policy/lint", "/api/v1/policy/lint"),
        ("api/v1/query?", "/api/v1/query?"),
    ] {
        for host in [
            "127.0.0.1:40000",
            "localhost:9",
            "localhost",
            "[::1]:40000",
            "LOCALHOST:1",
        ] {
            let told = admitted("GET", &below(path), &[("host", host)]);
            assert_eq!(told.as_deref(), Ok(own), "{host}");
        }
    }
}

#[test]
fn without_the_whole_key_nothing_is_there() {
    let (half, rest) = KEY_TEXT.split_at(16);
    for path in [
        "/".to_owned(),
        "/flows".to_owned(),
        "/api/v1/me".to_owned(),
        format!("/{KEY_TEXT}"),
        format!("//{KEY_TEXT}/flows"),
        format!("/{half}/flows"),
        format!("/{half}0000000000000000/flows"),
        format!("/{KEY_TEXT}0/flows"),
        format!("/{half}/{rest}/flows"),
        format!("/{}/flows", KEY_TEXT.to_uppercase()),
        format!("/%30{}/flows", &KEY_TEXT[1..]),
        format!("/flows?{KEY_TEXT}/flows"),
    ] {
        assert_eq!(admitted("GET", &path, &[]), Err(Refusal::Nothing), "{path}");
    }
}

#[test]
fn no_path_leads_up_or_means_something_else_further_on() {
    for path in [
        "..",
        "../flows",
        "api/v1/../../../api/v1/namespaces/kube-system/secrets",
        "api/v1/%2e%2e/%2e%2e/secrets",
        "api/v1/..%2f..%2fsecrets",
        "api/v1/./me",
        "api/v1//me",
        "api/v1/me/",
        "api/v1/.me",
        "api/v1/-me",
        "api/v1/me;x=1",
        "api/v1/me%3fwatch=true",
        "api/v1/me\\..\\secrets",
        "api/v1/me@evil.example",
        "api/v1/%00me",
        "/api/v1/me",
        "http://evil.example/",
    ] {
        assert_eq!(
            admitted("GET", &below(path), &[]),
            Err(Refusal::Nothing),
            "{path}"
        );
    }
}

#[test]
fn a_name_that_was_made_to_resolve_to_this_host_is_not_this_host() {
    for host in [
        "evil.example",
        "evil.example:40000",
        "127.0.0.1.evil.example:40000",
        "localhost.evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1:40000, evil.example",
        "192.0.2.1:40000",
        "0.0.0.0:40000",
        "",
    ] {
        let told = admitted("GET", &below("flows"), &[("host", host)]);
        assert_eq!(told, Err(Refusal::Host), "{host}");
    }
    let mut none = request("GET", &below("flows"), &[]);
    none.headers_mut().remove(HOST);
    assert_eq!(guard().admit(none).err(), Some(Refusal::Host));
    let two = [("host", "127.0.0.1:40000"), ("host", "127.0.0.1:40000")];
    assert_eq!(admitted("GET", &below("flows"), &two), Err(Refusal::Host));
}

#[test]
fn pages_from_elsewhere_get_nothing_and_a_person_may_follow_a_link() {
    let me = below("api/v1/me");
    for headers in [
        &[("origin", "http://evil.example")][..],
        &[("origin", "null")],
        &[("origin", "https://127.0.0.1:40000")],
        // Another program of this host.
        &[("origin", "http://127.0.0.1:8080")],
        &[
            ("origin", "http://127.0.0.1:40000"),
            ("origin", "http://evil.example"),
        ],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "iframe")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "script")],
        &[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-dest", "document"),
            ("origin", "http://evil.example"),
        ],
    ] {
        assert_eq!(admitted("GET", &me, headers), Err(Refusal::Origin), "{headers:?}");
    }
    for headers in [
        &[("origin", "http://127.0.0.1:40000")][..],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "empty")],
        &[("sec-fetch-site", "none"), ("sec-fetch-dest", "document")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "document")],
    ] {
        assert!(admitted("GET", &me, headers).is_ok(), "{headers:?}");
    }
}

#[test]
fn a_request_is_a_path_and_only_reads() {
    let whole = format!("http://127.0.0.1:40000{}", below("api/v1/me"));
    assert_eq!(admitted("GET", &whole, &[]), Err(Refusal::Form));
    let whole = format!("http://192.0.2.1{}", below("api/v1/me"));
    assert_eq!(admitted("GET", &whole, &[]), Err(Refusal::Form));
    assert_eq!(admitted("CONNECT", "192.0.2.1:443", &[]), Err(Refusal::Form));
    assert_eq!(admitted("OPTIONS", "*", &[]), Err(Refusal::Form));
    for method in [
        "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "GOT",
    ] {
        let told = admitted(method, &below("api/v1/me"), &[]);
        assert_eq!(told, Err(Refusal::Method), "{method}");
        // Nobody is told without the key that there is something.
        assert_eq!(
            admitted(method, "/api/v1/me", &[]),
            Err(Refusal::Nothing),
            "{method}"
        );
    }
}

#[test]
fn what_is_asked_by_a_body_is_yaml_for_two_pages_alone() {
    let yaml = [("content-type", "application/yaml")];
    for page in ["policy/check", "flow-metrics/estimate"] {
        let path = below(&format!("api/v1/{page}?since=1h"));
        let own = format!("/api/v1/{page}?since=1h");
        assert_eq!(admitted("POST", &path, &yaml).as_deref(), Ok(own.as_str()));
        for headers in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/x-www-form-urlencoded")],
            &[
                ("content-type", "application/yaml"),
                ("content-type", "text/plain"),
            ],
        ] {
            assert_eq!(
                admitted("POST", &path, headers),
                Err(Refusal::Method),
                "{headers:?}"
            );
        }
        let from_elsewhere = [yaml[0], ("origin", "http://evil.example")];
        assert_eq!(admitted("POST", &path, &from_elsewhere), Err(Refusal::Origin));
        assert_eq!(admitted("PUT", &path, &yaml), Err(Refusal::Method));
    }
    for page in ["policy/generate", "query", "policy/check/x", "policy"] {
        let path = below(&format!("api/v1/{page}"));
        assert_eq!(admitted("POST", &path, &yaml), Err(Refusal::Method), "{page}");
    }
}

#[test]
fn nothing_goes_on_of_what_a_browser_says_but_what_it_takes() {
    let headers = [
        ("accept", "application/json"),
        ("accept-encoding", "gzip"),
        ("authorization", "Bearer t"),
        ("x-weir-authorization", "Bearer t"),
        ("cookie", "a=b"),
        ("impersonate-user", "system:admin"),
        ("x-remote-user", "system:admin"),
        ("x-forwarded-for", "127.0.0.1"),
        ("connection", "upgrade, accept"),
        ("upgrade", "websocket"),
        ("transfer-encoding", "chunked"),
        ("content-length", "5"),
        ("te", "trailers"),
    ];
    let admitted = guard()
        .admit(request("GET", &below("api/v1/me"), &headers))
        .unwrap();
    let mut left: Vec<&str> = admitted.headers().keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["accept", "accept-encoding", "host"]);
}

#[test]
fn keys_are_long_and_differ() {
    let keys = [(); 64].map(|()| Key::random().unwrap().to_string());
    assert!(keys.iter().all(|key| key.len() == 2 * KEY));
    let different: std::collections::HashSet<&String> = keys.iter().collect();
    assert_eq!(different.len(), keys.len());
}

proptest! {
    /// Whatever is asked, what goes on is below the key, leads nowhere else, and was asked of
    /// this host by its own name.
    #[test]
    fn whatever_passes_is_a_plain_path_below_the_key_asked_of_this_host(
        method in "(GET|POST|CONNECT)",
        key in prop_oneof![Just(KEY_TEXT.to_owned()), "[0-9a-f]{0,33}"],
        path in "[a-z0-9./%;\\\\@:-]{0,12}",
        query in "(\\?[a-z=&%/.]{0,9})?",
        host in prop_oneof![Just("localhost:1".to_owned()), "[a-z0-9.:@\\[\\]]{0,14}"],
        origin in prop::option::of("(http://localhost:1|http://[a-z]{1,9}|null)"),
    ) {
        let uri = format!("/{key}/{path}{query}");
        let Ok(uri) = uri.parse::<Uri>() else { return Ok(()) };
        let mut headers = vec![("host", host.as_str())];
        headers.extend(origin.as_deref().map(|origin| ("origin", origin)));
        let Ok(admitted) = guard().admit(request(&method, &uri.to_string(), &headers)) else {
            return Ok(());
        };
        prop_assert_eq!(&key, KEY_TEXT);
        prop_assert_eq!(&method, "GET");
        prop_assert_eq!(admitted.uri().path(), format!("/{path}"));
        prop_assert!(path.is_empty() || path.split('/').all(|name| !name.is_empty() && !name.starts_with('.')));
        prop_assert!(!path.contains(['%', '\\', '@', ':', ';']));
        prop_assert!(names_this_host(admitted.headers()));
        let own = format!("http://{host}");
        prop_assert!(origin.is_none_or(|origin| origin == own));
    }
}

#[test]
fn people_may_send_what_these_pages_are_asked_by_through_the_api_server() {
    let manifest = include_str!("../../../../manifests/base/apiservice.yaml");
    let role = manifest
        .split("\n---\n")
        .find(|text| text.contains("kind: ClusterRole\n"));
    let role: serde_json::Value = serde_saphyr::from_str(role.unwrap()).unwrap();
    for page in ASKED_BY_BODY {
        let (resource, _) = page.split_once('/').unwrap();
        let has = |rule: &serde_json::Value, list: &str, word: &str| {
            rule[list].as_array().unwrap().iter().any(|one| one == word)
        };
        let may = |rule: &serde_json::Value| has(rule, "resources", resource) && has(rule, "verbs", "create");
        assert!(role["rules"].as_array().unwrap().iter().any(may), "{page}");
    }
}
