//! Transactions between request and reply. Each ends exactly once: by its
//! reply, its deadline, or the end of the connection.

use crate::{
    error::{FailedAt, OvsdbError, TransactError},
    operation::OperationResult,
    rpc::Refusal,
    value::NotationError,
};
use jsonrpc_core::Id;
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

/// Names a transaction from [`crate::Session::transact`] to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

type Outcome = Result<Vec<OperationResult>, TransactError>;

#[derive(Debug, Default)]
pub(super) struct Transactions {
    next: u64,
    pending: BTreeMap<u64, Pending>,
    finished: VecDeque<(Ticket, Outcome)>,
}

#[derive(Debug)]
struct Pending {
    operations: usize,
    deadline: Instant,
}

impl Transactions {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn begin(&mut self, operations: usize, deadline: Instant) -> (Ticket, Id) {
        let number = self.number();
        self.pending.insert(number, Pending { operations, deadline });
        (Ticket(number), Id::Num(number))
    }

    pub(super) fn refuse(&mut self, error: TransactError) -> Ticket {
        let ticket = Ticket(self.number());
        self.finished.push_back((ticket, Err(error)));
        ticket
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.deadline).min()
    }

    /// False for a reply to nothing that is pending.
    pub(super) fn replied(&mut self, id: &Id, outcome: Result<Value, Refusal>) -> bool {
        let Id::Num(number) = *id else { return false };
        let Some(Pending { operations, .. }) = self.pending.remove(&number) else {
            return false;
        };
        let outcome = match outcome {
            Ok(results) => read_results(&results, operations),
            Err(refusal) => Err(TransactError::Rejected {
                error: refusal.into_ovsdb(),
                at: FailedAt::Request,
            }),
        };
        self.finished.push_back((Ticket(number), outcome));
        true
    }

    /// Ends what is overdue; the request ids to cancel at the server.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<u64> {
        let late: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        for number in &late {
            self.pending.remove(number);
            self.finished
                .push_back((Ticket(*number), Err(TransactError::TimedOut)));
        }
        late
    }

    pub(super) fn disconnected(&mut self, reason: &str) {
        for number in std::mem::take(&mut self.pending).into_keys() {
            let error = TransactError::Disconnected {
                reason: reason.to_owned(),
            };
            self.finished.push_back((Ticket(number), Err(error)));
        }
    }

    pub(super) fn take_finished(&mut self) -> Option<(Ticket, Outcome)> {
        self.finished.pop_front()
    }
}

/// Reads the result of `transact` (RFC 7047 section 4.1.3): one member an
/// operation, null after the first that failed, and one more if the commit failed.
fn read_results(results: &Value, operations: usize) -> Outcome {
    let wrong = || NotationError::new("a result for each operation", results);
    let members = results.as_array().ok_or_else(wrong)?;
    let failure = members
        .iter()
        .enumerate()
        .find_map(|(at, member)| Some((at, OvsdbError::from_json(member)?)));
    if let Some((at, error)) = failure {
        let at = if at < operations {
            FailedAt::Operation(at)
        } else {
            FailedAt::Commit
        };
        return Err(TransactError::Rejected { error, at });
    }
    if members.len() != operations {
        return Err(wrong().into());
    }
    Ok(members
        .iter()
        .map(OperationResult::from_json)
        .collect::<Result<_, _>>()?)
}
