//! Asks a collector that knows which policies there are, instead of working on them here.

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use weir_collector::api::problem::Problem;

use crate::server::{Pairs, Server};
use crate::terminal::{patiently, say};

/// The answer of a page about policies; none where the collector does not know any.
///
/// # Errors
/// A [`Problem`], or there is nobody to ask.
pub async fn ask<T: DeserializeOwned>(
    server: &Server,
    page: &str,
    pairs: &Pairs,
    body: Option<String>,
) -> Result<Option<T>> {
    let page = format!("policy/{page}");
    let asked = async {
        match body {
            Some(body) => server.post(&page, pairs, body).await,
            None => server.get(&page, pairs).await,
        }
    };
    let Some(text) = unless_unknown(server, patiently(asked).await)? else {
        return Ok(None);
    };
    let answer = serde_json::from_slice(&text);
    answer
        .map(Some)
        .with_context(|| format!("{server} answers what this version cannot read"))
}

/// An answer; none where the collector does not know any policies, which is said.
///
/// # Errors
/// There is another reason why there is no answer.
pub fn unless_unknown<T>(server: &Server, answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Err(error) if knows_none(&error) => {
            say(&format!(
                "note: {server} does not know the policies: they are read from the cluster of the kubeconfig"
            ));
            Ok(None)
        }
        answer => answer.map(Some),
    }
}

/// Collectors of before have no such page, or their matrix no such parameter.
fn knows_none(error: &anyhow::Error) -> bool {
    let problem = error.downcast_ref::<Problem>();
    problem.is_some_and(|problem| {
        let is_parameter = problem.status == 400 && problem.detail.contains("unknown field `policies`");
        problem.is_no_policies() || problem.status == 404 || is_parameter
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_policies_are_worked_on_here_where_a_collector_of_before_is_asked() {
        let server = Server::at("http://localhost:1", None).unwrap();
        let asked = |problem: Problem| unless_unknown::<()>(&server, Err(problem.into()));
        let before = "unknown field `policies`, expected one of `filter`, `since`";
        assert!(matches!(asked(Problem::parameter(before)), Ok(None)));
        assert!(matches!(asked(Problem::not_found()), Ok(None)));
        // What is wrong with the question is wrong here, too.
        for wrong in [
            "unknown field `filtre`, expected one of `policies`",
            "limit: too many",
        ] {
            assert!(asked(Problem::parameter(wrong)).is_err(), "{wrong}");
        }
        assert!(asked(Problem::forbidden("policies")).is_err());
    }
}
