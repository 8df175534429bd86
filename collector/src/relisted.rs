//! A watch that lists anew after whatever error. `kube` goes on where a watch broke, and does not
//! tell when it has: only the end of a list says that nothing is missed any more.

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use weir_process::kubernetes::watch_config;

/// Watches all objects for ever. After each error a list begins as soon as the next event is
/// asked for: who wants a pause makes it. Each watch is begun anew after about `timeout`.
pub fn relisted<K>(api: Api<K>, timeout: Duration) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    stream::repeat_with(move || until_error(watcher::watcher(api.clone(), watch_config(timeout)))).flatten()
}

/// Ends after the first error, without asking for more.
fn until_error<K: Send + 'static>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    stream::unfold(Some(events.boxed()), async |events| {
        let mut events = events?;
        let event = events.next().await?;
        let rest = event.is_ok().then_some(events);
        Some((event, rest))
    })
}
