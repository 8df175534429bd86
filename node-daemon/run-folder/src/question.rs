//! What one program asks another of the folder that it does not see itself, and how it is
//! written: the parameters and the result of a JSON-RPC method. Reads only.

use std::io;

use serde_json::{Value, json};

use crate::openflow::IpfixCounters;
use crate::refusals::RefusalCounts;
use crate::state::{FolderState, RunFolder};

/// Name of the method.
pub const METHOD: &str = "stats";

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// [`RunFolder::state`].
    State,
    /// [`RunFolder::lost_packets`].
    Lost,
    /// [`RunFolder::ipfix_counters`] of this bridge.
    Ipfix(String),
    /// What who is asked has refused: [`crate::RefusalCounts`].
    Refusals,
}

impl Question {
    /// As parameters.
    pub fn to_params(&self) -> Vec<Value> {
        match self {
            Self::State => vec![json!("state")],
            Self::Lost => vec![json!("lost")],
            Self::Ipfix(bridge) => vec![json!("ipfix"), json!(bridge)],
            Self::Refusals => vec![json!("refusals")],
        }
    }

    /// Out of parameters; `None`: there is no such question.
    pub fn from_params(params: &[Value]) -> Option<Self> {
        match params {
            [what] if what == "state" => Some(Self::State),
            [what] if what == "lost" => Some(Self::Lost),
            [what] if what == "refusals" => Some(Self::Refusals),
            [what, Value::String(bridge)] if what == "ipfix" => Some(Self::Ipfix(bridge.clone())),
            _ => None,
        }
    }

    /// The answer.
    ///
    /// # Errors
    /// OVS does not tell.
    pub async fn answer(&self, folder: &RunFolder) -> io::Result<Value> {
        let value = match self {
            Self::State => serde_json::to_value(folder.state()),
            Self::Lost => Ok(json!(folder.lost_packets().await?)),
            // The folder itself refuses nothing; a gate before it answers for itself.
            Self::Refusals => Ok(RefusalCounts::default().to_json()),
            Self::Ipfix(bridge) => serde_json::to_value(folder.ipfix_counters(bridge).await?),
        };
        value.map_err(io::Error::other)
    }
}

/// Reads the answer to [`Question::State`].
pub fn read_state(answer: &Value) -> Option<FolderState> {
    serde_json::from_value(answer.clone()).ok()
}

/// Reads the answer to [`Question::Ipfix`].
pub fn read_ipfix(answer: &Value) -> Option<IpfixCounters> {
    serde_json::from_value(answer.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_question_survives_its_parameters_and_others_are_none() {
        for question in [
            Question::State,
            Question::Lost,
            Question::Ipfix("br-int".into()),
            Question::Refusals,
        ] {
            assert_eq!(Question::from_params(&question.to_params()), Some(question));
        }
        for params in [
            json!([]),
            json!(["exit"]),
            json!(["state", "x"]),
            json!(["ipfix", 7]),
        ] {
            assert_eq!(
                Question::from_params(params.as_array().unwrap()),
                None,
                "{params}"
            );
        }
    }

    #[tokio::test]
    async fn the_answer_is_read_as_it_was_given() {
        let folder = RunFolder::of_socket(Path::new("/nonexistent/db.sock"));
        let answer = Question::State.answer(&folder).await.unwrap();
        assert_eq!(read_state(&answer), Some(folder.state()));
        let counters = IpfixCounters {
            sent: 9,
            send_errors: 4,
        };
        assert_eq!(
            read_ipfix(&serde_json::to_value(counters).unwrap()),
            Some(counters)
        );
        assert_eq!(read_ipfix(&json!("x")), None);
    }
}
