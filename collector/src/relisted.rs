//! A watch of all objects that tells when something may have been missed, and when that is over.
//! `kube`'s own goes on where it broke, and does not tell when it has.
//!
//! ```text
//! List --all read--> Version <--ended, or cut off-- Watch <--.
//!   ^                |    '-----------begun------------^     |
//!   |                '--put off, refused: after a pause------'
//!   '-- 404, 410, an error that the server tells, silence, what cannot be read
//! ```
//!
//! A list of a large cluster is what a server with too much to do can bear least. So one is read
//! only where a watch cannot go on; all else begins again from the version that it had come to, of
//! which the server tells all that was changed since, or that it does not know that any more (410).

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::runtime::watcher::{Error, Event, Result};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};
use weir_process::kubernetes::watch_config;

mod pauses;

use pauses::Pace;
pub use pauses::Pauses;

/// Objects of one page of a list.
const PAGE: u32 = 500;
/// What a watch brings.
#[derive(Debug, Clone)]
pub enum Heard<K> {
    /// Of a list, or a change.
    Event(Event<K>),
    /// After an error the watch goes on where it broke: what was changed meanwhile is told
    /// from here on.
    Resumed,
}

/// Watches all objects for ever. After each error something may be missed, until a list has
/// ended or the watch is told to go on. Each watch is begun anew after about `timeout`.
pub fn relisted<K>(
    api: Api<K>,
    timeout: Duration,
    pauses: Pauses,
) -> impl Stream<Item = Result<Heard<K>>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let watch = Watch {
        api,
        timeout,
        at: At::Start,
        late: pauses.late,
        pace: Pace::new(pauses),
        pause: Duration::ZERO,
        is_broken: false,
    };
    stream::unfold(watch, async |mut watch| Some((watch.next().await, watch)))
}

struct Watch<K> {
    api: Api<K>,
    timeout: Duration,
    at: At<K>,
    late: Duration,
    pace: Pace,
    /// What is waited before anything is asked for.
    pause: Duration,
    /// An error was told, and not yet that it is over.
    is_broken: bool,
}

/// How far a watch is.
enum At<K> {
    /// A list has to be read.
    Start,
    List(List<K>),
    /// All is known up to this version.
    Version(String),
    Open {
        version: String,
        events: BoxStream<'static, kube::Result<WatchEvent<K>>>,
    },
}

/// A list that is being read.
struct List<K> {
    objects: VecDeque<K>,
    next: Option<String>,
    version: Option<String>,
}

impl<K> Watch<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    async fn next(&mut self) -> Result<Heard<K>> {
        sleep(std::mem::take(&mut self.pause)).await;
        loop {
            match self.step().await {
                Ok(Some(heard)) => return Ok(heard),
                Ok(None) => {}
                Err(error) => {
                    self.pause = self.pace.fail(&error, Instant::now());
                    self.is_broken = true;
                    return Err(error);
                }
            }
        }
    }

    /// Whoever fails leaves `at` where it begins again; nobody asks for more than is told.
    async fn step(&mut self) -> Result<Option<Heard<K>>> {
        match std::mem::replace(&mut self.at, At::Start) {
            At::Start => {
                self.at = At::List(List {
                    objects: VecDeque::new(),
                    next: None,
                    version: None,
                });
                Ok(Some(Heard::Event(Event::Init)))
            }
            At::List(list) => self.read(list).await,
            At::Version(version) => self.begin(version).await,
            At::Open { version, events } => self.hear(version, events).await,
        }
    }

    async fn read(&mut self, mut list: List<K>) -> Result<Option<Heard<K>>> {
        if let Some(object) = list.objects.pop_front() {
            self.at = At::List(list);
            return Ok(Some(Heard::Event(Event::InitApply(object))));
        }
        if let (None, Some(version)) = (&list.next, list.version) {
            self.at = At::Version(version);
            self.is_broken = false;
            return Ok(Some(Heard::Event(Event::InitDone)));
        }
        let mut asked = ListParams::default().limit(PAGE);
        asked.continue_token = list.next;
        let page = self.api.list(&asked).await.map_err(Error::InitialListFailed)?;
        let list = List {
            objects: page.items.into(),
            next: page.metadata.continue_.filter(|next| !next.is_empty()),
            version: page.metadata.resource_version.filter(|own| !own.is_empty()),
        };
        if list.next.is_none() && list.version.is_none() {
            return Err(Error::NoResourceVersion);
        }
        self.at = At::List(list);
        Ok(None)
    }

    async fn begin(&mut self, version: String) -> Result<Option<Heard<K>>> {
        let asked = WatchParams {
            timeout: watch_config(self.timeout).timeout,
            ..WatchParams::default()
        };
        match self.api.watch(&asked, &version).await {
            Ok(events) => {
                let events = events.boxed();
                self.at = At::Open { version, events };
                self.pace.succeed(Instant::now());
                Ok(std::mem::take(&mut self.is_broken).then_some(Heard::Resumed))
            }
            Err(error) => {
                if !is_forgotten(&error) {
                    self.at = At::Version(version);
                }
                Err(Error::WatchStartFailed(error))
            }
        }
    }

    async fn hear(
        &mut self,
        version: String,
        mut events: BoxStream<'static, kube::Result<WatchEvent<K>>>,
    ) -> Result<Option<Heard<K>>> {
        // No watch lasts longer than this.
        let longest = self.timeout * 7 / 6 + self.late;
        let Ok(event) = timeout(longest, events.next()).await else {
            return Err(Error::WatchFailed(kube::Error::ReadEvents(silence())));
        };
        let (version, event) = match event {
            None => {
                self.at = At::Version(version);
                return Ok(None);
            }
            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                (object.resource_version(), Some(Event::Apply(object)))
            }
            Some(Ok(WatchEvent::Deleted(object))) => (object.resource_version(), Some(Event::Delete(object))),
            Some(Ok(WatchEvent::Bookmark(bookmark))) => (Some(bookmark.metadata.resource_version), None),
            Some(Ok(WatchEvent::Error(status))) => return Err(Error::WatchError(status)),
            Some(Err(error)) => {
                if is_cut_off(&error) {
                    self.at = At::Version(version);
                }
                return Err(Error::WatchFailed(error));
            }
        };
        let version = version.filter(|version| !version.is_empty());
        let version = version.ok_or(Error::NoResourceVersion)?;
        self.at = At::Open { version, events };
        Ok(event.map(Heard::Event))
    }
}

/// The server does not know what was changed since, or that there is such a kind.
fn is_forgotten(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if [404, 410].contains(&status.code))
}

/// The connection broke; all that came was read.
fn is_cut_off(error: &kube::Error) -> bool {
    matches!(
        error,
        kube::Error::ReadEvents(_) | kube::Error::HyperError(_) | kube::Error::Service(_)
    )
}

fn silence() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "the server neither told anything nor ended the watch in time",
    )
}

impl<K> From<Event<K>> for Heard<K> {
    fn from(event: Event<K>) -> Self {
        Self::Event(event)
    }
}

#[cfg(test)]
mod tests;
