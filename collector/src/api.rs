//! The HTTP API, `/api/v1/…`: who may ask, what they ask, how it is answered.
//! What an answer is, is `weir_query`'s.

pub mod access;
mod cache;
mod format;
pub mod problem;
pub mod reviews;

pub use access::{Gate, Sight};
pub use format::Format;
pub use problem::Problem;
