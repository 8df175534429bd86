//! Which formats a bridge exports and how exact each is; what all bridges of a
//! node export together. Where it is known from is the identity sources'
//! business, what follows for a record is `normalise::primary`'s.

/// The formats that are in force on one bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Formats {
    /// NetFlow, which OVS never samples.
    pub net_flow: Option<NetFlow>,
    /// sFlow: one packet in so many.
    pub s_flow: Option<u32>,
    /// IPFIX.
    pub ipfix: Option<Ipfix>,
}

/// NetFlow of one bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetFlow {
    /// Seven bits of the engine id stand above nine of the port number
    /// (`NetFlow.add_id_to_interface`).
    pub id_in_interfaces: bool,
    /// Seconds after which OVS reports a flow that goes on.
    pub active_timeout: u32,
}

impl NetFlow {
    /// Seconds that OVS takes when `active_timeout` is not above 0
    /// (`NF_ACTIVE_TIMEOUT_DEFAULT`).
    const DEFAULT_TIMEOUT: u32 = 600;

    /// The setting of these two columns.
    pub fn new(id_in_interfaces: bool, active_timeout: Option<i64>) -> Self {
        let seconds = active_timeout
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n != 0);
        Self {
            id_in_interfaces,
            active_timeout: seconds.unwrap_or(Self::DEFAULT_TIMEOUT),
        }
    }
}

/// IPFIX of one bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipfix {
    /// One packet in so many.
    pub sampling: u32,
    /// Whether packets are sampled where they enter.
    pub ingress: bool,
    /// Whether packets are sampled where they leave.
    pub egress: bool,
}

/// What the bridges of one node export together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeExports {
    /// How many bridges export something.
    pub bridges: usize,
    /// The most exact of each format.
    pub formats: Formats,
}

impl NodeExports {
    /// Whether packets of each kind are seen where they enter.
    pub fn sees_all_entries(&self) -> bool {
        self.formats.ipfix.is_some_and(|ipfix| ipfix.ingress) || self.formats.s_flow.is_some()
    }

    /// Takes one bridge in.
    pub fn add(&mut self, bridge: Formats) {
        self.bridges += usize::from(bridge != Formats::default());
        let formats = &mut self.formats;
        formats.net_flow = formats.net_flow.or(bridge.net_flow);
        formats.s_flow = formats.s_flow.into_iter().chain(bridge.s_flow).min();
        formats.ipfix = match (formats.ipfix, bridge.ipfix) {
            (Some(one), Some(other)) => Some(Ipfix {
                sampling: one.sampling.min(other.sampling),
                ingress: one.ingress || other.ingress,
                egress: one.egress || other.egress,
            }),
            (one, other) => one.or(other),
        };
    }
}
