//! What is known of the switch beside its database: from the run folder itself, or from the
//! gate that alone sees it. The database tells neither whether the switch lives nor what it
//! lost: rows stand when it is dead.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use ovsdb::Endpoint;
use ovsdb::framing::Splitter;
use ovsdb::rpc::{self, Message};
use run_folder::question::{METHOD, read_ipfix, read_state};
use run_folder::{FolderState, IpfixCounters, PidFile, Question, RefusalCounts, RunFolder, SocketPresence};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::timeout;

/// How often it is looked at.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// Longest wait for an answer of the gate, which waits for OVS itself.
const LIMIT: Duration = Duration::from_secs(4);

/// Bytes of such an answer.
const MOST_BYTES: usize = 4096;

/// Whether ovs-vswitchd runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SwitchProcess {
    /// It holds the lock on its pid file.
    Alive,
    /// Its pid file is not locked, or was and is gone.
    Dead,
    /// Its pid file is not locked, and configurations are taken over all the same.
    Elsewhere,
    /// There is no pid file to tell by.
    #[default]
    Unknown,
}

/// What one look showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Probe {
    /// The switch.
    pub switch: SwitchProcess,
    /// The socket.
    pub socket: SocketPresence,
    /// What the gate has refused since it began; `None`: there is none, or it does not tell.
    pub refused: Option<RefusalCounts>,
}

/// Where it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwitchState {
    /// Nowhere: the database is on another host.
    Remote,
    /// In the run folder.
    Folder(RunFolder),
    /// By the gate, at this socket.
    Gate(PathBuf),
}

impl SwitchState {
    /// Beside the database's socket.
    pub fn beside(endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::Unix(socket) => Self::Folder(RunFolder::of_socket(socket)),
            Endpoint::Tcp(..) | Endpoint::Ssl { .. } => Self::Remote,
        }
    }

    /// Whether it is told at all.
    pub fn is_told(&self) -> bool {
        *self != Self::Remote
    }

    /// What a bridge's IPFIX has sent.
    ///
    /// # Errors
    /// OVS does not tell, or the gate does not.
    pub async fn ipfix_counters(&self, bridge: &str) -> io::Result<IpfixCounters> {
        match self {
            Self::Remote => Err(ErrorKind::Unsupported.into()),
            Self::Folder(folder) => folder.ipfix_counters(bridge).await,
            Self::Gate(socket) => {
                let answer = ask(socket, &Question::Ipfix(bridge.to_owned())).await?;
                read_ipfix(&answer).ok_or_else(no_answer)
            }
        }
    }

    /// Packets that the datapath could not pass up to the switch, since it began.
    ///
    /// # Errors
    /// OVS does not tell, or the gate does not.
    pub async fn lost_packets(&self) -> io::Result<u64> {
        match self {
            Self::Remote => Err(ErrorKind::Unsupported.into()),
            Self::Folder(folder) => folder.lost_packets().await,
            Self::Gate(socket) => ask(socket, &Question::Lost).await?.as_u64().ok_or_else(no_answer),
        }
    }

    /// What the gate has refused; `None` where there is none.
    async fn refusals(&self) -> io::Result<Option<RefusalCounts>> {
        let Self::Gate(socket) = self else {
            return Ok(None);
        };
        let answer = ask(socket, &Question::Refusals).await?;
        RefusalCounts::read(&answer).map(Some).ok_or_else(no_answer)
    }

    async fn folder_state(&self) -> io::Result<FolderState> {
        match self {
            Self::Remote => Ok(FolderState::default()),
            Self::Folder(folder) => Ok(folder.state()),
            Self::Gate(socket) => {
                let answer = ask(socket, &Question::State).await?;
                let state = read_state(&answer).ok_or_else(no_answer)?;
                // The gate ends itself when its folder is gone: another start of ours would
                // not help it.
                Ok(FolderState {
                    socket: SocketPresence::Present,
                    ..state
                })
            }
        }
    }
}

fn no_answer() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "an answer of another form")
}

/// Asks the gate one question, over a connection of its own.
async fn ask(socket: &PathBuf, question: &Question) -> io::Result<Value> {
    let asked = async {
        let mut stream = UnixStream::connect(socket).await?;
        let params = rpc::Params::Array(question.to_params());
        stream
            .write_all(&rpc::request(METHOD, params, &rpc::Id::Num(0)))
            .await?;
        let mut splitter = Splitter::new(MOST_BYTES);
        let mut buffer = [0; 512];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => splitter.push(&buffer[..count]),
            }
            if let Some(message) = splitter.next_message().map_err(io::Error::other)? {
                return match Message::parse(&message).map_err(io::Error::other)? {
                    Message::Reply { outcome, .. } => outcome.map_err(io::Error::other),
                    _ => Err(no_answer()),
                };
            }
        }
    };
    timeout(LIMIT, asked).await?
}

/// Looks again and again, and remembers what it takes to judge.
#[derive(Debug)]
pub struct Prober {
    state: SwitchState,
    seen_alive: bool,
    /// A gate of another version does not know the question, and would count it as refused.
    asks_refusals: bool,
}

impl Prober {
    /// Nothing was seen yet.
    pub fn new(state: SwitchState) -> Self {
        Self {
            state,
            seen_alive: false,
            asks_refusals: true,
        }
    }

    /// Whether there is anything to look at.
    pub fn is_told(&self) -> bool {
        self.state.is_told()
    }

    /// Looks.
    pub async fn probe(&mut self) -> Probe {
        let probe = match self.state.folder_state().await {
            Ok(state) => self.judge(state),
            Err(error) => {
                tracing::debug!(%error, "nobody tells whether the switch runs");
                return Probe::default();
            }
        };
        let refused = self.refused().await;
        Probe { refused, ..probe }
    }

    async fn refused(&mut self) -> Option<RefusalCounts> {
        if !self.asks_refusals {
            return None;
        }
        match self.state.refusals().await {
            Ok(counts) => counts,
            Err(error) => {
                self.asks_refusals = error.kind() != ErrorKind::Other;
                tracing::debug!(%error, "nobody tells what the gate refuses");
                None
            }
        }
    }

    fn judge(&mut self, state: FolderState) -> Probe {
        let switch = match state.pid_file {
            PidFile::Locked => SwitchProcess::Alive,
            PidFile::Unlocked => SwitchProcess::Dead,
            // One that ends in peace removes its file. Where the folder is another, its
            // file is out of our sight.
            PidFile::Absent if self.seen_alive && state.socket != SocketPresence::FolderRemoved => {
                SwitchProcess::Dead
            }
            PidFile::Absent | PidFile::Unreadable => SwitchProcess::Unknown,
        };
        self.seen_alive |= switch == SwitchProcess::Alive;
        Probe {
            switch,
            socket: state.socket,
            refused: None,
        }
    }
}

/// Looks again and again, and tells each time what it sees: one that gets no answer holds up
/// nobody else.
pub async fn look(state: SwitchState, seen: watch::Sender<Probe>) {
    let mut prober = Prober::new(state);
    while !seen.is_closed() {
        let probe = prober.probe().await;
        seen.send_replace(probe);
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prober() -> Prober {
        Prober::new(SwitchState::beside(&"unix:/nonexistent/db.sock".parse().unwrap()))
    }

    fn seen(pid_file: PidFile, socket: SocketPresence) -> FolderState {
        FolderState { pid_file, socket }
    }

    #[test]
    fn a_pid_file_that_nobody_holds_is_of_a_dead_switch_and_none_tells_nothing() {
        let mut prober = prober();
        let mut judge = |pid_file| prober.judge(seen(pid_file, SocketPresence::Present)).switch;
        assert_eq!(judge(PidFile::Absent), SwitchProcess::Unknown);
        assert_eq!(judge(PidFile::Unlocked), SwitchProcess::Dead);
        assert_eq!(judge(PidFile::Unreadable), SwitchProcess::Unknown);
    }

    #[test]
    fn a_pid_file_that_was_locked_and_is_gone_is_of_a_dead_switch_unless_the_folder_is_another() {
        let mut prober = prober();
        prober.judge(seen(PidFile::Locked, SocketPresence::Present));
        let mut judge = |socket| prober.judge(seen(PidFile::Absent, socket)).switch;
        assert_eq!(judge(SocketPresence::FolderRemoved), SwitchProcess::Unknown);
        assert_eq!(judge(SocketPresence::Absent), SwitchProcess::Dead);
    }

    #[tokio::test]
    async fn a_database_elsewhere_tells_nothing_of_the_switch_nor_does_a_gate_that_is_not_there() {
        let remote = SwitchState::beside(&"tcp:192.0.2.1:6640".parse().unwrap());
        assert!(!remote.is_told());
        assert!(remote.lost_packets().await.is_err());
        assert_eq!(Prober::new(remote).probe().await, Probe::default());
        let mut gate = Prober::new(SwitchState::Gate("/nonexistent/gate.sock".into()));
        assert!(gate.is_told());
        assert_eq!(gate.probe().await, Probe::default());
    }
}
