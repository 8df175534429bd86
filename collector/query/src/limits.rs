//! What one question may cost, and whose flows it may see.

use std::time::Duration;

/// What one question may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take.
    pub timeout: Duration,
    /// How many groups it may hold before the top ones are picked.
    pub max_groups: usize,
    /// How many rows it may answer with.
    pub max_rows: usize,
    /// How many bytes of memory its sums and sorts may take.
    pub memory: usize,
    /// How many threads work on it.
    pub threads: usize,
    /// Whose flows it sees.
    pub scope: Scope,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            max_groups: 4_000_000,
            max_rows: 1_000_000,
            memory: 1 << 30,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            scope: Scope::All,
        }
    }
}

/// Whose flows a question sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// Everybody's.
    #[default]
    All,
    /// Those with one of these namespaces at either end.
    Namespaces(Vec<String>),
}
