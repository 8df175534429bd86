//! A relay of TCP connections that can freeze: it then takes bytes from neither side and
//! closes nothing, like a firewall that has forgotten a connection.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};

/// A relay on a port of its own.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    /// Connections that began under an earlier number are frozen.
    generation: Arc<AtomicUsize>,
}

impl Relay {
    /// Relays connections to `target`.
    ///
    /// # Errors
    /// There is no port to listen on.
    pub fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a port for the relay")?;
        let address = listener.local_addr()?;
        let generation = Arc::new(AtomicUsize::new(0));
        let now = generation.clone();
        thread::spawn(move || {
            for inner in listener.incoming().flatten() {
                let born = now.load(Ordering::SeqCst);
                let Ok(outer) = TcpStream::connect(target) else {
                    continue;
                };
                join(inner, outer, born, &now);
            }
        });
        Ok(Self { address, generation })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Freezes every connection that there is; later ones work.
    pub fn freeze(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

/// Passes on both ways what comes, in threads of its own, until one side ends or `now` is no
/// longer `born`.
pub(crate) fn join(one: TcpStream, other: TcpStream, born: usize, now: &Arc<AtomicUsize>) {
    let (Ok(one_too), Ok(other_too)) = (one.try_clone(), other.try_clone()) else {
        return;
    };
    for (from, to) in [(one, other_too), (other, one_too)] {
        let now = now.clone();
        thread::spawn(move || pass(from, to, born, &now));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, born: usize, now: &AtomicUsize) {
    let mut buffer = vec![0; 65536];
    loop {
        let length = from.read(&mut buffer).unwrap_or(0);
        if now.load(Ordering::SeqCst) != born {
            // Both stay open, and neither hears of the other again.
            loop {
                thread::park();
            }
        }
        if length == 0 || to.write_all(&buffer[..length]).is_err() {
            // The other direction may still have something to say.
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_frozen_connection_neither_answers_nor_ends_and_a_later_one_works() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay::start(server.local_addr().unwrap()).unwrap();
        thread::spawn(move || {
            for mut stream in server.incoming().flatten() {
                thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() {
                        stream.write_all(&byte).unwrap();
                    }
                });
            }
        });
        let connect = || {
            let stream = TcpStream::connect(relay.address()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream
        };
        let echo = |stream: &mut TcpStream| {
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0])
        };
        let mut early = connect();
        echo(&mut early).unwrap();
        relay.freeze();
        early.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let silence = echo(&mut early).unwrap_err().kind();
        assert!(
            matches!(
                silence,
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ),
            "{silence:?}"
        );
        echo(&mut connect()).unwrap();
    }
}
