//! How much a decoder keeps.

/// Bounds on what a decoder keeps and on what one datagram can make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Pairs of transport session and observation domain. When there are more, an
    /// eighth to a quarter is forgotten: strangers, then those silent longest. A sender
    /// ([`crate::SenderNetwork`]) that has more than there is room left for loses some of
    /// its own instead.
    pub scopes: usize,
    /// Templates in each of them; more are refused.
    pub templates_per_scope: usize,
    /// Fields in a template; larger ones are refused.
    pub fields_per_template: usize,
    /// Octets of different template definitions over all scopes; more are refused. A
    /// sender that has told more than there is room left for may tell no new ones.
    pub template_bytes: usize,
    /// Age at which a template that is not repeated is forgotten, ms. Over a stream
    /// templates do not age (RFC 7011 §8.1).
    pub template_age_ms: u64,
    /// Octets of data sets that wait for their template, over all scopes; each set is
    /// counted with 64 more. A sender that has more waiting than there is room left
    /// for gets no more.
    pub held_bytes: usize,
    /// Data sets that wait in each scope.
    pub held_sets_per_scope: usize,
    /// How long a data set waits, ms.
    pub held_age_ms: u64,
    /// Records that one datagram can yield.
    pub records_per_datagram: usize,
    /// Whether data of OVS is read by the templates known in advance until its own
    /// come ([`crate::ovs`]).
    pub assume_ovs: bool,
}

impl Default for Limits {
    /// Room for thousands of OVS exporters with 89 templates of up to 60 fields
    /// each. OVS repeats templates at least every hour, by default every 10 minutes.
    fn default() -> Self {
        Self {
            scopes: 8_192,
            templates_per_scope: 256,
            fields_per_template: 512,
            template_bytes: 4 << 20,
            template_age_ms: 3 * 3_600_000,
            held_bytes: 8 << 20,
            held_sets_per_scope: 4_096,
            held_age_ms: 600_000,
            records_per_datagram: 8_192,
            assume_ovs: true,
        }
    }
}
