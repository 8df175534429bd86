//! The objects of a request's body.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use tokio::time::timeout;
use weir_policy::parse::{self, Documents, ParseError};

use crate::api::problem::{BodyError, Problem};

/// Bytes of a body at most.
pub const MOST_BYTES: usize = 8 << 20;
/// Objects in a body at most.
pub const MOST_OBJECTS: usize = 2_000;
/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The text of a body.
///
/// # Errors
/// It is too long, or breaks off, or is no text.
pub async fn text(body: Body) -> Result<String, Problem> {
    let read = timeout(PATIENCE, to_bytes(body, MOST_BYTES)).await;
    let read = read.map_err(|_| Problem::timeout(format!("the body did not come within {PATIENCE:?}")))?;
    let bytes = read.map_err(|error| match is_too_long(&error) {
        true => Problem::too_long(format!("the body is longer than {} MiB", MOST_BYTES >> 20)),
        false => Problem::parameter("the body breaks off"),
    })?;
    String::from_utf8(bytes.into()).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problem::objects(format!("the body is no UTF-8 from byte {at} on"), Vec::new())
    })
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The policies of a body, YAML or JSON. Those that name no namespace are in this one.
///
/// # Errors
/// They are not as they must be, each with its place; or these are too many objects.
pub fn policies(text: &str, namespace: &str) -> Result<Documents, Problem> {
    let documents = parse::file(text, namespace).map_err(|error| refusal(error, text))?;
    let objects = documents.policies.len() + documents.skipped.values().sum::<usize>();
    match objects > MOST_OBJECTS {
        true => Err(Problem::objects(
            format!("these are {objects} objects, more than {MOST_OBJECTS}"),
            Vec::new(),
        )),
        false => Ok(documents),
    }
}

fn refusal(error: ParseError, text: &str) -> Problem {
    let detail = error.to_string();
    let errors = match error {
        ParseError::Syntax { message, line } => vec![BodyError {
            document: None,
            line,
            place: String::new(),
            message,
        }],
        ParseError::Invalid(problems) => {
            let told = problems.into_iter().map(|problem| BodyError {
                document: Some(problem.document),
                line: Some(line_of(text, problem.document)),
                place: problem.place,
                message: problem.message,
            });
            told.collect()
        }
    };
    Problem::objects(detail, errors)
}

/// The line in which a document begins, from 1: the first that is neither empty, a comment nor
/// a marker.
fn line_of(text: &str, document: usize) -> u64 {
    let (mut seen, mut is_within) = (0, false);
    for (at, line) in text.lines().enumerate() {
        let is_marker = line == "---" || line.starts_with("--- ") || line == "...";
        let is_empty = line.trim().is_empty() || line.trim_start().starts_with('#') || line.starts_with('%');
        if is_marker {
            is_within = false;
        } else if !is_empty && !is_within {
            is_within = true;
            seen += 1;
            if seen == document {
                return at as u64 + 1;
            }
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str =
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {}\n";

    fn errors(text: &str) -> Vec<BodyError> {
        let problem = policies(text, "default").unwrap_err();
        assert_eq!(problem.status, 400);
        problem.errors.unwrap().0
    }

    #[test]
    fn what_is_wrong_is_told_with_its_document_and_line() {
        let wrong = POLICY.replace("spec: {}", "spec: {podSelectr: {}}");
        let found = errors(&format!("# Words.\n---\n{POLICY}---\n\n# More.\n{wrong}"));
        let [error] = &found[..] else { panic!("{found:?}") };
        assert_eq!((error.document, error.line), (Some(2), Some(10)));
        assert_eq!(error.place, "spec.podSelectr");
        let found = errors(&format!("{POLICY}---\nkind: [\n"));
        let [error] = &found[..] else { panic!("{found:?}") };
        assert!(error.line.is_some_and(|line| line >= 6), "{error:?}");
        let json = r#"{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a"}, "spec": {"x": 1}}"#;
        assert_eq!(errors(json)[0].line, Some(1));
    }

    #[test]
    fn there_may_be_so_many_objects_and_no_more() {
        let documents = |count: usize| format!("{POLICY}---\n").repeat(count);
        assert_eq!(
            policies(&documents(MOST_OBJECTS), "shop").unwrap().policies.len(),
            MOST_OBJECTS
        );
        let problem = policies(&documents(MOST_OBJECTS + 1), "shop").unwrap_err();
        assert!(problem.detail.contains("2001 objects"), "{problem}");
    }

    #[tokio::test]
    async fn a_body_is_bounded_and_must_be_text() {
        let read = async |body: Vec<u8>| text(Body::from(body)).await.map_err(|problem| problem.status);
        assert_eq!(
            read(vec![b'a'; MOST_BYTES]).await.map(|text| text.len()),
            Ok(MOST_BYTES)
        );
        assert_eq!(read(vec![b'a'; MOST_BYTES + 1]).await, Err(413));
        assert_eq!(read(vec![0xff]).await, Err(400));
    }
}
