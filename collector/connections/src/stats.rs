//! What connections count of themselves, for metrics. Not in checkpoints: they begin
//! at nothing with the process.

/// Numbers since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Frames that had been applied before.
    pub repeated_frames: u64,
    /// Records that went into connections, late ones among them.
    pub records: u64,
    /// Connections that began.
    pub opened: u64,
    /// Connections that ended, evicted ones among them.
    pub finished: u64,
    /// Connections that had to go for others.
    pub evicted: u64,
    /// Outputs.
    pub outputs: u64,
    /// Late records that a finished connection took.
    pub late: u64,
    /// Late records that are not primary: what they saw is in no output.
    pub late_unshown: u64,
    /// Finished connections that were forgotten before their time.
    pub forgotten_early: u64,
    /// Connections put out at their end with one side of two.
    pub one_sided: u64,
    /// Connections by a Service's address that became part of the endpoint's.
    pub joined: u64,
    /// Totals that were older than what was known.
    pub stale_totals: u64,
    /// Totals that began again.
    pub counter_resets: u64,
    /// Lines beyond what a connection keeps: they count in its totals, and in no side.
    pub lines_refused: u64,
    /// Totals of more sources than a connection keeps: they count nowhere.
    pub totals_refused: u64,
    /// Totals that came for the first time, and nobody knows what of them was counted
    /// before: only what is added to them counts.
    pub bases_unknown: u64,
    /// Connections that cannot be joined with others, since their client has too many.
    pub joins_refused: u64,
    /// Addresses before translation that were let go, since the endpoint was seen no more.
    pub let_go: u64,
    /// Records that ended after they had arrived.
    pub clock_off: u64,
    /// Records without a time that can be.
    pub times_mended: u64,
    /// Times that the clock of the log was set back.
    pub clock_set_back: u64,
    /// Logs that began in place of the one before.
    pub other_logs: u64,
}
