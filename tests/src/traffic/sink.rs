//! A UDP socket that keeps what it receives: the simplest collector there is.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{Netns, switch::unpoisoned};

const POLL: Duration = Duration::from_millis(50);
/// A sink keeps no more datagrams than this; later ones are counted only.
const CAPACITY: usize = 100_000;

/// A datagram and who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The sender's address.
    pub source: SocketAddr,
    /// The payload.
    pub payload: Vec<u8>,
}

#[derive(Debug, Default)]
struct Received {
    total: u64,
    datagrams: Vec<Datagram>,
}

/// A bound UDP socket with a thread that receives until it is dropped.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
    stop: Arc<AtomicBool>,
    receiver: Option<JoinHandle<()>>,
}

impl Sink {
    /// Binds `address` in a namespace; port 0 takes a free one.
    pub fn bind(netns: &Netns, address: SocketAddr) -> Result<Self> {
        let socket =
            netns.within(|| UdpSocket::bind(address).with_context(|| format!("bind UDP {address}")))?;
        socket.set_read_timeout(Some(POLL))?;
        let address = socket.local_addr()?;
        let (received, stop) = (Arc::<Mutex<Received>>::default(), Arc::<AtomicBool>::default());
        let receiver = std::thread::spawn({
            let (received, stop) = (Arc::clone(&received), Arc::clone(&stop));
            move || receive(&socket, &received, &stop)
        });
        Ok(Self {
            address,
            received,
            stop,
            receiver: Some(receiver),
        })
    }

    /// The address that it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Number of datagrams received until now.
    pub fn count(&self) -> u64 {
        unpoisoned(&self.received).total
    }

    /// The datagrams received until now, at most 100,000.
    pub fn datagrams(&self) -> Vec<Datagram> {
        unpoisoned(&self.received).datagrams.clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(receiver) = self.receiver.take() {
            // It can only fail by a panic of the thread, which has said so.
            let _ = receiver.join();
        }
    }
}

fn receive(socket: &UdpSocket, received: &Mutex<Received>, stop: &AtomicBool) {
    let mut buffer = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        // A time-out, so that the flag is seen.
        let Ok((length, source)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let mut received = unpoisoned(received);
        received.total += 1;
        if received.datagrams.len() < CAPACITY {
            let payload = buffer.get(..length).unwrap_or_default().to_vec();
            received.datagrams.push(Datagram { source, payload });
        }
    }
}
