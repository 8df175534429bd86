//! How a cluster is reached: a kubeconfig file, or what the surroundings give, becomes a
//! client that no silence holds up.
//!
//! A connection may die without a word while it waits in the pool or carries a watch. Each is
//! bounded: a watch is begun anew after about [`WATCH_TIMEOUT`] (the client waits no longer
//! than 5 s more), and whatever is asked has an answer within [`READ_TIMEOUT`] or the connection
//! is given up. kube offers no TCP keepalive; it would find nothing sooner.

mod describe;
mod put_off;

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::runtime::watcher;
use kube::{Client, Config};
use thiserror::Error;
use tower::util::MapResponseLayer;

use crate::jitter::jittered;
pub use describe::{describe, describe_watch};
pub use put_off::put_off;

/// How long the server may keep a watch, give or take a sixth: this bounds how long a
/// connection that is dead on one side alone keeps a change away.
pub const WATCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence on a connection while an answer is due; longer than any watch.
const READ_TIMEOUT: Duration = Duration::from_secs(45);
/// Longest time until a connection of a daemon stands, and until a request is sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time that a watch of a client of [`Retries::None`] can be dead before it fails: the
/// silence of one that was begun, then a connection, then its answer.
pub const LONGEST_SILENCE: Duration =
    Duration::from_secs(2 * READ_TIMEOUT.as_secs() + CONNECT_TIMEOUT.as_secs());

/// What becomes of a request that the server puts off (429, 503, 504).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retries {
    /// It is sent again behind our back, after as long as the server says, up to 15 times. For
    /// whoever asks now and then and has no pace of their own: commands, and reviews of tokens.
    ByClient,
    /// The caller is told at once. For programs beside a thousand others, which have a pace.
    None,
}

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor a pod's own account.
    #[error("no cluster to reach")]
    None(#[source] InferConfigError),
    /// The file cannot be read, or leads nowhere.
    #[error("--kubeconfig {}", .0.display())]
    File(PathBuf, #[source] KubeconfigError),
    /// The same without a file that was named.
    #[error("there is no kubeconfig that can be used")]
    Default(#[source] KubeconfigError),
    /// The file has no such context.
    #[error("--context {0}: the kubeconfig has {1}")]
    Context(String, String),
    /// The configuration names no usable server or credentials.
    #[error("cannot make a client of Kubernetes")]
    Client(#[source] kube::Error),
}

/// How a cluster is reached: by this file and this context of it, or else by `$KUBECONFIG`,
/// `~/.kube/config`, or the pod's own account.
///
/// # Errors
/// There is no cluster, or the file is of no use, or has no such context.
pub async fn config(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Config, ConnectError> {
    if kubeconfig.is_none() && context.is_none() {
        return Config::infer().await.map_err(ConnectError::None);
    }
    let error = |error| match kubeconfig {
        Some(path) => ConnectError::File(path.to_owned(), error),
        None => ConnectError::Default(error),
    };
    let file = read(kubeconfig).map_err(error)?;
    if let Some(context) = context {
        let known: Vec<&str> = file.contexts.iter().map(|known| known.name.as_str()).collect();
        if !known.contains(&context) {
            return Err(ConnectError::Context(context.to_owned(), known.join(", ")));
        }
    }
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(file, &options)
        .await
        .map_err(error)
}

/// A kubeconfig file, or those that the surroundings name.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn read(kubeconfig: Option<&Path>) -> Result<Kubeconfig, KubeconfigError> {
    kubeconfig.map_or_else(Kubeconfig::read, Kubeconfig::read_from)
}

/// A client whose connections no silence holds up for ever.
///
/// # Errors
/// The configuration names no usable server or credentials.
pub fn client(mut config: Config, retries: Retries) -> Result<Client, ConnectError> {
    if retries == Retries::None {
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.write_timeout = Some(CONNECT_TIMEOUT);
    }
    config.default_retry = retries == Retries::ByClient;
    config.read_timeout = Some(READ_TIMEOUT);
    // The time in the pool does not count.
    config.reset_reader_on_write = true;
    let builder = ClientBuilder::try_from(config).map_err(ConnectError::Client)?;
    Ok(builder
        .with_layer(&MapResponseLayer::new(put_off::as_status))
        .build())
}

/// [`config`] and [`client`] in one, for daemons.
///
/// # Errors
/// As both.
pub async fn connect(kubeconfig: Option<&Path>, retries: Retries) -> Result<Client, ConnectError> {
    client(config(kubeconfig, None).await?, retries)
}

/// A watch of all objects that is begun anew after about so long; [`WATCH_TIMEOUT`], but for a
/// test that has less time.
pub fn watch_config(timeout: Duration) -> watcher::Config {
    let seconds = jittered(timeout, 166).as_secs().max(1);
    watcher::Config::default().timeout(u32::try_from(seconds).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::error::chain;

    #[tokio::test]
    async fn what_is_wrong_with_a_kubeconfig_is_told_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("none");
        let error = config(Some(&absent), None).await.unwrap_err();
        let text = chain(&error);
        assert!(
            text.contains(&format!("--kubeconfig {}", absent.display())),
            "{text}"
        );
        assert_eq!(text.matches("No such file").count(), 1, "{text}");
        let file = folder.path().join("config");
        let text = "{apiVersion: v1, kind: Config, contexts: [{name: lab}, {name: shop}]}";
        std::fs::write(&file, text).unwrap();
        let error = config(Some(&file), Some("other")).await.unwrap_err();
        assert_eq!(chain(&error), "--context other: the kubeconfig has lab, shop");
    }

    const VERSION: &str = r#"{"major": "1", "minor": "34", "gitVersion": "v1.34.4", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}"#;

    /// Answers requests of one connection each: 503 so many times, then 200. How many it saw.
    async fn put_off(times: usize, retries: Retries) -> (bool, usize) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            for seen in 1.. {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = connection.read(&mut request).await.unwrap();
                let (status, body) = match seen > times {
                    true => ("200 OK", VERSION),
                    false => ("503 Service Unavailable", "{}"),
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                connection.write_all(answer.as_bytes()).await.unwrap();
                if seen > times || retries == Retries::None {
                    return seen;
                }
            }
            0
        });
        let config = Config::new(format!("http://{address}").parse().unwrap());
        let asked = client(config, retries).unwrap();
        let answered = asked.apiserver_version().await.is_ok();
        (answered, server.await.unwrap())
    }

    #[tokio::test]
    async fn a_request_that_is_put_off_is_sent_again_for_those_who_have_no_pace_of_their_own() {
        assert_eq!(put_off(2, Retries::ByClient).await, (true, 3));
        assert_eq!(put_off(2, Retries::None).await, (false, 1));
    }

    #[test]
    fn a_watch_ends_before_the_connection_is_given_up() {
        let longest = (0..100).filter_map(|_| watch_config(WATCH_TIMEOUT).timeout).max();
        assert!(longest.is_some_and(|seconds| u64::from(seconds) + 5 < READ_TIMEOUT.as_secs()));
    }
}
