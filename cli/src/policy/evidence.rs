//! Which traffic policies are held against, and whom it is asked of.

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;
use weir_collector::api::answer::{MatrixAnswer, QueryAnswer};
use weir_collector::api::evidence::{Answers, gather, gather_dropped};
use weir_decisions::Traffic;
use weir_policy::edges::EdgeSet;
use weir_query::{MatrixRequest, Question};

use crate::server::Pairs;
use crate::show;
use crate::source::{Source, SourceArgs};
use crate::terminal::patiently;
use crate::time::TimeArgs;

/// Which traffic counts.
#[derive(Debug, Args)]
#[command(mut_arg("since", |since| since
    .default_value("7d")
    .help("Traffic from when on, see weir flows --help; addresses outside of the cluster are known for as long as \
           records are kept")))]
pub struct EvidenceArgs {
    #[command(flatten)]
    pub time: TimeArgs,
    /// Only traffic that fits this filter, in CEL: the source is the client, the destination the server
    #[arg(long, value_name = "CEL", default_value = "", hide_default_value = true)]
    filter: String,
    #[command(flatten)]
    pub source: SourceArgs,
}

impl EvidenceArgs {
    /// Asks for all of it.
    ///
    /// # Errors
    /// The question is wrong, or nobody answers.
    pub async fn gather(&self) -> Result<Traffic> {
        let source = self.source.open().await?;
        let found = gather(&Patient(&source), &self.filter, self.time.range()?).await?;
        show::notes(&found.notes);
        let traffic = found.traffic;
        if traffic.edges.edges().is_empty() {
            bail!("no traffic was recorded in that time; weir matrix --since shows what there is");
        }
        // They go into files that are applied: what is no time is no answer.
        for time in [&traffic.since, &traffic.until] {
            let parsed = time.parse::<Timestamp>();
            parsed.with_context(|| format!("the collector says {time:?} for a time"))?;
        }
        Ok(traffic)
    }

    /// Asks what the switch dropped in that time.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub async fn dropped(&self) -> Result<EdgeSet> {
        let source = self.source.open().await?;
        let (dropped, notes) = gather_dropped(&Patient(&source), &self.filter, self.time.range()?).await?;
        show::notes(&notes);
        Ok(dropped)
    }

    /// The same as parameters of a page.
    ///
    /// # Errors
    /// A time does not exist.
    pub fn pairs(&self) -> Result<Pairs> {
        let (since, until) = self.time.range()?;
        Ok(vec![
            ("filter", self.filter.clone()),
            ("since", since.0.to_string()),
            ("until", until.0.to_string()),
        ])
    }
}

/// Whoever answers, and what is said meanwhile.
pub struct Patient<'a>(pub &'a Source);

impl Answers for Patient<'_> {
    type Error = anyhow::Error;

    async fn matrix(&self, request: &MatrixRequest) -> Result<MatrixAnswer> {
        patiently(self.0.matrix(request)).await
    }

    async fn query(&self, question: &Question) -> Result<QueryAnswer> {
        patiently(self.0.query(question)).await
    }
}
