//! Answers: what becomes of a connection, why, and who says so.

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// Both ends let it pass.
    Allow,
    /// One end does not.
    Deny,
    /// It cannot be said; the reason tells why.
    Unknown,
    /// No policy is about it: multicast, neighbour discovery, other networks.
    NotJudged,
}

impl Answer {
    /// All, in their order.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Deny, Self::Unknown, Self::NotJudged];

    /// The value of the field `policy_verdict`.
    pub fn name(self) -> &'static str {
        match self {
            Answer::Allow => "allow",
            Answer::Deny => "deny",
            Answer::Unknown => "unknown",
            Answer::NotJudged => "",
        }
    }
}

/// Why. Of several that allow, the first of this order is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A rule says so.
    Rule,
    /// A NetworkPolicy selects the pod and none has a rule for it.
    Isolation,
    /// A node reaches its own pods.
    Node,
    /// A pod reaches itself.
    SelfPod,
    /// No policy says anything.
    Default,
    /// The end is a node or on its network.
    Host,
    /// The end is outside of the cluster.
    External,
    /// Unknown: who opened the connection.
    Direction,
    /// Unknown: who had the address.
    Identity,
    /// Unknown: which pod a Service's call went to.
    Backend,
    /// Unknown: policies or labels changed meanwhile.
    Changed,
    /// Unknown: they changed while nobody watched.
    Gap,
    /// Unknown: the API says nothing about this protocol.
    Protocol,
    /// Unknown: whether the address was that of a domain name.
    Domain,
    /// Unknown: which of several of equal rank counts.
    Order,
    /// Unknown: an object that is not evaluated selects an end.
    Foreign,
}

impl Reason {
    /// All, in their order.
    pub const ALL: [Self; 16] = [
        Self::Rule,
        Self::Isolation,
        Self::Node,
        Self::SelfPod,
        Self::Default,
        Self::Host,
        Self::External,
        Self::Direction,
        Self::Identity,
        Self::Backend,
        Self::Changed,
        Self::Gap,
        Self::Protocol,
        Self::Domain,
        Self::Order,
        Self::Foreign,
    ];

    /// The value of the field `policy_reason`.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Rule => "rule",
            Reason::Isolation => "isolation",
            Reason::Node => "node",
            Reason::SelfPod => "self",
            Reason::Default => "default",
            Reason::Host => "host",
            Reason::External => "external",
            Reason::Direction => "direction",
            Reason::Identity => "identity",
            Reason::Backend => "backend",
            Reason::Changed => "changed",
            Reason::Gap => "gap",
            Reason::Protocol => "protocol",
            Reason::Domain => "domain",
            Reason::Order => "order",
            Reason::Foreign => "foreign",
        }
    }
}

/// What is worth a word beside the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Notes {
    /// An `ipBlock` or network decided about a pod's address.
    pub block_hits_pods: bool,
    /// The client is a node: it may stand for somebody whose address it took.
    pub rewritten: bool,
    /// The profile made the difference to what the API says.
    pub profile: bool,
}

impl Notes {
    fn with(self, other: Notes) -> Notes {
        Notes {
            block_hits_pods: self.block_hits_pods || other.block_hits_pods,
            rewritten: self.rewritten || other.rewritten,
            profile: self.profile || other.profile,
        }
    }
}

/// The policy that decided, by its number in the [`crate::Snapshot`], and the rule's index
/// in its direction; without a rule the policy isolates, or is foreign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decider {
    /// For [`crate::Snapshot::policy`].
    pub policy: u32,
    /// `ingress[index]` or `egress[index]`.
    pub rule: Option<u16>,
}

/// The answer of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Side {
    /// The answer.
    pub answer: Answer,
    /// Why.
    pub reason: Reason,
    /// Who says so, if a policy does.
    pub decider: Option<Decider>,
    /// What is worth a word.
    pub notes: Notes,
}

impl Side {
    pub(crate) fn new(answer: Answer, reason: Reason) -> Side {
        Side {
            answer,
            reason,
            decider: None,
            notes: Notes::default(),
        }
    }

    pub(crate) fn by(self, policy: u32, rule: Option<u16>) -> Side {
        Side {
            decider: Some(Decider { policy, rule }),
            ..self
        }
    }

    pub(crate) fn by_profile(mut self) -> Side {
        self.notes.profile = true;
        self
    }
}

/// A side in two words: who decided, and the rest.
pub(crate) type PackedSide = (u32, u32);

/// Nobody decided; or a policy without a rule did.
const NOBODY: u32 = u32::MAX;
const NO_RULE: u16 = u16::MAX;

impl Side {
    /// A rule's index is at most [`crate::policy::LAST_RULE`].
    pub(crate) fn packed(self) -> PackedSide {
        let (policy, rule) = self
            .decider
            .map_or((NOBODY, None), |decider| (decider.policy, decider.rule));
        let Notes {
            block_hits_pods,
            rewritten,
            profile,
        } = self.notes;
        let notes = u32::from(block_hits_pods) | u32::from(rewritten) << 1 | u32::from(profile) << 2;
        let rest = notes << 8 | (self.reason as u32) << 4 | self.answer as u32;
        (policy, rest << 16 | u32::from(rule.unwrap_or(NO_RULE)))
    }

    pub(crate) fn unpacked((policy, rest): PackedSide) -> Side {
        let (rule, rest) = (rest as u16, rest >> 16);
        let is_noted = |bit: u32| rest >> (8 + bit) & 1 == 1;
        let rule = (rule != NO_RULE).then_some(rule);
        Side {
            answer: Answer::ALL[(rest & 3) as usize],
            reason: Reason::ALL[(rest >> 4 & 15) as usize],
            decider: (policy != NOBODY).then_some(Decider { policy, rule }),
            notes: Notes {
                block_hits_pods: is_noted(0),
                rewritten: is_noted(1),
                profile: is_noted(2),
            },
        }
    }
}

/// The answer for a connection, and that of both its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// Both ends together: deny beats unknown beats allow.
    pub answer: Answer,
    /// That of the end that decides; egress where both do.
    pub reason: Reason,
    /// The client's policies.
    pub egress: Side,
    /// The server's policies.
    pub ingress: Side,
    /// Of both ends.
    pub notes: Notes,
}

impl Verdict {
    /// Both ends together.
    pub fn of(egress: Side, ingress: Side) -> Verdict {
        let rank = |side: &Side| match side.answer {
            Answer::Deny => 0,
            Answer::Unknown => 1,
            Answer::Allow => 2,
            Answer::NotJudged => 3,
        };
        let (answer, reason) = match rank(&egress).cmp(&rank(&ingress)) {
            std::cmp::Ordering::Greater => (ingress.answer, ingress.reason),
            std::cmp::Ordering::Equal if egress.answer == Answer::Allow => {
                (Answer::Allow, egress.reason.min(ingress.reason))
            }
            _ => (egress.answer, egress.reason),
        };
        Verdict {
            answer,
            reason,
            egress,
            ingress,
            notes: egress.notes.with(ingress.notes),
        }
    }

    /// Not to be judged.
    pub fn not_judged() -> Verdict {
        let side = Side::new(Answer::NotJudged, Reason::Default);
        Verdict::of(side, side)
    }

    /// Not to be known, for a reason that is about the connection and not its ends.
    pub fn unknown(reason: Reason) -> Verdict {
        let side = Side::new(Answer::Unknown, reason);
        Verdict::of(side, side)
    }

    /// What several readings of one connection say together: their answer where they
    /// agree, else unknown for this reason. No reading at all is unknown too.
    pub fn agreed(readings: impl IntoIterator<Item = Verdict>, reason: Reason) -> Verdict {
        let mut readings = readings.into_iter();
        let Some(first) = readings.next() else {
            return Verdict::unknown(reason);
        };
        match readings.all(|reading| reading.answer == first.answer) {
            true => first,
            false => Verdict::unknown(reason),
        }
    }
}
