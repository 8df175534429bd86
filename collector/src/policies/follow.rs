//! The task that makes versions: waits until something changed, takes it in on a thread where
//! that may take long, and publishes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use weir_identity::time;
use weir_policy::lint;

use super::PolicyObjects;
use super::compiled::{Compiled, moment};
use super::state::StateFile;
use super::versions::Versions;
use super::watches::Lost;
use crate::metrics::PolicyMetrics;

/// Time between two looks while changes keep coming: what is changed together makes one
/// version.
const PAUSE: Duration = Duration::from_millis(500);
/// Time after which what is too old is looked for when nothing changes.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// What is kept from one look to the next.
struct Follower {
    objects: PolicyObjects,
    state: StateFile,
    metrics: Arc<PolicyMetrics>,
    compiled: Option<Compiled>,
    versions: Versions,
    generation: u64,
    /// Of what is in force.
    hash: Option<u64>,
    waits_for: Option<String>,
    /// Changes may be missed now.
    is_lost: bool,
}

/// Keeps the versions as the objects say, until nobody wants them.
pub async fn follow(
    objects: PolicyObjects,
    state: StateFile,
    metrics: Arc<PolicyMetrics>,
    published: watch::Sender<Arc<Versions>>,
) {
    let mut changed = objects.changed();
    let mut follower = Follower {
        objects,
        state,
        metrics,
        compiled: None,
        versions: Versions::default(),
        generation: 0,
        hash: None,
        waits_for: None,
        is_lost: false,
    };
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let is_news = follower.look(time::now());
            (follower, is_news)
        });
        let (kept, is_news) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                tracing::error!(%error, "policies are not followed any more; records are judged by the last that were known");
                return;
            }
        };
        follower = kept;
        if is_news {
            published.send_replace(Arc::new(follower.versions.clone()));
        }
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            gone = changed.changed() => if gone.is_err() { return },
            () = tokio::time::sleep(EXPIRY_INTERVAL) => {}
            () = published.closed() => return,
        }
    }
}

impl Follower {
    /// Takes in what changed; whether there is something to publish.
    fn look(&mut self, now: u64) -> bool {
        let begun = Instant::now();
        let before = self.versions.last().map(|last| last.stamp);
        let lost = match &mut self.compiled {
            None => self.begin(now),
            Some(compiled) => {
                // What is not lost any more is in the changes.
                let (changed, lost) = self
                    .objects
                    .change(|known| (known.take_changed(), known.take_lost()));
                compiled.apply(changed, now, &mut self.versions);
                if compiled.is_of_other_cni() {
                    self.begin_anew(now);
                }
                lost
            }
        };
        let Some(last) = self.versions.last() else {
            return false;
        };
        let is_compiled = before != Some(last.stamp);
        let is_lost = lost.is_some_and(|lost| self.lose(lost, now));
        if is_compiled {
            self.metrics.compiled(begun.elapsed());
            self.tell();
        }
        is_compiled || is_lost
    }

    /// Changes may have been missed. Whether that is news.
    fn lose(&mut self, lost: Lost, now: u64) -> bool {
        let is_news = self.versions.lose(lost, now);
        if is_news {
            let seconds = now.saturating_sub(lost.since) / 1_000_000_000;
            match lost.is_open {
                true => tracing::warn!(
                    seconds,
                    "changes of policies or of what they select may be missed; records since then have no verdict"
                ),
                false => tracing::info!(seconds, "policies and what they select were listed anew"),
            }
        }
        if is_news && !self.is_lost {
            self.metrics.count_gap();
        }
        self.is_lost = lost.is_open;
        self.metrics.set_broken(self.objects.broken().len());
        is_news
    }

    /// Reads all for the first time, if all is there.
    fn begin(&mut self, now: u64) -> Option<Lost> {
        if let Err(waits_for) = self.objects.change(|known| known.is_complete()) {
            if self.waits_for.as_ref() != Some(&waits_for) {
                tracing::info!(waits_for, "records are not judged by policies yet");
            }
            self.waits_for = Some(waits_for);
            return None;
        }
        let (all, lost) = self.objects.change(|known| (known.take_all(), known.take_lost()));
        let mut compiled = Compiled::new(self.objects.cni(), all, 0);
        let before = self.state.read();
        let has_gap = before != Some(self.objects.in_force());
        let version = compiled.version(moment(now));
        self.versions = Versions::new(version, has_gap);
        tracing::info!(profile = ?compiled.profile().cni, changed_meanwhile = has_gap, "records are judged by policies");
        self.compiled = Some(compiled);
        lost
    }

    /// The cluster has another CNI than it seemed to have.
    fn begin_anew(&mut self, now: u64) {
        let all = self.objects.change(|known| known.take_all());
        let stamp = self.compiled.as_ref().map_or(0, Compiled::stamp);
        let mut compiled = Compiled::new(self.objects.cni(), all, stamp);
        tracing::info!(profile = ?compiled.profile().cni, "the nodes tell another network plugin; policies are read anew");
        let version = compiled.version(moment(now));
        self.versions.push(version);
        self.compiled = Some(compiled);
    }

    /// Says what is in force, where that is another than before.
    fn tell(&mut self) {
        let hash = self.objects.in_force();
        if self.hash.replace(hash) == Some(hash) {
            return;
        }
        self.generation += 1;
        self.metrics.set_generation(self.generation);
        self.state.write(hash);
        if let Some(compiled) = &self.compiled {
            let mut findings = std::collections::BTreeMap::new();
            let all: Vec<_> = compiled.policies().cloned().collect();
            for finding in lint::lint(&all, &compiled.profile()) {
                *findings.entry(finding.code.name()).or_insert(0) += 1;
            }
            self.metrics.set_lint(&findings);
        }
    }
}
