//! How many connections there may be at a time: in all, and of one peer, so that no
//! peer takes the room of all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wire::SenderNetwork;

use crate::metrics::Refusal;

/// The connections that are open, over all addresses.
#[derive(Debug)]
pub(crate) struct Admission {
    limit: usize,
    limit_per_peer: usize,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    all: usize,
    by_peer: HashMap<SenderNetwork, usize>,
}

/// The right to one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    peer: SenderNetwork,
}

impl Admission {
    pub(crate) fn new(limit: usize, limit_per_peer: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            limit_per_peer,
            open: Mutex::default(),
        })
    }

    /// Lets one more connection of a peer in.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Permit, Refusal> {
        let peer = SenderNetwork::of(peer);
        let mut open = self.lock();
        if open.all >= self.limit {
            return Err(Refusal::Full);
        }
        let of_peer = open.by_peer.entry(peer).or_default();
        if *of_peer >= self.limit_per_peer {
            return Err(Refusal::PeerFull);
        }
        *of_peer += 1;
        open.all += 1;
        Ok(Permit {
            admission: Arc::clone(self),
            peer,
        })
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.lock();
        open.all = open.all.saturating_sub(1);
        if let Some(of_peer) = open.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_peer_takes_all_the_room_and_what_was_given_back_can_be_had_again() {
        let [one, other] = [1, 2].map(|n| IpAddr::from([192, 0, 2, n]));
        let admission = Admission::new(3, 2);
        let first = admission.admit(one).unwrap();
        let _second = admission.admit(one).unwrap();
        assert_eq!(admission.admit(one).unwrap_err(), Refusal::PeerFull);
        let _third = admission.admit(other).unwrap();
        assert_eq!(admission.admit(other).unwrap_err(), Refusal::Full);
        drop(first);
        let _again = admission.admit(other).unwrap();
        assert_eq!(admission.admit(one).unwrap_err(), Refusal::Full);
    }

    #[test]
    fn the_addresses_of_one_network_are_one_peer() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let admission = Admission::new(3, 1);
        let _first = admission.admit(address("2001:db8::1")).unwrap();
        assert_eq!(
            admission.admit(address("2001:db8::2")).unwrap_err(),
            Refusal::PeerFull
        );
        admission.admit(address("2001:db8:0:1::1")).unwrap();
    }

    #[test]
    fn nothing_is_kept_of_a_peer_that_has_no_connection() {
        let admission = Admission::new(1, 1);
        drop(admission.admit([192, 0, 2, 1].into()).unwrap());
        assert!(admission.lock().by_peer.is_empty());
    }
}
