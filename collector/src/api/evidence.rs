//! Gathers who called whom for policies to be held against, by questions to whoever answers:
//! an engine, or a collector over HTTP. What is made of the rows is `weir_decisions`'.

use weir_decisions::Traffic;
use weir_decisions::evidence::{AddressQuestion, Gathering, dropped, dropped_question};
use weir_policy::edges::EdgeSet;
use weir_query::{CallDirection, MatrixEnds, MatrixRequest, Measure, Note, NoteKind, Question, Since, Until};

use super::answer::{MatrixAnswer, QueryAnswer};
use super::params::MOST_GROUPS;

const OF_OTHERS: &str = "these are too many pods for the filter to tell whose addresses outside are meant: they \
     count as unknown; ask for less with a filter, or with direction=out";

/// Whoever answers questions about flows.
pub trait Answers {
    /// Why there is no answer.
    type Error;

    /// Who called whom.
    fn matrix(
        &self,
        request: &MatrixRequest,
    ) -> impl Future<Output = Result<MatrixAnswer, Self::Error>> + Send;

    /// Sums over groups.
    fn query(&self, question: &Question) -> impl Future<Output = Result<QueryAnswer, Self::Error>> + Send;
}

/// What was seen, and what one should know about it.
#[derive(Debug, Default)]
pub struct Evidence {
    /// All of it.
    pub traffic: Traffic,
    /// Whether it is by pod, or by workload.
    pub by: MatrixEnds,
    /// What is left out, and why.
    pub notes: Vec<Note>,
}

/// Asks for all of it: the matrix by pod, where these are too many by workload, and the
/// addresses outside.
///
/// # Errors
/// A question is not answered.
pub async fn gather<A: Answers>(
    asked: &A,
    filter: &str,
    (since, until): (Since, Until),
) -> Result<Evidence, A::Error> {
    let request = MatrixRequest {
        filter: filter.to_owned(),
        since,
        until,
        ..MatrixRequest::default()
    };
    gather_into(Gathering::default(), asked, request).await
}

/// Asks for all that the rows of a matrix are of, and which part is of which row.
///
/// # Errors
/// A question is not answered.
pub async fn gather_parts<A: Answers>(asked: &A, matrix: &MatrixRequest) -> Result<Evidence, A::Error> {
    gather_into(Gathering::with_parts(), asked, matrix.clone()).await
}

async fn gather_into<A: Answers>(
    mut gathering: Gathering,
    asked: &A,
    matrix: MatrixRequest,
) -> Result<Evidence, A::Error> {
    let mut request = MatrixRequest {
        by: MatrixEnds::Pod,
        ports: true,
        limit: Some(MOST_GROUPS),
        ..matrix
    };
    let mut notes = Vec::new();
    let mut answer = asked.matrix(&request).await?;
    if answer.edges > answer.rows.len() {
        // Labels that tell the pods of one workload apart are not seen then.
        request.by = MatrixEnds::Workload;
        answer = asked.matrix(&request).await?;
        notes.push(truncated(
            "these are too many pods: traffic is taken by workload".to_owned(),
        ));
    }
    notes.append(&mut answer.notes);
    if answer.edges > answer.rows.len() {
        notes.push(truncated(format!(
            "of {} edges the {} with most bytes count; ask for less with a filter or a shorter time",
            answer.edges,
            answer.rows.len()
        )));
    }
    answer.rows.iter().for_each(|row| gathering.take(&row.0));
    // The matrix is of whole hours, and so must be the records.
    let hours = request.hours();
    for is_client in [true, false] {
        let Some(wanted) = outside(&gathering, &request, is_client) else {
            continue;
        };
        if is_of_others(&request) {
            notes.push(truncated(OF_OTHERS.to_owned()));
            break;
        }
        let question = sums(wanted.filter, wanted.group_by, hours);
        let mut told = asked.query(&question).await?;
        notes.append(&mut told.notes);
        gathering.take_addresses(is_client, told.rows.iter().map(|row| &row.0));
    }
    let (edges, parts) = gathering.finish();
    Ok(Evidence {
        traffic: Traffic {
            edges,
            parts,
            since: answer.since,
            until: answer.until,
        },
        by: request.by,
        notes,
    })
}

/// What tells the addresses outside, where there are any.
fn outside(gathering: &Gathering, request: &MatrixRequest, is_client: bool) -> Option<AddressQuestion> {
    match request.direction {
        CallDirection::Out => gathering.outside_of(&request.filter, is_client),
        // The filter's source is not the client there.
        CallDirection::In | CallDirection::Both => gathering.outside_of_all(is_client),
    }
}

/// Addresses are asked for without the filter there, and by workload nothing tells those of the
/// pods that it leaves out from those of the others.
fn is_of_others(request: &MatrixRequest) -> bool {
    request.by == MatrixEnds::Workload
        && request.direction != CallDirection::Out
        && !request.filter.is_empty()
}

/// Asks what the switch dropped on its way to a server, in the same hours.
///
/// # Errors
/// The question is not answered.
pub async fn gather_dropped<A: Answers>(
    asked: &A,
    filter: &str,
    (since, until): (Since, Until),
) -> Result<(EdgeSet, Vec<Note>), A::Error> {
    let hours = MatrixRequest {
        since,
        until,
        ..MatrixRequest::default()
    };
    let (filter, group_by) = dropped_question(filter);
    let question = sums(filter, group_by, hours.hours());
    let told = asked.query(&question).await?;
    Ok((dropped(told.rows.iter().map(|row| &row.0)), told.notes))
}

fn truncated(message: String) -> Note {
    Note::new(NoteKind::Truncated, message)
}

fn sums(filter: String, group_by: Vec<String>, (since, until): (Since, Until)) -> Question {
    Question {
        filter,
        since,
        until,
        group_by,
        measures: vec![
            Measure::Bytes,
            Measure::Flows,
            Measure::FirstSeen,
            Measure::LastSeen,
        ],
        top: Some(MOST_GROUPS),
        ..Question::default()
    }
}
