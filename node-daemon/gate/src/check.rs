//! Whether a gate still takes clients, for a probe of its container.

use std::io;
use std::path::Path;
use std::time::Duration;

use ovsdb::rpc::{self, Id, Params};
use run_folder::Question;
use run_folder::question::METHOD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Longest wait.
const LIMIT: Duration = Duration::from_secs(4);

/// Connects, asks, and waits for an answer or to be let go, as who is no client is: either is
/// the work of a gate that runs. One that hangs leaves both to the kernel, which does neither.
///
/// # Errors
/// Nobody listens, or nobody answers in time.
pub async fn check(socket: &Path) -> io::Result<()> {
    let asked = async {
        let mut stream = UnixStream::connect(socket).await?;
        let question = rpc::request(METHOD, Params::Array(Question::State.to_params()), &Id::Num(0));
        // Who is let go may be so before anything was sent or read.
        let _ = stream.write_all(&question).await;
        let _ = stream.read(&mut [0; 1]).await;
        Ok(())
    };
    timeout(LIMIT, asked).await?
}
