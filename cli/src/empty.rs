//! Why there is nothing to show. It is said on standard error, and costs nothing
//! when there is something.

use anyhow::Result;
use jiff::Timestamp;
use weir_collector::api::status::StoreAnswer;
use weir_query::{Question, Since, Until};

use crate::source::Source;
use crate::terminal::say;
use crate::zone::TimeStyle;

/// Says why nothing was found, as far as it can be told.
pub async fn explain(source: &Source, filter: &str, since: Since, until: Until, times: &TimeStyle) {
    let why = find_out(source, filter, since, until, times).await;
    // The answer itself was right: that the reason is unknown is no failure.
    say(&why.unwrap_or_else(|_| "nothing was found".to_owned()));
}

async fn find_out(
    source: &Source,
    filter: &str,
    since: Since,
    until: Until,
    times: &TimeStyle,
) -> Result<String> {
    let now = Timestamp::now();
    let range = [since.0.at(now), until.0.at(now)].map(|us| Timestamp::from_microsecond(us).ok());
    let everything = Question {
        since,
        until,
        ..Question::default()
    };
    let flows = source
        .query(&everything)
        .await?
        .totals
        .0
        .get("flows")
        .and_then(|flows| flows.as_u64());
    // Who sees some namespaces alone is not told what is stored.
    let store = match source.status().await {
        Ok(status) => status.store,
        Err(_) if flows.is_some_and(|flows| flows > 0) => None,
        Err(error) => return Err(error),
    };
    Ok(reason(flows.unwrap_or(0), filter, range, store.as_ref(), times))
}

fn reason(
    flows: u64,
    filter: &str,
    [since, until]: [Option<Timestamp>; 2],
    store: Option<&StoreAnswer>,
    times: &TimeStyle,
) -> String {
    if since >= until {
        return "nothing was found: --since is not before --until".to_owned();
    }
    if flows > 0 && !filter.is_empty() {
        let there_are = format!("nothing was found: there are {flows} flows in that time");
        let unfilled = weir_query::compile(filter).map_or_else(|_| Vec::new(), |filter| filter.unfilled());
        return match unfilled.as_slice() {
            [] => format!("{there_are}, and none fits the filter: {filter}"),
            fields => format!("{there_are}, but nothing fills {} yet", fields.join(", ")),
        };
    }
    let tiers = store.map_or(&[][..], |store| &store.tiers);
    let oldest = tiers.iter().filter_map(|tier| tier.oldest).min();
    let newest = tiers.iter().filter_map(|tier| tier.newest).max();
    let in_memory = store.is_some_and(|store| store.memory_rows > 0);
    let (Some(oldest), Some(newest)) = (oldest, newest) else {
        return match in_memory {
            false => "nothing was found: nothing is stored yet; does anybody export to this collector?",
            true => "nothing was found: nothing arrived in that time",
        }
        .to_owned();
    };
    let [from, to] = [oldest, newest].map(|at| times.head(&times.show_at(at)));
    if until.is_some_and(|until| until <= oldest) {
        return format!("nothing was found: what was before {from} has expired or was never stored");
    }
    if since.is_some_and(|since| since > newest) && !in_memory {
        return format!("nothing was found: nothing arrived in that time; the newest file ends at {to}");
    }
    format!("nothing was found: nothing arrived in that time; there is data from {from} to {to}")
}

#[cfg(test)]
mod tests {
    use weir_collector::api::status::TierAnswer;

    use super::*;

    fn at(text: &str) -> Option<Timestamp> {
        Some(format!("2026-01-31T{text}:00Z").parse().unwrap())
    }

    fn store(oldest: Option<Timestamp>, newest: Option<Timestamp>) -> StoreAnswer {
        let tier = TierAnswer {
            tier: "raw".to_owned(),
            segments: 1,
            rows: u64::from(oldest.is_some()),
            bytes: 1,
            oldest,
            newest,
        };
        StoreAnswer {
            memory_rows: 0,
            troubles: Vec::new(),
            tiers: vec![tier],
            unreadable: Vec::new(),
            disk: None,
            readers: Vec::new(),
        }
    }

    #[test]
    fn the_reason_is_the_filter_the_time_or_that_there_is_nothing() {
        let full = store(at("10:00"), at("12:00"));
        let zone = jiff::tz::TimeZone::posix("CET-1").unwrap();
        let times = TimeStyle::new(zone, Timestamp::UNIX_EPOCH, None);
        let why = |flows, filter, since, until, store| {
            reason(flows, filter, [at(since), at(until)], Some(store), &times)
        };
        assert!(
            why(7, "ns == \"x\"", "11:00", "12:00", &full).contains("7 flows in that time, and none fits")
        );
        let of_nothing = why(
            7,
            "dst_domain == \"a\" || process == \"x\"",
            "11:00",
            "12:00",
            &full,
        );
        assert!(
            of_nothing.contains("nothing fills dst_domain, process yet"),
            "{of_nothing}"
        );
        assert!(why(0, "", "08:00", "09:00", &full).contains("2026-01-31 11:00:00.000 (CET) has expired"));
        assert!(why(0, "", "13:00", "14:00", &full).contains("the newest file ends"));
        assert!(why(0, "", "12:00", "11:00", &full).contains("--since"));
        assert!(why(0, "", "11:00", "12:00", &store(None, None)).contains("does anybody export"));
    }
}
