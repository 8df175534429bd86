//! Asks OVS over its sockets in the run folder: a bridge's OpenFlow socket and the
//! switch's control socket. Reads, and changes nothing.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::openflow::{self, HEADER, IpfixCounters};
use crate::state::RunFolder;

/// Longest wait for one answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Messages that may come before the answer.
const MOST_MESSAGES: usize = 16;

/// Bytes of an answer on the control socket.
const MOST_BYTES: usize = 1 << 20;

impl RunFolder {
    /// What a bridge's IPFIX has sent.
    ///
    /// # Errors
    /// The bridge has no socket in the folder, speaks no OpenFlow 1.0, or does not answer in
    /// time.
    pub async fn ipfix_counters(&self, bridge: &str) -> io::Result<IpfixCounters> {
        if bridge.is_empty() || bridge.contains(['/', '\0']) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no bridge is called so",
            ));
        }
        let socket = self.path().join(format!("{bridge}.mgmt"));
        timeout(LIMIT, ask_bridge(&socket)).await?
    }

    /// Packets that the datapath could not pass up to the switch, since it began.
    ///
    /// # Errors
    /// There is no control socket, or no answer in time.
    pub async fn lost_packets(&self) -> io::Result<u64> {
        let pid = self.switch_pid()?;
        let socket = self.path().join(format!("ovs-vswitchd.{pid}.ctl"));
        let shown = timeout(LIMIT, ask_switch(&socket)).await??;
        lost_of(&shown).ok_or_else(|| io::Error::other("an answer without lost packets"))
    }
}

async fn ask_bridge(socket: &Path) -> io::Result<IpfixCounters> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(&openflow::request()).await?;
    for _ in 0..MOST_MESSAGES {
        let mut message = vec![0; HEADER];
        stream.read_exact(&mut message).await?;
        let mut header = [0; HEADER];
        header.copy_from_slice(&message);
        message.resize(openflow::length(header), 0);
        stream.read_exact(&mut message[HEADER..]).await?;
        if let Some(counters) = openflow::answer(&message) {
            return Ok(counters);
        }
    }
    Err(io::Error::other("other messages instead of an answer"))
}

/// JSON-RPC 1.0, as `ovs-appctl` speaks it. The answer has no length: it is read until it
/// is whole.
async fn ask_switch(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    let request = serde_json::json!({"method": "dpctl/show", "params": [], "id": 0});
    stream.write_all(request.to_string().as_bytes()).await?;
    let mut bytes = Vec::new();
    while bytes.len() < MOST_BYTES {
        if stream.read_buf(&mut bytes).await? == 0 {
            break;
        }
        if let Ok(answer) = serde_json::from_slice::<serde_json::Value>(&bytes) {
            let result = answer.get("result").and_then(serde_json::Value::as_str);
            return result
                .map(str::to_owned)
                .ok_or_else(|| io::Error::other("refused"));
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// The sum over all datapaths of `lookups: hit:2 missed:1 lost:0`.
fn lost_of(shown: &str) -> Option<u64> {
    let words = shown.split_whitespace();
    let lost = words.filter_map(|word| word.strip_prefix("lost:")?.parse::<u64>().ok());
    lost.fold(None, |sum, n| Some(sum.unwrap_or(0).saturating_add(n)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_packets_of_all_datapaths_are_added() {
        let shown = "system@ovs-system:\n  lookups: hit:2 missed:1 lost:5\n  flows: 1\n  port 0: ovs-system (internal)\n\
                     netdev@ovs-netdev:\n  lookups: hit:2 missed:1 lost:7\n";
        assert_eq!(lost_of(shown), Some(12));
        assert_eq!(lost_of("no datapath"), None);
    }

    #[tokio::test]
    async fn no_bridge_is_looked_for_outside_of_the_folder() {
        let folder = RunFolder::of_socket(Path::new("/nonexistent/db.sock"));
        for name in ["", "../x", "/x", "a\0"] {
            let error = folder.ipfix_counters(name).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        let error = folder.ipfix_counters("br-int").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
