//! Why OVSDB does not let the daemon in though somebody is there: which user it runs as. Pure.

use ovsdb::Link;

/// Who connects, and by which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The user that the daemon runs as.
    pub uid: u32,
    /// By the gate, which asks the kernel who connects.
    pub through_gate: bool,
}

/// What the kernel says where the permission is lacking (`EACCES`), in every C library.
const DENIED: &str = "Permission denied";
/// How a connection looks whose other end let it go without a word.
const LET_GO: [&str; 3] = ["closed by the server", "reset by peer", "Broken pipe"];

impl Access {
    /// What to do about an error of the connection; none where the user is no matter.
    pub fn remedy(self, error: &str) -> Option<String> {
        let uid = self.uid;
        let is_let_go = || LET_GO.iter().any(|words| error.contains(words));
        match self.through_gate {
            true if error.contains(DENIED) => Some(format!(
                "weir-node runs as user {uid} and may not reach the gate's socket: both containers mount the same \
                 volume, with SELinux under the same type"
            )),
            true if is_let_go() => Some(format!(
                "weir-node runs as user {uid}, and the gate serves the users of its --client-uid alone: name it there"
            )),
            false if error.contains(DENIED) => Some(format!(
                "weir-node runs as user {uid} without capabilities: run it as the user and group that the socket \
                 belongs to (`stat -c %u:%g`; runAsUser and runAsGroup), or with the gate, which does; where SELinux \
                 enforces, as the type spc_t"
            )),
            _ => None,
        }
    }
}

/// Why the database cannot be reached, with what to do where that is known; none while it can be
/// or nobody knows yet.
pub fn unreachable(endpoint: &str, link: &Link, access: Option<Access>) -> Option<String> {
    let Link::Down { error, .. } = link else {
        return None;
    };
    let remedy = access.and_then(|access| access.remedy(error));
    let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
    Some(format!("{endpoint}: {error}{remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: &str, through_gate: bool) -> String {
        let link = Link::Down {
            error: error.to_owned(),
            attempts: 3,
        };
        let access = Access {
            uid: 65532,
            through_gate,
        };
        unreachable("unix:/x.sock", &link, Some(access)).unwrap()
    }

    #[test]
    fn who_is_not_let_in_is_told_which_user_it_is_and_what_to_do() {
        let direct = said("cannot connect: Permission denied (os error 13)", false);
        for words in ["unix:/x.sock: cannot connect", "user 65532", "runAsUser", "spc_t"] {
            assert!(direct.contains(words), "{direct}");
        }
        let by_gate = said("connection closed by the server", true);
        assert!(
            by_gate.contains("user 65532") && by_gate.contains("--client-uid"),
            "{by_gate}"
        );
        assert!(said("Permission denied", true).contains("same volume"));
        // ovsdb-server ends connections for reasons of its own, and others are nobody's user.
        for (error, through_gate) in [("connection closed by the server", false), ("No such file", true)] {
            assert_eq!(said(error, through_gate), format!("unix:/x.sock: {error}"));
        }
        assert_eq!(unreachable("x", &Link::Synced, None), None);
        assert_eq!(unreachable("x", &Link::Connecting, None), None);
    }
}
