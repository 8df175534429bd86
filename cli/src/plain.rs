//! The forms of short lists: `weir fields`, `weir values`, `weir status`.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::effect::refuse_without_effect;

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Plain {
    /// For people.
    Table,
    /// One object.
    Json,
    /// The name alone, a line each.
    Name,
}

/// The options that say how a list looks.
#[derive(Debug, Clone, Args)]
pub struct PlainArgs {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Plain::Table)]
    output: Plain,
    /// Leave out the line of names
    #[arg(long)]
    pub no_headers: bool,
}

impl PlainArgs {
    /// The form that is asked for.
    ///
    /// # Errors
    /// There is no line of names to leave out.
    pub fn form(&self) -> Result<Plain> {
        let headers = [("--no-headers", self.no_headers && self.output != Plain::Table)];
        refuse_without_effect(&headers, "on a form of output that has none")?;
        Ok(self.output)
    }
}
