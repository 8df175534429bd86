//! Installing: each platform's manifests are valid, pods may be made of them where they are
//! to run, and each part may do what it needs and nothing else.

mod authority;
pub mod command;
pub mod platforms;

use weir_lab::harness::Case;

use crate::stage::Stage;

pub const CASES: &[Case<Stage>] = &[
    Case::new(
        "the API server accepts the manifests of every platform with every component",
        platforms::every_overlay_is_accepted,
    ),
    Case::new(
        "the overlay of OpenShift leaves the Network and users alone",
        platforms::openshift_keeps_its_own,
    ),
    Case::new(
        "pods are admitted by the level of their namespace and the node's by no stricter one",
        platforms::pods_meet_the_level_of_their_namespace,
    ),
    Case::new(
        "metrics and probes are served in both address families, and so is the collector",
        platforms::both_families_are_served,
    ),
    Case::new(
        "each part has the rights that it needs and no others",
        authority::rights_are_minimal,
    ),
    Case::new(
        "who has view or edit in the cluster sees and tunes export, and does not direct it",
        authority::people_have_view_and_edit,
    ),
    Case::new(
        "a node's token writes the report of its own node and of no other",
        authority::a_node_reports_of_itself_alone,
    ),
    Case::new(
        "a token of a node that is gone writes no report of another of its name",
        authority::a_node_of_the_same_name_is_another,
    ),
    Case::new("each right that is given is used", authority::each_right_is_used),
    Case::new(
        "weir install prints what the overlays hold",
        command::install_prints_the_overlays,
    ),
    Case::new(
        "weir install makes what is missing and leaves alone what is there",
        command::install_mends_what_is_missing,
    ),
    Case::new(
        "what weir doctor advises leaves images and others' fields alone",
        command::the_remedy_leaves_images_and_others_fields_alone,
    ),
    Case::new(
        "the gate's image is of the node daemon's registry and version, and mounts that stay are named",
        command::the_gate_comes_from_where_the_node_daemon_does,
    ),
    Case::new(
        "weir doctor judges what may be read and nothing else",
        command::doctor_judges_what_may_be_read,
    ),
    Case::new(
        "weir doctor names what is wrong and what to do",
        command::doctor_names_a_node_and_the_remedy,
    ),
];
