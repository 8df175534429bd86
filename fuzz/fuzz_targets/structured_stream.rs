//! Sessions over TCP: messages made to be valid, in pieces, to one decoder. A session
//! ends where its stream or a message is refused, as in the collector, and begins anew.
#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use weir_fuzz::Decoding;
use weir_fuzz::exporter::Exporter;
use wire::{Framer, Protocol, Session};

/// Connections at a time.
const CONNECTIONS: u8 = 4;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut decoding = Decoding::default();
    // What there is of the input is used up; its end is as good as any.
    let _ = run(&mut Unstructured::new(data), &mut decoding);
    decoding.end((0..CONNECTIONS).map(session));
});

fn session(number: u8) -> Session {
    Session::stream(weir_fuzz::session(number))
}

/// One connection: its domains, and what has been sent of its messages.
#[derive(Default)]
struct Connection {
    framer: Framer,
    domains: Vec<Exporter>,
}

fn run(u: &mut Unstructured<'_>, decoding: &mut Decoding) -> Result<()> {
    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| Connection::default()).collect();
    while !u.is_empty() {
        decoding.wait(u)?;
        let number = if u.ratio(3, 4)? {
            0
        } else {
            u.int_in_range(0..=CONNECTIONS - 1)?
        };
        let connection = &mut connections[usize::from(number)];
        let stays = u.ratio(15, 16)? && connection.speak(u, session(number), decoding)?;
        if !stays {
            *connection = Connection::default();
            decoding.decoder.end_session(session(number));
        }
    }
    Ok(())
}

impl Connection {
    /// Sends a few messages in one go; `false` when the connection is to be closed.
    fn speak(&mut self, u: &mut Unstructured<'_>, session: Session, decoding: &mut Decoding) -> Result<bool> {
        if self.domains.is_empty() {
            self.domains = [0, 1, 7]
                .map(|domain| Exporter::new(Protocol::Ipfix, domain))
                .into();
        }
        let mut stream = Vec::new();
        for _ in 0..u.int_in_range(1..=3)? {
            let domain = u.choose_index(self.domains.len())?;
            stream.extend(self.domains[domain].message(u)?);
        }
        let piece = usize::from(u.int_in_range(1u16..=1_500)?);
        for bytes in stream.chunks(piece) {
            self.framer.push(bytes);
            loop {
                let message = match self.framer.next_message() {
                    Ok(Some(message)) => message.to_vec(),
                    Ok(None) => break,
                    Err(_) => return Ok(false),
                };
                assert_eq!(&message[..2], [0, 10]);
                assert_eq!(
                    usize::from(u16::from_be_bytes([message[2], message[3]])),
                    message.len()
                );
                if !decoding.decode(session, &message) {
                    return Ok(false);
                }
            }
            assert!(self.framer.pending() <= usize::from(u16::MAX));
        }
        Ok(true)
    }
}
