//! Why there is no answer.

use weir_policy::PolicyKey;
use weir_policy::edges::WorkloadKey;
use weir_policy::generate::GenerateError;
use weir_policy::replay::LabelTarget;

/// Why there is no answer: what is asked about is not there, or must not be told.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    /// No node of that name.
    #[error("there is no node {0}")]
    NoNode(String),
    /// No pod of that name.
    #[error("there is no pod {0}/{1}")]
    NoPod(String, String),
    /// A workload without pods.
    #[error("no pod in {} is of {} {}", .0.namespace, .0.kind, .0.name)]
    NoPodOf(WorkloadKey),
    /// Nobody has an address.
    #[error("{0} has no address now")]
    NoAddress(String),
    /// No namespace of that name.
    #[error("there is no namespace {0}")]
    NoNamespace(String),
    /// A namespace without pods.
    #[error("there is no pod in namespace {0}")]
    NoPodIn(String),
    /// The ends have addresses of different families.
    #[error("one end has only IPv4 addresses and the other only IPv6 ones")]
    Families,
    /// Too many pairs of addresses.
    #[error("these are {0} pairs of addresses, more than {1}: name pods")]
    TooManyPairs(usize, usize),
    /// A pod of a namespace whose pods whoever asks may not get.
    #[error("you may not get pods in {0}: name that end by its address")]
    ForeignPods(String),
    /// Neither end is somebody whose pods whoever asks may get.
    #[error("one of both ends must be in a namespace whose pods you may get, and {0} and {1} are not")]
    NobodysOwn(String, String),
    /// A policy that is to be deleted is not there.
    #[error("{0}: there is no such {kind}", kind = .0.kind.name())]
    NoPolicy(PolicyKey),
    /// Nobody is there whose label is to be changed.
    #[error("there is no {}", crate::check::target(.0))]
    NoTarget(LabelTarget),
    /// A change that changes nothing.
    #[error("nothing is changed")]
    NoChange,
    /// No policies come out.
    #[error("no policy is given: {0}")]
    Generate(#[from] GenerateError),
}
