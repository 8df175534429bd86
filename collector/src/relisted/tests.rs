use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Request, Response};
use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use serde_json::{Value, json};

use super::*;

/// What the server answers to one request.
#[derive(Debug, Clone)]
enum Answer {
    /// The status, and when to come again.
    Status(u16, u32),
    /// Lines, and the end.
    Lines(Vec<Value>),
    /// Lines, and the connection breaks.
    Broken(Vec<Value>),
    /// Lines, and nothing more.
    Silent(Vec<Value>),
}

impl Answer {
    /// A list of one object, at version 7.
    fn list() -> Self {
        Self::Lines(vec![json!({"apiVersion": "batch/v1", "kind": "JobList",
            "metadata": {"resourceVersion": "7"}, "items": [object("listed", "3")]})])
    }

    fn response(self) -> Response<Body> {
        let text = |lines: Vec<Value>| -> String { lines.iter().map(|line| format!("{line}\n")).collect() };
        let mut response = Response::new(Body::empty());
        let rest: Vec<io::Result<String>> = vec![Err(io::ErrorKind::ConnectionReset.into())];
        *response.body_mut() = match self {
            Self::Status(code, seconds) => {
                *response.status_mut() = code.try_into().unwrap();
                let status = json!({"status": "Failure", "code": code, "message": "not now",
                    "details": {"retryAfterSeconds": seconds}});
                Body::from(status.to_string())
            }
            Self::Lines(lines) => Body::from(text(lines)),
            Self::Broken(lines) => {
                let lines = stream::iter([Ok(text(lines))]);
                Body::from_stream(lines.chain(stream::iter(rest)))
            }
            Self::Silent(lines) => {
                let lines = stream::iter([io::Result::Ok(text(lines))]);
                Body::from_stream(lines.chain(stream::pending()))
            }
        };
        response
    }
}

fn object(name: &str, version: &str) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "resourceVersion": version}})
}

fn event(kind: &str, object: Value) -> Value {
    json!({"type": kind, "object": object})
}

/// What is asked and told until all answers are given, and something more is asked for.
async fn story(answers: &[Answer]) -> Vec<String> {
    let story = Arc::new(Mutex::new(Vec::new()));
    let answers = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
    let (over, mut is_over) = tokio::sync::watch::channel(false);
    let asked = Arc::clone(&story);
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let pairs = || form_urlencoded::parse(query.as_bytes());
        let version = pairs().find(|(name, _)| name == "resourceVersion");
        let is_watch = pairs().any(|(name, _)| name == "watch");
        asked.lock().unwrap().push(match version {
            Some((_, version)) if is_watch => format!("watch {version}"),
            _ => "list".to_owned(),
        });
        let answer = answers.lock().unwrap().pop_front();
        if answer.is_none() {
            over.send_replace(true);
        }
        async move {
            match answer {
                Some(answer) => Ok::<_, io::Error>(answer.response()),
                None => std::future::pending().await,
            }
        }
    });
    let api = Api::<Job>::all(Client::new(service, "default"));
    let short = Duration::from_millis(50);
    let pauses = Pauses {
        first: Duration::ZERO,
        longest: short,
        put_off: short,
        late: short,
    };
    let mut heard = relisted(api, short, pauses).boxed();
    loop {
        let told = tokio::select! {
            biased;
            _ = is_over.wait_for(|over| *over) => break,
            told = heard.next() => told.unwrap(),
        };
        let told = match told {
            Ok(Heard::Resumed) => "resumed".to_owned(),
            Ok(Heard::Event(event)) => event.to_string(),
            Err(_) => "failed".to_owned(),
        };
        story.lock().unwrap().push(told);
    }
    story.lock().unwrap().clone()
}

/// What follows an answer to the first watch, after which a list and a watch go well.
async fn after(answer: Answer) -> Vec<String> {
    let mut whole = story(&[Answer::list(), answer]).await;
    let begun = ["Init", "list", "InitApply(listed)", "InitDone", "watch 7"];
    assert_eq!(whole.drain(..begun.len()).collect::<Vec<_>>(), begun);
    whole
}

#[tokio::test]
async fn a_watch_that_is_put_off_or_refused_begins_again_where_it_was() {
    for code in [429, 503, 504, 500, 403] {
        assert_eq!(
            after(Answer::Status(code, 0)).await,
            ["failed", "watch 7"],
            "{code}"
        );
    }
    let put_off = [
        Answer::Status(429, 0),
        Answer::Status(503, 0),
        Answer::Silent(vec![]),
    ];
    let whole = story(&[&[Answer::list()][..], &put_off].concat()).await;
    let lists = whole.iter().filter(|step| *step == "list").count();
    assert_eq!(lists, 2, "one at first, and one after silence: {whole:?}");
    let resumed = [
        "watch 7", "failed", "watch 7", "failed", "watch 7", "resumed", "failed",
    ];
    assert_eq!(whole[4..11], resumed, "{whole:?}");
}

#[tokio::test]
async fn a_server_is_not_asked_before_the_time_that_it_names() {
    let begun = Instant::now();
    after(Answer::Status(429, 1)).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_list_is_read_where_changes_may_be_missed() {
    for code in [404, 410] {
        assert_eq!(
            after(Answer::Status(code, 0)).await,
            ["failed", "Init", "list"],
            "{code}"
        );
    }
    let own_error = |code: u16| event("ERROR", json!({"status": "Failure", "code": code}));
    let unreadable = event("ADDED", json!({"metadata": {"name": ["no name"]}}));
    let unversioned = event("ADDED", object("a", ""));
    for line in [own_error(410), own_error(500), unreadable, unversioned] {
        let told = after(Answer::Silent(vec![line.clone()])).await;
        assert_eq!(told, ["failed", "Init", "list"], "{line}");
    }
    assert_eq!(after(Answer::Silent(vec![])).await, ["failed", "Init", "list"]);
}

#[tokio::test]
async fn a_watch_that_ends_or_is_cut_off_goes_on_from_what_it_told_last() {
    let lines = vec![
        event("ADDED", object("a", "8")),
        event("DELETED", object("b", "9")),
        event(
            "BOOKMARK",
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"resourceVersion": "12"}}),
        ),
    ];
    assert_eq!(after(Answer::Lines(vec![])).await, ["watch 7"]);
    let told = ["Apply(a)", "Delete(b)"];
    let whole = after(Answer::Lines(lines.clone())).await;
    assert_eq!(whole, [&told[..], &["watch 12"]].concat());
    let whole = after(Answer::Broken(lines)).await;
    assert_eq!(whole, [&told[..], &["failed", "watch 12"]].concat());
}
