//! What `me` answers: who one is here, what one sees, and how much one may ask.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_query::{EngineStatus, Limits, Scope};

use super::access::Who;
use super::params::MOST_ROWS;
use super::{TAILS, TAILS_OF_ONE, tail, threads};

/// Who asks, what they see, and how much they may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MeAnswer {
    /// Name in Kubernetes; none on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// What it is known by: `loopback`, `api-server` or `token`.
    pub known_by: String,
    /// All flows are seen.
    pub sees_everything: bool,
    /// Those of which flows are seen, of the namespaces that occur in the time asked about;
    /// none when all are.
    pub namespaces: Vec<String>,
    /// Something is stored, so that there is something to ask for.
    pub stores: bool,
    /// The oldest record of each tier.
    pub oldest: Vec<OldestAnswer>,
    /// It is in a cluster, whose export `/api/v1/exports` tells of; collectors of before do not say.
    #[serde(default)]
    #[schema(required = true)]
    pub cluster: bool,
    /// How much may be asked.
    pub limits: LimitsAnswer,
    /// The time here.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Version of the collector.
    pub version: String,
}

/// Since when something is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OldestAnswer {
    /// `raw`, `minute` or `hour`.
    pub tier: String,
    /// The earliest time in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub oldest: Option<Timestamp>,
}

/// How much may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitsAnswer {
    /// Records on a page, and groups in an answer.
    pub rows: usize,
    /// Bytes that the sums and sorts of a query may take.
    pub memory_bytes: usize,
    /// Seconds that a query may take.
    pub query_seconds: u64,
    /// Queries that are worked on at a time for one asker.
    pub queries: usize,
    /// Tails of one asker at a time.
    pub tails: usize,
    /// Seconds after which a tail ends, and can be gone on with.
    pub tail_seconds: u64,
}

impl MeAnswer {
    /// What somebody is told who sees this much.
    pub fn of(
        who: &Who,
        scope: Scope,
        status: Option<&EngineStatus>,
        limits: &Limits,
        cluster: bool,
        now: Timestamp,
    ) -> Self {
        let (known_by, alone) = match who {
            Who::Local => ("loopback", true),
            Who::Passed(_) => ("api-server", false),
            Who::Bearer(_) => ("token", false),
        };
        let tiers = status.map(|status| status.tiers.as_slice()).unwrap_or_default();
        let oldest = tiers.iter().map(|tier| OldestAnswer {
            tier: tier.tier.clone(),
            oldest: tier
                .time
                .and_then(|(oldest, _)| Timestamp::from_microsecond(oldest).ok()),
        });
        Self {
            name: who.person().map(|person| person.name.clone()),
            known_by: known_by.to_owned(),
            sees_everything: scope == Scope::All,
            namespaces: match scope {
                Scope::All => Vec::new(),
                Scope::Namespaces(namespaces) => namespaces,
            },
            stores: status.is_some(),
            oldest: oldest.collect(),
            cluster,
            limits: LimitsAnswer {
                rows: MOST_ROWS,
                memory_bytes: limits.memory,
                query_seconds: limits.timeout.as_secs(),
                queries: if alone {
                    threads::AT_A_TIME
                } else {
                    threads::OF_ONE
                },
                tails: if alone { TAILS } else { TAILS_OF_ONE },
                tail_seconds: tail::LONGEST,
            },
            time: now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
