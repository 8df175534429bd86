//! Switching off a device's transmit checksum offload over the kernel's
//! ethtool netlink interface (`Documentation/networking/ethtool-netlink.rst`),
//! so that the lab does without the `ethtool` program. Segmentation offload
//! falls with it: the kernel drops features that need a checksum.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, bail};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

/// `nlctrl`'s message type, command and attributes (`linux/genetlink.h`).
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// Commands and attributes of the family (`linux/ethtool_netlink.h`).
const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const NESTED: u16 = 0x8000;
/// Message type and flags (`linux/netlink.h`).
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST_ACK: u16 = 1 | 4;
/// `nlmsghdr` and `genlmsghdr` together.
const HEADERS: usize = 20;

/// Switches transmit checksum offload off on a device of the calling thread's
/// network namespace.
pub(crate) fn disable(device: &str) -> Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        Some(SockProtocol::NetlinkGeneric),
    )
    .context("open a netlink socket")?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    let family = request(&socket, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &family_name("ethtool"))?;
    let family = family.context("the kernel did not say where its ethtool interface is")?;
    request(&socket, family, ETHTOOL_MSG_FEATURES_SET, &checksum_off(device))?;
    Ok(())
}

fn family_name(name: &str) -> Vec<u8> {
    attribute(CTRL_ATTR_FAMILY_NAME, &text(name))
}

/// A bit that is named and has no value flag is switched off.
fn checksum_off(device: &str) -> Vec<u8> {
    let header = attribute(ETHTOOL_A_HEADER_DEV_NAME, &text(device));
    let bit = attribute(ETHTOOL_A_BITSET_BIT_NAME, &text("tx-checksum-ip-generic"));
    let bits = attribute(ETHTOOL_A_BITSET_BITS_BIT | NESTED, &bit);
    let wanted = attribute(ETHTOOL_A_BITSET_BITS | NESTED, &bits);
    let mut payload = attribute(ETHTOOL_A_FEATURES_HEADER | NESTED, &header);
    payload.extend(attribute(ETHTOOL_A_FEATURES_WANTED | NESTED, &wanted));
    payload
}

/// Sends one command and reads until its acknowledgement; the family id, when
/// an answer before it carries one.
fn request(socket: &OwnedFd, family: u16, command: u8, payload: &[u8]) -> Result<Option<u16>> {
    send(
        socket.as_raw_fd(),
        &message(family, command, payload),
        MsgFlags::empty(),
    )?;
    let mut id = None;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((kind, body, next)) = split(rest) {
            if kind == NLMSG_ERROR {
                return acknowledge(body).map(|()| id);
            }
            if kind == GENL_ID_CTRL {
                id = family_id(body).or(id);
            }
            rest = next;
        }
    }
}

fn acknowledge(body: &[u8]) -> Result<()> {
    match body.first_chunk().map(|code| i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(std::io::Error::from_raw_os_error(-code).into()),
        None => bail!("a netlink answer was cut short"),
    }
}

/// Message type, payload, and what follows the message.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(16..length)?;
    Some((
        kind,
        body,
        bytes.get(length.next_multiple_of(4)..).unwrap_or_default(),
    ))
}

fn family_id(body: &[u8]) -> Option<u16> {
    let mut rest = body.get(4..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        if kind == CTRL_ATTR_FAMILY_ID {
            return Some(u16::from_ne_bytes(rest.get(4..6)?.try_into().ok()?));
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn message(family: u16, command: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADERS + payload.len()).expect("a few names fit a message");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(family.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    bytes.extend([0; 8]); // sequence and port: one request at a time, the kernel fills the port
    bytes.extend([command, 1, 0, 0]); // version 1, reserved
    bytes.extend(payload);
    bytes
}

fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + payload.len()).expect("names are shorter than an attribute");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_counts_its_header_and_is_padded_to_four_bytes() {
        let bytes = attribute(7, b"abc\0x");
        assert_eq!(bytes.len(), 12);
        assert_eq!(u16::from_ne_bytes([bytes[0], bytes[1]]), 9);
        assert_eq!(&bytes[9..], [0, 0, 0]);
    }

    #[test]
    fn the_family_id_is_found_behind_other_attributes() {
        let mut body = vec![1, 2, 0, 0];
        body.extend(attribute(CTRL_ATTR_FAMILY_NAME, b"ethtool\0"));
        body.extend(attribute(CTRL_ATTR_FAMILY_ID, &21_u16.to_ne_bytes()));
        assert_eq!(family_id(&body), Some(21));
        assert_eq!(family_id(&body[..8]), None);
    }

    #[test]
    fn a_cut_or_lying_message_is_no_message() {
        let whole = message(3, 4, b"1234");
        assert_eq!(
            split(&whole),
            Some((3, &[4, 1, 0, 0, b'1', b'2', b'3', b'4'][..], &[][..]))
        );
        assert_eq!(split(&whole[..10]), None);
    }
}
