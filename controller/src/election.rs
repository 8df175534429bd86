//! Leader election: does with the Lease what [`crate::lease`] decides, and says
//! who leads. Every write carries the resourceVersion that was read, so two
//! replicas cannot both succeed.
//!
//! A standby watches the Lease besides polling it: one that is released is
//! taken at once.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::utils::StreamBackoff;
use kube::runtime::watcher::watch_object;
use tokio::sync::watch;
use tokio::time::{sleep, timeout_at};
use weir_process::jitter::jittered;
use weir_process::kubernetes::describe;

use crate::backoff::{Delays, JITTER};
use crate::lease::{Observed, Step, Terms, decide, held, released};

/// Whether this replica leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leadership {
    /// It does.
    pub leads: bool,
    /// When whoever led before renewed the Lease last, by the clock there.
    pub led_until: Option<Timestamp>,
}

/// One replica's part in the election.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    terms: Terms,
    leads: watch::Sender<Leadership>,
    observed: Option<Observed>,
    /// When the last write that succeeded was begun: others count from later.
    renewed: Option<Instant>,
    /// [`Leadership::led_until`], while this replica does not lead.
    led_until: Option<Timestamp>,
}

impl Candidate {
    /// A replica that does not lead yet. `leads` is told when that changes.
    pub fn new(
        api: Api<Lease>,
        name: String,
        identity: String,
        terms: Terms,
        leads: watch::Sender<Leadership>,
    ) -> Self {
        Self {
            api,
            name,
            identity,
            terms,
            leads,
            observed: None,
            renewed: None,
            led_until: None,
        }
    }

    /// Takes part until `stop` changes, then gives the Lease back if it is
    /// held.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut releases = self.releases();
        loop {
            self.attempt().await;
            tokio::select! {
                _ = stop.changed() => break,
                () = sleep(self.pause()) => {}
                Some(()) = releases.next() => {}
            }
        }
        self.release().await;
    }

    /// Until the next attempt: never past the moment when a leader that could
    /// not renew has to stop.
    fn pause(&self) -> Duration {
        let pause = jittered(self.terms.retry, JITTER);
        let left = |renewed: Instant| {
            let end = renewed + self.terms.renew_deadline;
            end.saturating_duration_since(Instant::now())
        };
        self.renewed.map_or(pause, |renewed| pause.min(left(renewed)))
    }

    /// One item each time that nobody holds the Lease.
    fn releases(&self) -> BoxStream<'static, ()> {
        let seen = StreamBackoff::new(watch_object(self.api.clone(), &self.name), Delays::default());
        // Errors are the business of the attempts, which meet them too.
        let free = seen.filter_map(async |lease| is_free(lease.ok()?).then_some(()));
        free.boxed()
    }

    /// One attempt to lead on. It ends by itself when the renewal would come
    /// too late.
    async fn attempt(&mut self) {
        let deadline = self.renewed.unwrap_or_else(Instant::now) + self.terms.renew_deadline;
        match timeout_at(deadline.into(), self.take_or_renew()).await {
            Ok(Ok(Some(renewed))) => self.lead(renewed),
            Ok(Ok(None)) => self.follow("another replica holds the lease"),
            Ok(Err(error)) if Instant::now() < deadline => {
                tracing::warn!(error = describe(&error), "cannot read or write the lease");
            }
            Ok(Err(error)) => self.follow(&describe(&error)),
            Err(_) => self.follow("the lease could not be renewed in time"),
        }
    }

    fn lead(&mut self, renewed: Instant) {
        if self.renewed.replace(renewed).is_none() {
            tracing::info!(identity = self.identity, "this replica leads");
        }
        let led_until = self.led_until;
        self.leads.send_if_modified(|told| {
            let begins = !told.leads;
            if begins {
                (told.leads, told.led_until) = (true, led_until);
            }
            begins
        });
    }

    fn follow(&mut self, reason: &str) {
        if self.renewed.take().is_some() {
            tracing::warn!(identity = self.identity, reason, "this replica leads no longer");
        }
        self.leads.send_if_modified(|told| std::mem::take(told).leads);
    }

    /// Since when this replica holds the Lease anew, if it does.
    async fn take_or_renew(&mut self) -> Result<Option<Instant>, kube::Error> {
        let lease = match self.api.get_opt(&self.name).await? {
            Some(lease) => lease,
            None => return self.create().await,
        };
        let before = lease.spec.clone().unwrap_or_default();
        let now = Instant::now();
        let observed = Observed::look(self.observed.take(), before.clone(), now);
        let step = decide(now, &observed, &self.identity);
        self.observed = Some(observed);
        if self.renewed.is_none() {
            self.led_until = before.renew_time.as_ref().map(|renewed| renewed.0);
        }
        if step == Step::Wait {
            return Ok(None);
        }
        let spec = held(&before, step, &self.identity, self.terms.lease, Timestamp::now());
        self.put(Lease {
            spec: Some(spec),
            ..lease
        })
        .await
    }

    async fn create(&self) -> Result<Option<Instant>, kube::Error> {
        let begun = Instant::now();
        let nothing = LeaseSpec::default();
        let mut spec = held(
            &nothing,
            Step::Take,
            &self.identity,
            self.terms.lease,
            Timestamp::now(),
        );
        spec.lease_transitions = Some(0);
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..Default::default()
            },
            spec: Some(spec),
        };
        won(begun, self.api.create(&PostParams::default(), &lease).await)
    }

    async fn put(&self, lease: Lease) -> Result<Option<Instant>, kube::Error> {
        let begun = Instant::now();
        won(
            begun,
            self.api.replace(&self.name, &PostParams::default(), &lease).await,
        )
    }

    async fn release(self) {
        if self.renewed.is_none() {
            return;
        }
        self.leads.send_replace(Leadership::default());
        let deadline = Instant::now() + self.terms.renew_deadline;
        match timeout_at(deadline.into(), self.give_back()).await {
            Ok(Ok(())) => tracing::info!("the lease is given back"),
            Ok(Err(error)) => {
                tracing::warn!(error = describe(&error), "the lease is not given back")
            }
            Err(_) => tracing::warn!("the lease is not given back: no answer in time"),
        }
    }

    async fn give_back(&self) -> Result<(), kube::Error> {
        let lease = self.api.get(&self.name).await?;
        let before = lease.spec.clone().unwrap_or_default();
        if before.holder_identity.as_deref() == Some(self.identity.as_str()) {
            let spec = Some(released(&before, Timestamp::now()));
            self.put(Lease { spec, ..lease }).await?;
        }
        Ok(())
    }
}

fn is_free(lease: Option<Lease>) -> bool {
    let holder = lease
        .and_then(|lease| lease.spec)
        .and_then(|spec| spec.holder_identity);
    holder.is_none_or(|holder| holder.is_empty())
}

/// A conflict means that another replica was faster.
fn won(begun: Instant, answer: Result<Lease, kube::Error>) -> Result<Option<Instant>, kube::Error> {
    match answer {
        Ok(_) => Ok(Some(begun)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}
