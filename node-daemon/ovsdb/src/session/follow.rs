//! From a fresh connection to rows that follow the database: schema, monitor,
//! first rows, updates. What the messages look like is [`super::handshake`]'s.

use super::{
    MONITOR, Phase, Session, SessionError,
    handshake::{Deferred, Method, Notice, Plan},
};
use crate::{replica::Replica, rpc::Refusal, schema::Schema, value::Uuid, view::Link};
use jsonrpc_core::Params;
use serde_json::{Value, json};
use std::{sync::Arc, time::Instant};

/// Updates kept until the monitor's reply; ovsdb-server sends none so early.
const MAX_DEFERRED: usize = 1024;

impl Session {
    pub(super) fn schema_came(&mut self, outcome: Result<Value, Refusal>) -> Result<(), SessionError> {
        let schema = outcome.map_err(|refusal| SessionError::schema_refused(&self.database, refusal))?;
        let schema = Schema::from_json(&schema)?;
        let plan = Plan::new(&self.monitor, &schema);
        if self.plan.as_ref() != Some(&plan) {
            self.last_transaction = None;
            self.plan = Some(plan);
        }
        if self.view.schema.as_deref() != Some(&schema) {
            self.view.schema = Some(Arc::new(schema));
            self.touch();
        }
        self.ask_monitor(Method::NEWEST);
        Ok(())
    }

    fn ask_monitor(&mut self, method: Method) {
        let mut params = vec![json!(self.database), json!(MONITOR)];
        params.push(self.plan.as_ref().map_or(json!({}), Plan::requests));
        if method == Method::CondSince {
            params.push(json!(self.last_transaction.unwrap_or(Uuid::ZERO).to_string()));
        }
        self.send(method.name(), params, method.id());
        self.phase = Phase::Monitor {
            method,
            deferred: Vec::new(),
        };
    }

    pub(super) fn monitor_came(
        &mut self,
        method: Method,
        outcome: Result<Value, Refusal>,
        deferred: Vec<Deferred>,
        now: Instant,
    ) -> Result<(), SessionError> {
        let result = match (outcome, method.older()) {
            (Ok(result), _) => result,
            (Err(refusal), Some(older)) if refusal.is_unknown_method() => {
                self.ask_monitor(older);
                return Ok(());
            }
            (Err(refusal), _) => {
                return Err(SessionError::Refused {
                    method: method.name(),
                    refusal: refusal.to_string(),
                });
            }
        };
        let initial = method.read_reply(result)?;
        // A server that found the transaction sends what came after it; any other sends all rows.
        let continues = initial.found && self.last_transaction.is_some();
        let mut replica = match &self.plan {
            Some(plan) if !continues => plan.empty_replica(),
            _ => Replica::clone(&self.view.replica),
        };
        replica.apply(&initial.updates, method.format())?;
        self.last_transaction = initial.last_transaction;
        for Deferred {
            updates,
            format,
            last_transaction,
        } in deferred
        {
            replica.apply(&updates, format)?;
            self.last_transaction = last_transaction;
        }
        self.view.replica = Arc::new(replica);
        self.view.syncs += u64::from(!continues);
        self.view.link = Link::Synced;
        self.phase = Phase::Synced { since: now };
        self.touch();
        Ok(())
    }

    pub(super) fn notified(&mut self, method: &str, params: Params) -> Result<(), SessionError> {
        let Some(notice) = Notice::read(method, params, MONITOR)? else {
            self.ignore("notification");
            return Ok(());
        };
        match (notice, &mut self.phase) {
            (Notice::Canceled, _) => Err(SessionError::MonitorCanceled),
            (Notice::Update(_), Phase::Monitor { deferred, .. }) if deferred.len() >= MAX_DEFERRED => {
                Err(SessionError::Flooded)
            }
            (Notice::Update(update), Phase::Monitor { deferred, .. }) => {
                deferred.push(update);
                Ok(())
            }
            (Notice::Update(update), Phase::Synced { .. }) => self.update(update),
            (Notice::Update(_), _) => {
                self.ignore("update before monitor");
                Ok(())
            }
        }
    }

    fn update(&mut self, update: Deferred) -> Result<(), SessionError> {
        let mut replica = Replica::clone(&self.view.replica);
        replica.apply(&update.updates, update.format)?;
        self.view.replica = Arc::new(replica);
        self.last_transaction = update.last_transaction;
        self.touch();
        Ok(())
    }
}
