//! What passes between one client and OVSDB. No I/O, no clock: a message comes in, and what
//! is to be done with it goes out.
//!
//! Requests go on under numbers of our own, so that only what answers one of them comes
//! back; a client's identifiers never meet another's.

mod monitor;
mod refusal;
mod transact;
mod vocabulary;

use std::collections::BTreeMap;

use ovsdb::rpc::{self, EnvelopeError, Id, Message, Params};
use run_folder::Question;
use run_folder::question::METHOD as STATS;
use serde_json::{Value, json};

pub use refusal::Refusal;
pub use vocabulary::DATABASE;

/// Largest message of a client, in bytes: more than twice what the change of every bridge takes.
/// Values take some forty times that while a message is read.
pub const MOST_CLIENT_BYTES: usize = 256 << 10;
/// Requests of one client without an answer.
pub const MOST_PENDING: usize = 128;
/// Bytes of a request's identifier, which is kept until there is an answer.
const MOST_ID_BYTES: usize = 64;
/// Bytes of the whole message of an echo.
const MOST_ECHO_BYTES: usize = 512;

/// What is between one client and one connection to OVSDB.
#[derive(Debug, Default)]
pub struct Filter {
    pending: BTreeMap<u64, Pending>,
    next: u64,
    /// The client's name of what it monitors, of which there is one at a time.
    monitor: Option<String>,
}

#[derive(Debug)]
struct Pending {
    id: Id,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Monitor { found_and_number: bool },
    MonitorCancel,
    Other,
}

/// What a message gives OVSDB to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Next to nothing.
    Little,
    /// To write out its schema, or all rows.
    Copy,
    /// To change rows, which ovs-vswitchd looks at.
    Change,
}

/// What to do with a client's message.
#[derive(Debug, PartialEq)]
pub enum FromClient {
    /// Send these bytes to OVSDB.
    Pass {
        /// A message.
        bytes: Vec<u8>,
        /// What it gives OVSDB to do.
        work: Work,
    },
    /// Answer [`Question`] with [`rpc::reply`] to this request.
    Ask(Id, Question),
    /// Send these bytes, if any, back to the client.
    Refuse {
        /// The answer; none where none is waited for.
        answer: Option<Vec<u8>>,
        /// Why.
        refusal: Refusal,
    },
}

/// What to do with a message of OVSDB's.
#[derive(Debug, PartialEq)]
pub enum FromServer {
    /// Send these bytes to the client.
    Pass(Vec<u8>),
    /// Send these bytes back to OVSDB.
    Answer(Vec<u8>),
    /// Nobody asked for it.
    Drop,
}

/// A request that passes.
struct Passed {
    params: Vec<Value>,
    kind: Kind,
    work: Work,
}

impl Passed {
    fn reads(params: Vec<Value>, work: Work) -> Self {
        Self {
            params,
            kind: Kind::Other,
            work,
        }
    }
}

impl Filter {
    /// Judges a client's message.
    ///
    /// # Errors
    /// It is no message of JSON-RPC 1.0: the connection has no meaning any more.
    pub fn from_client(&mut self, message: &[u8]) -> Result<FromClient, EnvelopeError> {
        Ok(match Message::parse(message)? {
            Message::Request { id: Id::Str(id), .. } if id.len() > MOST_ID_BYTES => FromClient::Refuse {
                answer: None,
                refusal: Refusal::Parameters("a long identifier of a request"),
            },
            Message::Request { method, id, .. } if method == "echo" && message.len() > MOST_ECHO_BYTES => {
                refuse(&id, Refusal::TooMany("bytes of an echo"))
            }
            Message::Request { method, params, id } => self.request(&method, params, id),
            Message::Notification { method, params } => self.notification(&method, params),
            // OVSDB's own questions are answered here.
            Message::Reply { .. } => FromClient::Refuse {
                answer: None,
                refusal: Refusal::Unasked,
            },
        })
    }

    fn request(&mut self, method: &str, params: Params, id: Id) -> FromClient {
        let params = match params {
            Params::Array(params) => params,
            Params::None => Vec::new(),
            Params::Map(_) => return refuse(&id, Refusal::Parameters("no array")),
        };
        if method == STATS {
            return match Question::from_params(&params) {
                Some(question) => FromClient::Ask(id, question),
                None => refuse(&id, Refusal::Parameters("no question that is answered")),
            };
        }
        match self.judge(method, &params) {
            Ok(passed) => {
                self.next += 1;
                let number = Id::Num(self.next);
                let bytes = rpc::request(method, Params::Array(passed.params), &number);
                let kind = passed.kind;
                self.pending.insert(self.next, Pending { id, kind });
                FromClient::Pass {
                    bytes,
                    work: passed.work,
                }
            }
            Err(refusal) => refuse(&id, refusal),
        }
    }

    /// RFC 7047 section 4.1; `monitor_cond` and `monitor_cond_since` are in ovsdb-server.7.
    fn judge(&mut self, method: &str, params: &[Value]) -> Result<Passed, Refusal> {
        if self.pending.len() >= MOST_PENDING {
            return Err(Refusal::TooMany("requests without an answer"));
        }
        match (method, params) {
            ("echo", params) => Ok(Passed::reads(params.to_vec(), Work::Little)),
            ("list_dbs", []) => Ok(Passed::reads(vec![], Work::Little)),
            ("get_schema", [database]) => Ok(Passed::reads(vec![own(database)?], Work::Copy)),
            ("monitor" | "monitor_cond", [database, name, tables]) => {
                self.monitor(vec![own(database)?], name, tables, None)
            }
            ("monitor_cond_since", [database, name, tables, since]) => {
                self.monitor(vec![own(database)?], name, tables, Some(since))
            }
            ("monitor_cancel", [Value::String(name)]) if self.monitor.as_ref() == Some(name) => Ok(Passed {
                params: vec![json!(name)],
                kind: Kind::MonitorCancel,
                work: Work::Little,
            }),
            ("transact", [database, operations @ ..]) => {
                let mut params = vec![own(database)?];
                let operations = transact::read(operations)?;
                params.extend(operations.iter().map(ovsdb::Operation::to_json));
                Ok(Passed {
                    params,
                    kind: Kind::Other,
                    work: Work::Change,
                })
            }
            (
                "list_dbs" | "get_schema" | "monitor" | "monitor_cond" | "monitor_cond_since"
                | "monitor_cancel" | "transact",
                _,
            ) => Err(Refusal::Parameters("not those of the method")),
            (method, _) => Err(Refusal::method(method)),
        }
    }

    fn monitor(
        &mut self,
        mut params: Vec<Value>,
        name: &Value,
        tables: &Value,
        since: Option<&Value>,
    ) -> Result<Passed, Refusal> {
        if self.monitor.is_some() {
            return Err(Refusal::TooMany("monitors"));
        }
        let name = monitor::name(name)?;
        params.push(json!(name));
        params.push(monitor::tables(tables)?);
        if let Some(since) = since {
            params.push(monitor::transaction(since)?);
        }
        self.monitor = Some(name);
        Ok(Passed {
            params,
            kind: Kind::Monitor {
                found_and_number: since.is_some(),
            },
            work: Work::Copy,
        })
    }

    /// A client may take a request of its own back; nothing else is a notification.
    fn notification(&mut self, method: &str, params: Params) -> FromClient {
        let id = match (method, params) {
            ("cancel", Params::Array(params)) if params.len() == 1 => params.into_iter().next(),
            (method, _) => {
                return FromClient::Refuse {
                    answer: None,
                    refusal: Refusal::method(method),
                };
            }
        };
        let number = self.pending.iter().find_map(|(number, pending)| {
            let is = serde_json::to_value(&pending.id).ok() == id;
            is.then_some(*number)
        });
        match number {
            Some(number) => FromClient::Pass {
                bytes: rpc::notification("cancel", Params::Array(vec![json!(number)])),
                work: Work::Little,
            },
            None => FromClient::Refuse {
                answer: None,
                refusal: Refusal::Unasked,
            },
        }
    }

    /// Answers what waits for an answer that will not come.
    pub fn fail(&mut self, why: &str) -> Vec<Vec<u8>> {
        let error = json!({"error": "I/O error", "details": why});
        let pending = std::mem::take(&mut self.pending).into_values();
        pending
            .map(|pending| rpc::reply(&pending.id, Err(error.clone())))
            .collect()
    }

    /// Judges a message of OVSDB's.
    ///
    /// # Errors
    /// It is no message of JSON-RPC 1.0.
    pub fn from_server(&mut self, message: &[u8]) -> Result<FromServer, EnvelopeError> {
        Ok(match Message::parse(message)? {
            Message::Request { method, params, id } => {
                let outcome = match method.as_str() {
                    "echo" => Ok(Value::from(params)),
                    _ => Err(json!("unknown method")),
                };
                FromServer::Answer(rpc::reply(&id, outcome))
            }
            Message::Notification { method, params } => self.update(&method, params),
            Message::Reply { id, outcome } => self.reply(&id, outcome.map_err(|refusal| refusal.to_json())),
        })
    }

    fn reply(&mut self, id: &Id, outcome: Result<Value, Value>) -> FromServer {
        let Id::Num(number) = id else {
            return FromServer::Drop;
        };
        let Some(pending) = self.pending.remove(number) else {
            return FromServer::Drop;
        };
        let outcome = match (pending.kind, outcome) {
            (Kind::Monitor { found_and_number }, Ok(mut result)) => {
                let rows = match &mut result {
                    Value::Array(parts) if found_and_number => parts.get_mut(2),
                    result => Some(result),
                };
                rows.map(monitor::strip);
                Ok(result)
            }
            (Kind::Monitor { .. }, Err(error)) => {
                self.monitor = None;
                Err(error)
            }
            (Kind::MonitorCancel, Ok(result)) => {
                self.monitor = None;
                Ok(result)
            }
            (_, outcome) => outcome,
        };
        FromServer::Pass(rpc::reply(&pending.id, outcome))
    }

    fn update(&mut self, method: &str, params: Params) -> FromServer {
        let Params::Array(mut params) = params else {
            return FromServer::Drop;
        };
        let ours = params.first().and_then(Value::as_str);
        if ours.is_none() || ours != self.monitor.as_deref() {
            return FromServer::Drop;
        }
        match method {
            "update" | "update2" => params.get_mut(1).map(monitor::strip),
            "update3" => params.get_mut(2).map(monitor::strip),
            "monitor_canceled" => {
                self.monitor = None;
                Some(())
            }
            _ => return FromServer::Drop,
        };
        FromServer::Pass(rpc::notification(method, Params::Array(params)))
    }
}

fn refuse(id: &Id, refusal: Refusal) -> FromClient {
    FromClient::Refuse {
        answer: Some(rpc::reply(id, Err(refusal.to_json()))),
        refusal,
    }
}

fn own(database: &Value) -> Result<Value, Refusal> {
    match database.as_str() {
        Some(DATABASE) => Ok(json!(DATABASE)),
        _ => Err(Refusal::Parameters("another database")),
    }
}

#[cfg(test)]
mod tests;
