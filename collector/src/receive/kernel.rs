//! The system calls of the receive path for which there is no safe wrapper that
//! is cheap enough, or none at all: many datagrams into buffers that are used
//! again, the socket's own count of drops, a filter that lets nothing in any more.
//! All unsafe code of the collector is here; who sent what is not its business.
#![expect(
    unsafe_code,
    reason = "nix allocates and zeroes its headers for each recvmmsg, and has neither SO_MEMINFO nor filters"
)]

use std::mem::{size_of, size_of_val, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, from_mut};

use nix::errno::Errno;
use nix::libc;

/// Datagrams read by one system call.
pub(super) const BATCH: usize = 64;

/// More than the largest UDP payload, so that nothing is cut.
const MAX_DATAGRAM: usize = 65_535;

/// From one payload's buffer to the next. The first octets of all of them, which are
/// all that most datagrams have, are to have places of their own in the processor's
/// caches, which go by the lower bits of an address.
const STRIDE: usize = (MAX_DATAGRAM + 1) + 5 * 64;

/// Octets of room for what the kernel says beside a payload: the length of the datagrams
/// in it, an `int`.
// SAFETY: it only counts.
const CONTROL: usize = unsafe { libc::CMSG_SPACE(size_of::<libc::c_int>() as u32) } as usize;

/// That room, where its header may stand.
#[derive(Clone, Copy)]
#[repr(C)]
struct Control {
    _align: [libc::cmsghdr; 0],
    _octets: [u8; CONTROL],
}

/// Index of the drops in what `SO_MEMINFO` says (`linux/sock_diag.h`).
const SK_MEMINFO_DROPS: usize = 8;

/// Buffers for one system call. The pages of a payload's buffer are only taken
/// up by datagrams that reach them.
pub(super) struct Batch {
    payloads: Vec<u8>,
    senders: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
    slices: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl Batch {
    pub(super) fn new() -> Self {
        // SAFETY: these are plain C structs of integers and pointers; all zero is
        // a value of each.
        let (sender, slice, header) = unsafe { (zeroed(), zeroed(), zeroed()) };
        let control = Control {
            _align: [],
            _octets: [0; CONTROL],
        };
        Self {
            payloads: vec![0; BATCH * STRIDE],
            senders: vec![sender; BATCH],
            controls: vec![control; BATCH],
            slices: vec![slice; BATCH],
            headers: vec![header; BATCH],
        }
    }

    /// Reads what is there, without waiting: at least one payload, at most [`BATCH`]. A
    /// payload is a datagram, or several from one sender ([`Self::datagrams`]).
    pub(super) fn receive(&mut self, socket: &impl AsFd) -> Result<usize, Errno> {
        self.point();
        let (headers, flags) = (self.headers.as_mut_ptr(), libc::MSG_DONTWAIT as _);
        let socket = socket.as_fd().as_raw_fd();
        // SAFETY: `point` has just made each of the BATCH headers point to live
        // buffers of this struct with their true sizes. Nothing else uses them
        // during the call, and the kernel keeps no pointer after it.
        let count = unsafe { libc::recvmmsg(socket, headers, BATCH as _, flags, ptr::null_mut()) };
        Ok(usize::try_from(Errno::result(count)?).unwrap_or(0))
    }

    /// Points the headers to the buffers. The kernel overwrites the lengths with
    /// what it wrote, so this is done before each call.
    fn point(&mut self) {
        let buffers = self.payloads.chunks_exact_mut(STRIDE);
        let headers = self.headers.iter_mut().zip(&mut self.slices);
        let rooms = self.senders.iter_mut().zip(&mut self.controls);
        for ((header, slice), (buffer, (sender, control))) in headers.zip(buffers.zip(rooms)) {
            slice.iov_base = buffer.as_mut_ptr().cast();
            slice.iov_len = MAX_DATAGRAM;
            let header = &mut header.msg_hdr;
            header.msg_name = from_mut(sender).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as _;
            header.msg_iov = slice;
            header.msg_iovlen = 1;
            header.msg_control = from_mut(control).cast();
            header.msg_controllen = CONTROL as _;
            header.msg_flags = 0;
        }
    }

    /// The datagrams in the n-th payload of the last call: at least one.
    pub(super) fn datagrams(&self, n: usize) -> impl Iterator<Item = &[u8]> {
        let start = n * STRIDE;
        let length = (self.headers[n].msg_len as usize).min(MAX_DATAGRAM);
        let payload = &self.payloads[start..start + length];
        // One without an octet is a datagram, too.
        let each = self.segment(n).unwrap_or(length).max(1);
        let empty = payload.is_empty().then_some(payload);
        payload.chunks(each).chain(empty)
    }

    /// The length of each datagram in the n-th payload but the last, where there may be
    /// several (`UDP_GRO`).
    fn segment(&self, n: usize) -> Option<usize> {
        let header = &self.headers[n].msg_hdr;
        if header.msg_controllen == 0 {
            return None;
        }
        // SAFETY: the header still points to its room in `controls`, which `point` gave
        // it and which no call has moved since; the kernel wrote whole messages there, of
        // `msg_controllen` octets together. The number is read as it lies.
        unsafe {
            let control = libc::CMSG_FIRSTHDR(header).as_ref()?;
            let is_length = (control.cmsg_level, control.cmsg_type) == (libc::SOL_UDP, libc::UDP_GRO);
            let length = libc::CMSG_DATA(control).cast::<libc::c_int>().read_unaligned();
            usize::try_from(length).ok().filter(|_| is_length)
        }
    }

    /// Its sender; `None` when that has no IP address.
    pub(super) fn sender(&self, n: usize) -> Option<SocketAddr> {
        let sender = ptr::from_ref(&self.senders[n]);
        match i32::from(self.senders[n].ss_family) {
            libc::AF_INET => {
                // SAFETY: a sockaddr_storage is large and aligned enough for every
                // kind of address, and the kernel says it wrote this kind.
                let v4 = unsafe { sender.cast::<libc::sockaddr_in>().read() };
                let address = Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
                Some(SocketAddr::new(address.into(), u16::from_be(v4.sin_port)))
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let v6 = unsafe { sender.cast::<libc::sockaddr_in6>().read() };
                let address = IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr)).to_canonical();
                Some(SocketAddr::new(address, u16::from_be(v6.sin6_port)))
            }
            _ => None,
        }
    }
}

/// How many datagrams the socket has dropped until now; several that would have come in
/// one payload count as one. The count wraps.
pub(super) fn count_drops(socket: &impl AsFd) -> Result<u32, Errno> {
    let mut counts = [0u32; 16];
    let mut length = size_of_val(&counts) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` octets to `counts`, which is as large.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            counts.as_mut_ptr().cast(),
            &mut length,
        )
    };
    Errno::result(outcome)?;
    let known = length as usize / size_of::<u32>() > SK_MEMINFO_DROPS;
    known
        .then_some(counts[SK_MEMINFO_DROPS])
        .ok_or(Errno::ENOPROTOOPT)
}

/// Lets no further datagram into the socket: what comes is counted as dropped.
/// What it holds can still be read.
pub(super) fn shut(socket: &impl AsFd) -> Result<(), Errno> {
    let mut keep_nothing = libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let program = libc::sock_fprog {
        len: 1,
        filter: &mut keep_nothing,
    };
    // SAFETY: the kernel copies the program, one instruction as `len` says, during the call.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            ptr::from_ref(&program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    Errno::result(outcome).map(drop)
}
