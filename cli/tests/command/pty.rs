//! What a program on a terminal writes.

use std::io::Read;
use std::sync::mpsc::{Receiver, sync_channel};

/// What is written, as it comes.
pub fn watch(mut screen: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(64);
    std::thread::spawn(move || {
        let mut some = [0; 4096];
        while let Ok(length @ 1..) = screen.read(&mut some) {
            if sender.send(some[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
