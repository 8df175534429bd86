//! A port of the lab's loopback on the host's loopback. The socket that listens was made in
//! the host's network, connections are made in the lab's: nothing else of either reaches the
//! other.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result};

use crate::relay;

/// The variable that says where the host has it.
pub(crate) const PUBLISHED: &str = "WEIR_LAB_PUBLISHED";

/// A port that is listened on, on the host.
pub(crate) struct Published {
    listener: TcpListener,
    port: u16,
}

impl Published {
    /// Listens on the host's port of that number, or on a free one.
    pub(crate) fn listen(port: u16) -> Result<Self> {
        let on = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = on(port)
            .or_else(|_| on(0))
            .context("a port on the host's loopback")?;
        Ok(Self { listener, port })
    }

    /// Where the host has it.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Passes connections on, until the process ends, within the network that the caller is
    /// in now.
    pub(crate) fn serve(self) {
        thread::spawn(move || {
            for outside in self.listener.incoming().flatten() {
                // Nobody listens in the lab: whoever asks is let go.
                if let Ok(inside) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
                    relay::join(outside, inside, 0, &Arc::default());
                }
            }
        });
    }
}
