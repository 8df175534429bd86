use super::*;
use nix::sys::socket::{setsockopt, sockopt};

#[derive(Default)]
struct Count(u64);

impl Handler for Count {
    fn datagram(&mut self, datagram: Datagram<'_>, _: u64) {
        assert_eq!(datagram.payload.len(), 1000);
        assert!(datagram.session.is_ipv4(), "{}", datagram.session);
        self.0 += 1;
    }

    fn batch_end(&mut self) {}
}

/// Reads what is there and returns at once: nobody holds the other end.
fn read_out(socket: &UdpSocket, drops: &Counter) -> u64 {
    let (stop, _) = std::io::pipe().unwrap();
    let mut count = Count::default();
    run(socket, &stop, drops.clone(), &mut count).unwrap();
    count.0
}

#[test]
fn what_the_kernel_drops_is_counted_exactly() {
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    setsockopt(&socket, sockopt::RcvBuf, &8192).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = || sender.send_to(&[0; 1000], socket.local_addr().unwrap()).unwrap();
    for _ in 0..500 {
        send();
    }
    let drops = Counter::default();
    let received = read_out(&socket, &drops);
    assert!(received < 500, "the buffer is too large for the test");
    // The kernel tells its count with the next datagram.
    send();
    assert_eq!(read_out(&socket, &drops), 1);
    assert_eq!(received + drops.get(), 500);
}

#[test]
fn an_ipv4_sender_has_an_ipv4_address_on_an_ipv6_socket() {
    let Ok(socket) = bind("[::]:0".parse().unwrap()) else {
        return;
    };
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    sender.send_to(&[0; 1000], ("127.0.0.1", port)).unwrap();
    assert_eq!(read_out(&socket, &Counter::default()), 1);
}
