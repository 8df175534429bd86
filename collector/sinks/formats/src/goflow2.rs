//! The messages of [goflow2](https://github.com/netsampler/goflow2) v2 (`pb/flow.proto` of
//! v2.2.6), so that whatever reads them reads ours: ClickHouse's `Protobuf` tables, Flink and
//! Kafka Streams jobs, people's scripts.
//!
//! What differs from goflow2's own, and why:
//!
//! | field | goflow2 | here |
//! |---|---|---|
//! | `sampling_rate` | as the exporter says; readers multiply by it | 1, since `bytes` and `packets` are scaled already, each exactly once |
//! | `bytes` | as the exporter says: with OVS's NetFlow and sFlow it has Ethernet's header in it | of layer 3 |
//! | `sequence_num` | of the datagram | absent: a record is no part of a datagram any more |
//! | `sampler_address` of sFlow | the agent's | the datagram's source, as of all formats |
//! | `time_flow_start_ns`, `time_flow_end_ns` | nanoseconds | cut to microseconds, as they are stored |
//! | `ip_tos` | eight bits | its six upper ones: the two of ECN are not kept |
//! | fragments, MPLS but for labels, `layer_*`, SRv6, AS paths, `vlan` of sFlow's switch | where the format has them | absent |
//!
//! Who stands on the sides follows in fields of its own from 1000 on, which readers that do
//! not know them skip.

mod json;
mod message;
#[cfg(test)]
mod tests;

pub use json::write_json;
pub use message::{FlowMessage, FlowType};
