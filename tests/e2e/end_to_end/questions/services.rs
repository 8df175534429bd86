//! A service that gets another backend: each one's calls, in its time.

use std::ops::RangeInclusive;

use anyhow::Result;
use weir_lab::{Pod, PodSpec, wait_for};

use super::asking::{Asker, Group, ensure_groups, now};
use super::sending::{FEW, send, sum};
use crate::{
    exactness::{
        hosts::{Host, hosts},
        setting::{IPFIX, begin, end},
    },
    identity::pass_time,
    stage::{DEADLINE, Stage},
};

const PORT: u16 = 8090;

/// What went to whom.
struct Calls {
    change: String,
    to_blue: RangeInclusive<u64>,
    to_green: RangeInclusive<u64>,
    past_the_service: RangeInclusive<u64>,
}

pub fn each_backend_of_a_service_is_told(stage: &mut Stage) -> Result<()> {
    let mut backends = Vec::new();
    let outcome = change_backends(stage, &mut backends).and_then(|(asker, calls)| {
        wait_for("each backend's calls", DEADLINE, || {
            told(&asker, &calls).map(Some)
        })
    });
    backends.iter().try_for_each(|pod| stage.lab.remove_pod(pod))?;
    let kube = &stage.kube;
    kube.kubectl(&["delete", "-n", "shop", "service/cart", "endpointslice/cart-lab"])?;
    end(stage)?;
    outcome
}

/// The lab has no proxy of Services: the client calls the backend that one would
/// have chosen.
fn change_backends(stage: &mut Stage, backends: &mut Vec<Pod>) -> Result<(Asker, Calls)> {
    let [client, ..] = hosts(stage)?;
    let mut add = |stage: &mut Stage, node: &str, pod: &str, workload: &str| {
        let spec = PodSpec::new(node, "shop", pod).workload(workload);
        let pod = stage.lab.add_pod(spec.service("cart").port(PORT))?;
        let host = Host::of("cart", &pod);
        backends.push(pod);
        Ok::<Host, anyhow::Error>(host)
    };
    let blue = add(stage, "node-b", "cart-blue-1", "cart-blue")?;
    begin(stage, &[IPFIX], "br-int", 1)?;
    let asker = Asker::from_now(stage)?;
    let to_blue = send(&client, &blue, blue.at(PORT), 80_000)?;
    pass_time()?;
    let change = now()?;
    // The selector and the EndpointSlice of the Service become green's.
    let green = add(stage, "node-a", "cart-green-1", "cart-green")?;
    pass_time()?;
    let calls = Calls {
        change,
        to_blue,
        to_green: send(&client, &green, green.at(PORT), 60_000)?,
        past_the_service: send(&client, &blue, blue.at(PORT), 40_000)?,
    };
    Ok((asker, calls))
}

fn told(asker: &Asker, calls: &Calls) -> Result<()> {
    let told = |filter: &str, fields: &str, expected: &[Group<'_>]| {
        ensure_groups(&asker.sums(filter, fields)?, fields, expected)
    };
    let (blue, green) = (&calls.to_blue, &calls.to_green);
    let cart = r#"dst_service_name == "cart""#;
    told(
        cart,
        "dst_service_name,server",
        &[(&["cart", "dst"], sum(blue, green))],
    )?;
    let backend = "dst_pod_name,dst_workload_name,dst_service_ns";
    let both: [Group<'_>; 2] = [
        (&["cart-blue-1", "cart-blue", "shop"], blue.clone()),
        (&["cart-green-1", "cart-green", "shop"], green.clone()),
    ];
    told(cart, backend, &both)?;
    let change = format!(r#"timestamp("{}")"#, calls.change);
    told(&format!("{cart} && end < {change}"), backend, &both[..1])?;
    told(&format!("{cart} && start > {change}"), backend, &both[1..])?;
    // Called directly after the change, blue is no backend of the Service any more.
    let past = calls.past_the_service.clone();
    told(
        r#"dst_pod_name == "cart-blue-1""#,
        "dst_pod_name,dst_service_name",
        &[
            (&["cart-blue-1", "cart"], blue.clone()),
            (&["cart-blue-1", ""], past),
        ],
    )?;
    // What the Service answered.
    told(
        r#"service_name == "cart""#,
        "pod_name,dst_pod_name",
        &[
            (&["cart-blue-1", "client-1"], FEW),
            (&["cart-green-1", "client-1"], FEW),
        ],
    )
}
