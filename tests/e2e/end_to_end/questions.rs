//! Who talked to whom: the questions of a platform team, asked with the CLI and over
//! the API, of real flows.

use weir_lab::harness::Case;

use crate::stage::Stage;

pub mod aggregated;
pub mod asking;
pub mod balanced;
mod beyond;
mod holders;
mod namespaces;
mod rights;
mod sending;
mod services;

pub const CASES: &[Case<Stage>] = &[
    Case::new(
        "what crosses zones is told by CLI and API to who may see its namespace, and to nobody else",
        rights::cross_zone_traffic_is_told_by_right,
    ),
    Case::new(
        "the API server lets people in and passes them on to the collector, which takes no token of theirs",
        aggregated::the_api_server_leads_to_the_collector,
    ),
    Case::new(
        "who talks to the internet is told by CLI and API, and what the internet sends",
        beyond::the_internet_is_told_from_private_networks,
    ),
    Case::new(
        "an address that changes hands in the middle of traffic is told by CLI and API for each holder",
        holders::each_holder_of_an_address_is_told,
    ),
    Case::new(
        "a service whose backend changes is told by CLI and API with the bytes of each backend",
        services::each_backend_of_a_service_is_told,
    ),
    Case::new(
        "what a service answers through its own address is told once by CLI and API",
        balanced::an_answer_through_a_services_address_is_told_once,
    ),
    Case::new(
        "who talks to a namespace is told by CLI and API, in sums and in records",
        namespaces::who_talks_to_a_namespace_is_told,
    ),
];
