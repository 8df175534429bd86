//! IPFIX (RFC 7011) written for other collectors: which elements a layout has, and a session
//! that puts records into messages.
//!
//! | layout | a data record is |
//! |---|---|
//! | [`records`] | one record of a flow, as it is stored |
//!
//! What widely used collectors need, and we keep to: a message has one set (go-ipfix loses the
//! data of a message that has templates as well); values have their element's full length
//! (it ignores the template's); there are no options.

mod layout;
pub mod records;
mod session;
#[cfg(test)]
mod tests;

pub use layout::{Element, Layout};
pub use session::{Session, TEMPLATES_EACH_MESSAGES, TEMPLATES_EACH_SECONDS};
