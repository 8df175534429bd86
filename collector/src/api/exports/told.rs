//! What somebody is told of the objects about the export, and what they are not told, and why.

use std::sync::Arc;

use weir_exports::Source;

use super::super::problem::Problem;
use super::super::reviews::Readable;
use crate::exports::Part;

/// What somebody is told of one kind of objects.
pub(super) enum Told<T> {
    /// They may not read it; the sentence says which right that needs.
    Hidden(String),
    /// It could not be read, and why.
    Unread(String),
    /// What it is.
    Read(Arc<T>),
}

impl<T> Told<T> {
    /// What was read for who may.
    pub(super) fn of(what: &Readable, part: Part<Arc<T>>) -> Self {
        match part {
            Ok(part) => Self::Read(part),
            Err(why) => Self::Unread(format!("{}: {why}", what.name())),
        }
    }

    /// What a plan cannot do without.
    ///
    /// # Errors
    /// It may not be told, or could not be read.
    pub(super) fn needed(self) -> Result<Arc<T>, Problem> {
        match self {
            Self::Read(part) => Ok(part),
            Self::Hidden(right) => Err(no_plan(&right)),
            Self::Unread(why) => Err(Problem::unavailable(format!(
                "a change cannot be planned now: {why}"
            ))),
        }
    }
}

/// The right that a plan lacks.
pub(super) fn no_plan(right: &str) -> Problem {
    Problem::forbidden(format!(
        "a change is planned from all that it depends on: {right}"
    ))
}

/// What somebody is not told, and why.
#[derive(Default)]
pub(super) struct Missing {
    pub(super) hidden: Vec<String>,
    pub(super) unread: Vec<String>,
}

impl Missing {
    /// A part, if it may be told and could be read.
    pub(super) fn of<T>(&mut self, told: Told<T>) -> Option<Arc<T>> {
        match told {
            Told::Read(part) => return Some(part),
            Told::Hidden(right) => self.hidden.push(right),
            Told::Unread(why) => self.unread.push(why),
        }
        None
    }

    /// The source that counts; where there is none, that is said.
    pub(super) fn of_source(&mut self, told: Told<Option<Source>>) -> Option<Source> {
        let source = self.of(told)?;
        if source.is_none() {
            self.unread.push(
                "there is neither a Network nor a FlowExport named cluster: nobody says what to export"
                    .to_owned(),
            );
        }
        source.as_ref().clone()
    }
}
