//! Whether the collector can do its work now, computed from facts: each part
//! tells its own, the HTTP server reads them.

use std::sync::{Mutex, OnceLock, PoisonError};

use weir_store::Reader;

/// The facts that readiness is made of.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
    store: OnceLock<Reader>,
}

#[derive(Debug, Clone)]
struct State {
    sockets: Result<(), String>,
    identity: Result<(), String>,
    sink: Result<(), String>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            sockets: Err("not bound yet".to_owned()),
            identity: Ok(()),
            sink: Ok(()),
        }
    }
}

impl Health {
    /// Whether datagrams are being received.
    pub fn set_sockets(&self, sockets: Result<(), String>) {
        self.change(|state| state.sockets = sockets);
    }

    /// Whether the source of names was read once.
    pub fn set_identity(&self, identity: Result<(), String>) {
        self.change(|state| state.identity = identity);
    }

    /// Whether the sink takes records.
    pub fn set_sink(&self, sink: Result<(), String>) {
        self.change(|state| state.sink = sink);
    }

    /// There is a store; how it is, it tells itself.
    pub fn watch_store(&self, reader: Reader) {
        // There is one store: nobody tells of another.
        let _ = self.store.set(reader);
    }

    /// A line a part, `Err` when one of them is not well.
    ///
    /// # Errors
    /// The same lines, when some part is not ready.
    pub fn report(&self) -> Result<String, String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let parts = [
            ("sockets", state.sockets),
            ("identity", state.identity),
            ("sink", state.sink),
        ];
        let store = self.store.get().map(|reader| ("store", writable(reader)));
        let parts: Vec<_> = parts.into_iter().chain(store).collect();
        let ready = parts.iter().all(|(_, part)| part.is_ok());
        let lines = parts.iter().map(|(name, part)| match part {
            Ok(()) => format!("{name}: ok\n"),
            Err(why) => format!("{name}: {why}\n"),
        });
        let text: String = lines.collect();
        if ready { Ok(text) } else { Err(text) }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Parts of the store without which records are soon refused.
const VITAL: [&str; 3] = ["log", "sync", "seal"];

fn writable(reader: &Reader) -> Result<(), String> {
    let troubles = reader.status().troubles;
    let vital = troubles.iter().filter(|trouble| VITAL.contains(&trouble.part));
    let lines: Vec<_> = vital
        .map(|trouble| format!("{}: {}", trouble.part, trouble.reason))
        .collect();
    if lines.is_empty() {
        Ok(())
    } else {
        Err(lines.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_part_is() {
        let health = Health::default();
        assert!(
            health
                .report()
                .is_err_and(|text| text.contains("sockets: not bound yet"))
        );
        health.set_sockets(Ok(()));
        assert!(health.report().is_ok());
        health.set_sink(Err("broken pipe".into()));
        assert!(
            health
                .report()
                .is_err_and(|text| text.contains("sink: broken pipe"))
        );
    }
}
