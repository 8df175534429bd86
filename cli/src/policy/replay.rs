//! What replay, generation and the reports have in common: the traffic, and the cluster that
//! it is held against.

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use weir_decisions::{Traffic, World};

use super::evidence::EvidenceArgs;
use super::source::{ObjectArgs, REPLAY, read_world};
use crate::server::{Pairs, Server};
use crate::terminal;
use crate::zone::TimeStyle;

/// Traffic, and policies.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    pub objects: ObjectArgs,
    #[command(flatten)]
    pub evidence: EvidenceArgs,
}

impl ReplayArgs {
    /// Reads the cluster first: who may not read it learns so before a long question.
    ///
    /// # Errors
    /// Objects or traffic cannot be had.
    pub async fn read(&self) -> Result<(World, Traffic)> {
        let world = read_world(&self.objects, &self.evidence.source, &REPLAY).await?;
        Ok((world, self.evidence.gather().await?))
    }

    /// The collector to ask instead, see [`ObjectArgs::collector`].
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn collector(&self, takes_files: bool) -> Result<Option<Server>> {
        self.objects.collector(&self.evidence.source, takes_files)
    }

    /// What a page about policies and traffic is asked with.
    ///
    /// # Errors
    /// A time does not exist.
    pub fn pairs(&self) -> Result<Pairs> {
        let mut pairs = self.evidence.pairs()?;
        pairs.extend(self.objects.profile_pair());
        Ok(pairs)
    }

    /// How times are shown.
    pub fn times(&self) -> TimeStyle {
        TimeStyle::new(self.evidence.time.zone(), Timestamp::now(), terminal::width())
    }
}

/// A moment in nanoseconds since 1970 as people read it.
pub fn moment(times: &TimeStyle, nanoseconds: u64) -> String {
    let at = Timestamp::from_nanosecond(i128::from(nanoseconds));
    at.map_or_else(|_| "-".to_owned(), |at| times.show_at(at))
}
