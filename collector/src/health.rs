//! Whether the collector can do its work now, computed from facts: each part
//! tells its own, the HTTP server reads them.

use std::sync::{Mutex, OnceLock, PoisonError};

use weir_store::Reader;

use crate::policies::PolicyObjects;

/// The facts that readiness is made of.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
    store: OnceLock<Reader>,
    policies: OnceLock<PolicyObjects>,
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

    /// Records are judged by policies; whether they can be, these objects tell.
    pub fn watch_policies(&self, objects: PolicyObjects) {
        // They are the only ones, as the store is.
        let _ = self.policies.set(objects);
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
        let ready = parts.iter().all(|(_, part)| part.is_ok());
        let lines = parts.iter().map(|(name, part)| match part {
            Ok(()) => format!("{name}: ok\n"),
            Err(why) => format!("{name}: {why}\n"),
        });
        let store = self
            .store
            .get()
            .map(|reader| format!("store: {}\n", condition(reader)));
        // Records without a verdict make nothing unready: they are kept, and say why.
        let policies = self.policies.get().map(|objects| match objects.condition() {
            Ok(()) => "policies: ok\n".to_owned(),
            Err(why) => format!("policies: {why}\n"),
        });
        let text: String = lines.chain(store).chain(policies).collect();
        if ready { Ok(text) } else { Err(text) }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// How the store is. It makes nothing unready: rows gather in memory meanwhile, what
/// has no room there is counted, and a collector that nothing is sent to and that
/// nobody can ask would be worse off.
fn condition(reader: &Reader) -> String {
    let troubles = reader.status().troubles;
    let lines: Vec<_> = troubles
        .iter()
        .map(|trouble| format!("{}: {}", trouble.part, trouble.reason))
        .collect();
    match lines.is_empty() {
        true => "ok".to_owned(),
        false => format!("degraded: {}", lines.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_in_trouble_is_told_and_makes_nothing_unready() {
        let directory = tempfile::tempdir().unwrap();
        let full = weir_store::Settings {
            disk: weir_store::Disk::new(|_| {
                Ok(weir_store::DiskSpace {
                    free: 0,
                    total: 1 << 30,
                })
            }),
            ..weir_store::Settings::new(directory.path())
        };
        let (writer, reader, _) = weir_store::open(full).unwrap();
        while reader.status().troubles.is_empty() {
            std::thread::yield_now();
        }
        let health = Health::default();
        health.set_sockets(Ok(()));
        health.watch_store(reader);
        let text = health.report().unwrap();
        assert!(
            text.contains("store: degraded: disk: 0 of 1073741824 bytes are free"),
            "{text}"
        );
        writer.close();
    }

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
