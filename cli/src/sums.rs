//! What is said of groups of flows: the options that `weir flows`, `weir top` and
//! `weir query` share, and the question that follows from them.

use anyhow::{Context, Result};
use clap::Args;
use clap_complete::ArgValueCompleter;
use weir_collector::api::params::MOST_GROUPS;
use weir_query::{Bucket, Compare, Cover, Measure, Question, Zone};

use crate::completion;
use crate::effect::Given;
use crate::fields::parse_field;
use crate::flows::FlowSelection;
use crate::time::TimeArgs;

/// Groups that are shown when nobody says how many.
const SOME_GROUPS: usize = 20;

/// What is summed, and how.
#[derive(Debug, Args)]
pub struct Sums {
    /// Fields to group by, with commas in between; of an address also a prefix: addr/24, or
    /// addr/24/64 of IPv4 and IPv6
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', value_parser = parse_field,
          add = ArgValueCompleter::new(completion::fields))]
    pub group_by: Vec<String>,
    /// What to say of each group, with commas in between: sums such as bytes, and
    /// max_byte_rate, first_seen, last_seen, share, p95_bytes, avg_duration,
    /// distinct_dst_addr and their like [default: bytes,packets,flows]
    #[arg(long, value_name = "MEASURES", value_delimiter = ',', add = ArgValueCompleter::new(completion::measures))]
    measures: Vec<Measure>,
    /// What to order by, the largest first [default: bytes]
    #[arg(long, value_name = "MEASURE", aliases = ["sort", "sort-by", "order-by"], add = ArgValueCompleter::new(completion::measures))]
    by: Option<Measure>,
    /// Groups to show [default: 20; beside --cover as many as there may be]
    #[arg(long, value_name = "NUMBER", value_parser = parse_top)]
    top: Option<usize>,
    /// As few groups as have this part of all together (0.99, 99%)
    #[arg(long, value_name = "PART")]
    cover: Option<Cover>,
    /// A row for each so long a time (1m, 1h), day (1d) or week from Monday on (1w)
    #[arg(long, value_name = "TIME")]
    bucket: Option<Bucket>,
    /// The time zone in which days and weeks begin [default: that of --utc, of $TZ or of
    /// this host]
    #[arg(long, value_name = "NAME")]
    zone: Option<Zone>,
    /// Compare with an earlier time as long: previous, or how much earlier (1h, 1d, 1w)
    #[arg(long, value_name = "TIME")]
    compare: Option<Compare>,
    /// Join both directions of a conversation
    #[arg(long)]
    conversation: bool,
}

fn parse_top(text: &str) -> Result<usize, String> {
    let top = text.parse().ok().filter(|top| (1..=MOST_GROUPS).contains(top));
    top.ok_or_else(|| format!("write a number from 1 to {MOST_GROUPS}"))
}

impl Sums {
    /// The question about these flows.
    ///
    /// # Errors
    /// A time does not exist, or the time zone has no name.
    pub fn question(&self, selection: &FlowSelection) -> Result<Question> {
        let (since, until) = selection.time.range()?;
        Ok(Question {
            filter: selection.filter(),
            since,
            until,
            group_by: self.group_by.clone(),
            measures: self.measures.clone(),
            by: self.by.unwrap_or_default(),
            top: Some(self.top.unwrap_or(match self.cover {
                Some(_) => MOST_GROUPS,
                None => SOME_GROUPS,
            })),
            cover: self.cover,
            bucket: self.bucket,
            zone: self.zone(&selection.time)?,
            compare: self.compare,
            conversation: self.conversation,
            all_observations: selection.all_observations,
            raw_only: false,
        })
    }

    /// The zone in which days and weeks begin.
    fn zone(&self, time: &TimeArgs) -> Result<Option<Zone>> {
        let bucket = match self.bucket {
            Some(bucket @ (Bucket::Days(_) | Bucket::Weeks(_))) if self.zone.is_none() => bucket,
            _ => return Ok(self.zone.clone()),
        };
        let zone = time.zone();
        let of_environment = std::env::var("TZ").ok().filter(|_| !time.utc);
        let name = match zone.iana_name() {
            // A host that says nothing of it shows times in UTC.
            _ if zone.is_unknown() => "UTC",
            Some(name) => name,
            None => of_environment.as_deref().with_context(|| {
                format!(
                    "--bucket {bucket}: this host's time zone has no name: say --zone Europe/Berlin, or --utc"
                )
            })?,
        };
        Ok(Some(name.parse()?))
    }

    /// Sums are wanted, not records.
    pub fn are_wanted(&self) -> bool {
        !self.group_by.is_empty() || self.bucket.is_some()
    }

    /// The options that do nothing unless sums are wanted.
    pub fn given(&self) -> [Given; 7] {
        [
            ("--cover", self.cover.is_some()),
            ("--zone", self.zone.is_some()),
            ("--compare", self.compare.is_some()),
            ("--measures", !self.measures.is_empty()),
            ("--by", self.by.is_some()),
            ("--top", self.top.is_some()),
            ("--conversation", self.conversation),
        ]
    }
}
