//! Asks Weir's collector what it has received from each node: through the API server, as
//! people do, which knows us and verifies the collector. Our token goes nowhere else.
//!
//! One request tells of all nodes. It is bounded in time and size, and what it says in
//! words is logged and told to nobody: the words may differ each time.

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use http::Request;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use thiserror::Error;
use tokio::time::timeout;
use weir_process::jitter::jittered;
use weir_process::kubernetes::describe;

use crate::backoff::JITTER;
use crate::reception::Answer;

/// The page, where the API server has it.
const PAGE: &str = "/apis/flows.weir.dev/v1/nodes";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer: a node takes some 300.
const MOST_BYTES: usize = 4 << 20;
/// Bytes of a refusal that are logged.
const MOST_WORDS: usize = 400;
/// Longest pause between two requests that fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Why nothing is known.
#[derive(Debug, Error)]
pub enum AskError {
    /// The API server cannot be reached.
    #[error("{}", describe(.0))]
    Api(#[from] kube::Error),
    /// There was no answer.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The API server or the collector refuses.
    #[error("{0}: {1}")]
    Refused(u16, String),
    /// The answer is too long.
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
    /// The answer is none.
    #[error("the answer cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl AskError {
    /// What is told of it, in words that stay the same.
    pub const fn told(&self) -> &'static str {
        match self {
            Self::Api(_) => "the API server cannot be asked",
            Self::Timeout(_) => "it does not answer in time",
            Self::Refused(401 | 403, _) => {
                "it refuses: the controller needs the rights to list nodes.flows.weir.dev, which the collector's \
                 ClusterRole weir-flows gives, and nodeflowexports.weir.dev"
            }
            Self::Refused(404, _) => {
                "the API server has no page nodes of flows.weir.dev/v1: apply manifests/, and bring the collector to \
                 the controller's version"
            }
            Self::Refused(429, _) => "the API server or the collector has too much to do",
            Self::Refused(..) => {
                "the API server does not get through to it: look at `kubectl get apiservice v1.flows.weir.dev` and at \
                 the collector's pod"
            }
            Self::TooLong(_) | Self::Malformed(_) => "its answer is of no use",
        }
    }

    /// A word for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Api(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::Refused(..) => "refused",
            Self::TooLong(_) => "too_long",
            Self::Malformed(_) => "malformed",
        }
    }
}

/// The way to the collector.
#[derive(Clone)]
pub struct CollectorClient {
    client: Client,
    patience: Duration,
}

impl CollectorClient {
    /// By the API server's client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            patience: PATIENCE,
        }
    }

    /// What was received from each node.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(&self) -> Result<Answer, AskError> {
        let asked = timeout(self.patience, self.page()).await;
        let page = asked.unwrap_or(Err(AskError::Timeout(self.patience)))?;
        Ok(Answer::read(&page)?)
    }

    async fn page(&self) -> Result<Vec<u8>, AskError> {
        let request = Request::get(PAGE).body(Body::empty());
        let response = self.client.send(request.map_err(kube::Error::HttpError)?).await?;
        let status = response.status();
        if status.is_success() {
            let page = read(response.into_body(), MOST_BYTES).await?;
            return match page.len() > MOST_BYTES {
                true => Err(AskError::TooLong(MOST_BYTES)),
                false => Ok(page),
            };
        }
        let words = match read(response.into_body(), MOST_WORDS).await {
            Ok(mut words) => {
                words.truncate(MOST_WORDS);
                String::from_utf8_lossy(&words).into_owned()
            }
            Err(error) => error.to_string(),
        };
        Err(AskError::Refused(status.as_u16(), words))
    }
}

/// A body, as far as a little more than so many bytes.
async fn read(body: Body, enough: usize) -> Result<Vec<u8>, AskError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(more) = stream.try_next().await? {
        bytes.extend_from_slice(&more);
        if bytes.len() > enough {
            break;
        }
    }
    Ok(bytes)
}

/// When the collector is asked next. Pure: time is passed in.
#[derive(Debug)]
pub struct AskPace {
    interval: Duration,
    due: Option<Instant>,
    failures: u32,
}

impl AskPace {
    /// Each time after so long.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            due: None,
            failures: 0,
        }
    }

    /// When it is due; at first, now.
    pub fn due(&self, now: Instant) -> Instant {
        self.due.unwrap_or(now)
    }

    /// It was asked, and it answered or did not.
    pub fn asked(&mut self, well: bool, now: Instant) {
        self.failures = if well { 0 } else { self.failures.saturating_add(1) };
        // The first failure is tried again as soon as a success would be.
        let factor = 1_u32
            .checked_shl(self.failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let longest = LONGEST_PAUSE.max(self.interval);
        self.due = Some(now + jittered(self.interval.saturating_mul(factor).min(longest), JITTER));
    }

    /// Nobody asks any longer; whoever begins to asks at once.
    pub fn forget(&mut self) {
        (self.due, self.failures) = (None, 0);
    }
}

#[cfg(test)]
mod tests;
