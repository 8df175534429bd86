//! The options of the store; `weir-collector` and `weir up` share them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use weir_query::span;
use weir_store::{Retention, Settings, Tier};

/// Where records are kept, and how long.
#[derive(Debug, Clone, Default, Args)]
pub struct StoreArgs {
    /// Directory to keep records in; without it they are not kept, and the API and
    /// `weir flows` have nothing to tell
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// How long records are kept [default: 7d]
    #[arg(long, value_name = "TIME", requires = "data_dir", value_parser = parse_age)]
    pub raw_retention: Option<Duration>,

    /// Octets that records may take; the oldest go first [default: 50GiB]
    #[arg(long, value_name = "SIZE", requires = "data_dir", value_parser = parse_size)]
    pub raw_bytes: Option<u64>,

    /// Octets of the disk that stay free: when there are fewer, the oldest records
    /// expire before their time; 0: none do [default: 1GiB, at most a twentieth of the disk]
    #[arg(long, value_name = "SIZE", requires = "data_dir", value_parser = parse_size_or_none)]
    pub min_free: Option<u64>,

    /// How long sums by minute are kept [default: 30d]
    #[arg(long, value_name = "TIME", requires = "data_dir", value_parser = parse_age)]
    pub minute_retention: Option<Duration>,

    /// Octets that sums by minute may take [default: 10GiB]
    #[arg(long, value_name = "SIZE", requires = "data_dir", value_parser = parse_size)]
    pub minute_bytes: Option<u64>,

    /// How long sums by hour are kept [default: 365d]
    #[arg(long, value_name = "TIME", requires = "data_dir", value_parser = parse_age)]
    pub hour_retention: Option<Duration>,

    /// Octets that sums by hour may take [default: 10GiB]
    #[arg(long, value_name = "SIZE", requires = "data_dir", value_parser = parse_size)]
    pub hour_bytes: Option<u64>,

    /// How long it is kept who called whom, by hour [default: 400d]
    #[arg(long, value_name = "TIME", requires = "data_dir", value_parser = parse_age)]
    pub edges_retention: Option<Duration>,

    /// Octets that it may take who called whom [default: 10GiB]
    #[arg(long, value_name = "SIZE", requires = "data_dir", value_parser = parse_size)]
    pub edges_bytes: Option<u64>,
}

impl StoreArgs {
    /// What the store is told, if there is one.
    pub fn settings(&self) -> Option<Settings> {
        let mut settings = Settings::new(self.data_dir.clone()?);
        settings.min_free = self.min_free;
        let asked = [
            (Tier::Raw, self.raw_retention, self.raw_bytes),
            (Tier::Minute, self.minute_retention, self.minute_bytes),
            (Tier::Hour, self.hour_retention, self.hour_bytes),
            (Tier::Edges, self.edges_retention, self.edges_bytes),
        ];
        for (tier, age, bytes) in asked {
            let usual = settings.retention[tier as usize];
            settings.retention[tier as usize] = Retention {
                age: age.or(usual.age),
                bytes: bytes.or(usual.bytes),
            };
        }
        Some(settings)
    }
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let age = span::parse_duration(text).filter(|age| !age.is_zero());
    age.ok_or_else(|| format!("{text:?} is no time span such as 12h, 7d or 4w"))
}

fn parse_size_or_none(text: &str) -> Result<u64, String> {
    span::parse_size(text).ok_or_else(|| format!("{text:?} is no size such as 500MB, 50GiB or 0"))
}

pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let size = span::parse_size(text).filter(|size| *size > 0);
    size.ok_or_else(|| format!("{text:?} is no size such as 500MB or 50GiB"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        store: StoreArgs,
    }

    fn parse(line: &str) -> Result<StoreArgs, clap::Error> {
        Line::try_parse_from(std::iter::once("x").chain(line.split_whitespace())).map(|line| line.store)
    }

    #[test]
    fn what_is_not_said_stays_as_the_store_has_it() {
        assert!(parse("").unwrap().settings().is_none());
        let line = "--data-dir d --raw-retention 2d --minute-bytes 1MiB --min-free 0 --edges-retention 3d";
        let settings = parse(line).unwrap().settings().unwrap();
        let usual = Settings::new("d");
        let day = Duration::from_hours(24);
        assert_eq!(settings.retention[0].age, Some(2 * day));
        assert_eq!(settings.retention[0].bytes, usual.retention[0].bytes);
        assert_eq!(settings.retention[1].bytes, Some(1 << 20));
        assert_eq!(settings.retention[2], usual.retention[2]);
        let edges = Tier::Edges as usize;
        assert_eq!(settings.retention[edges].age, Some(3 * day));
        assert_eq!(usual.retention[edges].age, Some(400 * day));
        assert_eq!((settings.min_free, usual.min_free), (Some(0), None));
    }

    #[test]
    fn retention_without_a_directory_and_what_is_no_amount_are_refused() {
        for line in [
            "--raw-retention 7d",
            "--data-dir d --raw-retention 7",
            "--data-dir d --raw-retention 0s",
            "--data-dir d --hour-bytes many",
            "--data-dir d --min-free some",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
