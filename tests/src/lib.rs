//! The lab: a small cluster of real parts in private Linux namespaces.
//!
//! Nodes are network namespaces, each with its own ovsdb-server and
//! ovs-vswitchd (userspace datapath); pods are network namespaces behind
//! `br-int`; the API server is a real kube-apiserver on a real etcd. All of it
//! lives in one PID, mount and network namespace and goes away with it, even
//! when the program that raised it is killed with SIGKILL.
//!
//! ```no_run
//! use weir_lab::{Lab, Options, PodSpec, isolated};
//!
//! fn main() -> std::process::ExitCode {
//!     isolated(Options::default().nodes(2), |options| {
//!         let mut lab = Lab::raise(options)?;
//!         let web = lab.add_pod(PodSpec::new("node-b", "shop", "web-1").workload("web").port(8080))?;
//!         let client = lab.add_pod(PodSpec::new("node-a", "shop", "client"))?;
//!         weir_lab::traffic::transfer(&client, &web, 8080, 100_000)?;
//!         println!("{}", lab.node("node-a")?.vsctl(&["find", "netflow"])?);
//!         Ok(std::process::ExitCode::SUCCESS)
//!     })
//! }
//! ```
//!
//! What the lab does not have: a kube-controller-manager (nothing collects
//! garbage by ownerReference, nothing fills Endpoints or finalises a deleted
//! namespace), a scheduler, a kubelet, a kube-proxy (a Service's ClusterIP
//! answers nobody). The OpenFlow rules of `br-int` come from [`flows`], or, with
//! [`Options::ovn`], from a real OVN ([`ovn`]), which has Services, too.

pub mod address;
mod enclosure;
pub mod environment;
pub mod files;
pub mod flows;
pub mod harness;
pub mod kubernetes;
mod lab;
pub mod link;
pub mod localnet;
pub mod netns;
mod node;
mod offload;
mod options;
pub mod ovn;
pub mod pod;
mod ports;
pub mod process;
pub mod product;
pub mod program;
mod publish;
pub mod relay;
pub mod simulated;
mod switch;
pub mod traffic;
mod wait;
mod wiring;

pub use enclosure::isolated;
pub use kubernetes::Kubernetes;
pub use lab::Lab;
pub use netns::Netns;
pub use node::Node;
pub use options::Options;
pub use ovn::Ovn;
pub use pod::{Pod, PodSpec};
pub use process::Process;
pub use switch::Switch;
pub use wait::{wait_for, wait_until};
