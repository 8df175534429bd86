//! Open vSwitch's run folder, beside the database's socket: what it tells of the switch that
//! the database does not. Whether an ovs-vswitchd lives, whether the folder is still the one
//! that OVS uses, what OVS's own counters say. Reads, and changes nothing; knows neither
//! Kubernetes nor the database.
//!
//! [`state`] reads the file system, [`counters`] asks OVS's sockets, [`question`] is how one
//! program has another ask for it, [`refusals`] what that one refuses.
#![deny(missing_docs)]

pub mod absence;
pub mod counters;
pub mod openflow;
pub mod question;
pub mod refusals;
pub mod state;

pub use absence::Absence;
pub use openflow::IpfixCounters;
pub use question::Question;
pub use refusals::RefusalCounts;
pub use state::{FolderState, PidFile, RunFolder, SocketPresence};
