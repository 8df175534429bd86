//! The values of OVSDB (RFC 7047 section 3.1) and their JSON notation (section
//! 5.1). What a column may hold is the business of [`crate::schema`].

mod atom;
mod datum;
mod notation;
mod uuid;

pub use atom::{Atom, AtomKind};
pub use datum::Datum;
pub use notation::NotationError;
pub use uuid::{InvalidUuid, Uuid};

#[cfg(test)]
pub(crate) mod tests;
