//! An address that changes hands while it is talked to, and talks: what is told of
//! it is told of who had it then.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{Pod, PodSpec, wait_for, wait_until};

use super::asking::{Asker, Group, ensure_groups, now};
use super::sending::send;
use crate::{
    exactness::{
        hosts::{Host, hosts},
        setting::{IPFIX, begin, end},
    },
    identity::pass_time,
    stage::{DEADLINE, Stage},
};

const PORT: u16 = 7200;
const PAYLOAD: usize = 100;
const IP_AND_UDP: u64 = 20 + 8;
const BETWEEN_DATAGRAMS: Duration = Duration::from_millis(20);
/// Datagrams that each holder gets at least.
const ENOUGH: u64 = 50;

/// Whose time it is: the first holder's, nobody's for sure, the second's.
const FIRST: usize = 0;
const NEITHER: usize = 1;
const SECOND: usize = 2;

/// Datagrams that go to the address all the time, counted by whose time it is.
#[derive(Default)]
struct Stream {
    phase: AtomicUsize,
    sent: [AtomicU64; 3],
    ended: AtomicBool,
}

impl Stream {
    fn run(&self, socket: &UdpSocket, destination: SocketAddr) -> Result<()> {
        while !self.ended.load(Relaxed) {
            let phase = self.phase.load(Relaxed);
            socket.send_to(&[b'h'; PAYLOAD], destination)?;
            self.sent[phase].fetch_add(1, Relaxed);
            thread::sleep(BETWEEN_DATAGRAMS);
        }
        Ok(())
    }

    fn begin(&self, phase: usize) {
        self.phase.store(phase, Relaxed);
    }

    fn wait_enough(&self, phase: usize) -> Result<()> {
        wait_until("datagrams to be sent", DEADLINE, || {
            Ok(self.sent[phase].load(Relaxed) >= ENOUGH)
        })
    }

    /// Octets that a holder has at least, and at most.
    fn of(&self, phase: usize) -> RangeInclusive<u64> {
        let sent = |phase: usize| self.sent[phase].load(Relaxed) * (PAYLOAD as u64 + IP_AND_UDP);
        sent(phase)..=sent(phase) + sent(NEITHER)
    }

    fn octets(&self) -> u64 {
        [FIRST, NEITHER, SECOND]
            .map(|phase| self.of(phase).start().to_owned())
            .iter()
            .sum()
    }
}

/// What became of the address.
struct Story {
    address: IpAddr,
    handover: String,
    by_first: RangeInclusive<u64>,
    by_second: RangeInclusive<u64>,
}

pub fn each_holder_of_an_address_is_told(stage: &mut Stage) -> Result<()> {
    let hosts = hosts(stage)?;
    let first = stage
        .lab
        .add_pod(PodSpec::new("node-a", "shop", "holder-1").workload("one"))?;
    let client = &hosts[0];
    // Known for good, so that datagrams leave the client when nobody answers.
    let neighbour = format!(
        "neigh replace {} lladdr {} dev eth0 nud permanent",
        first.ip(),
        first.mac()
    );
    client.netns.ip(&neighbour)?;
    begin(stage, &[IPFIX], "br-int", 1)?;
    let asker = Asker::from_now(stage)?;
    pass_time()?;

    let stream = Stream::default();
    let socket = client
        .netns
        .within(|| UdpSocket::bind("0.0.0.0:0").context("bind"))?;
    let destination = SocketAddr::new(first.ip(), PORT);
    let story = thread::scope(|scope| {
        let sender = scope.spawn(|| stream.run(&socket, destination));
        let story = change_hands(stage, &hosts, &first, &stream);
        stream.ended.store(true, Relaxed);
        sender.join().expect("it does not panic").and(story)
    })?;
    wait_for("what each holder got and sent", DEADLINE, || {
        gets(&asker, &story, &stream)?;
        sends(&asker, &story).map(Some)
    })?;
    let forget = format!("neigh delete {} dev eth0", story.address);
    client.netns.ip(&forget)?;
    let second = stage.lab.pod("shop", "holder-2")?;
    stage.lab.remove_pod(&second)?;
    end(stage)
}

fn change_hands(stage: &mut Stage, hosts: &[Host; 4], first: &Pod, stream: &Stream) -> Result<Story> {
    let [_, _, web, _] = hosts;
    let sends = |pod: &Pod, bytes| send(&Host::of("holder", pod), web, web.at(8080), bytes);
    let by_first = sends(first, 80_000)?;
    stream.wait_enough(FIRST)?;
    stream.begin(NEITHER);
    settle()?;
    stage.lab.remove_pod(first)?;
    pass_time()?;
    let handover = now()?;
    let second = stage
        .lab
        .add_pod(PodSpec::new("node-a", "shop", "holder-2").workload("two"))?;
    ensure!(first.ip() == second.ip(), "{} and {}", first.ip(), second.ip());
    settle()?;
    stream.begin(SECOND);
    stream.wait_enough(SECOND)?;
    Ok(Story {
        address: first.ip(),
        handover,
        by_first,
        by_second: sends(&second, 60_000)?,
    })
}

/// Longer than a record lasts, and the tolerance of clocks on top.
fn settle() -> Result<()> {
    pass_time()?;
    pass_time()
}

/// Datagrams to the address: each holder's own, and nobody's in between.
fn gets(asker: &Asker, story: &Story, stream: &Stream) -> Result<()> {
    let filter = format!(r#"dst_addr == "{}" && dst_port == {PORT}"#, story.address);
    let fields = "pod_name,dst_pod_name,dst_workload_name";
    let rows = asker.sums(&filter, fields)?;
    let bytes = |rows: &[Value]| rows.iter().filter_map(|row| row["bytes"].as_u64()).sum::<u64>();
    let octets = stream.octets();
    ensure!(bytes(&rows) == octets, "{octets} octets were sent: {rows:?}");
    let (nobody, holders): (Vec<Value>, Vec<Value>) =
        rows.into_iter().partition(|row| row["dst_pod_name"] == "");
    ensure!(
        !nobody.is_empty() && nobody.iter().all(|row| row["dst_workload_name"] == ""),
        "who had it in between? {nobody:?}"
    );
    let [one, two] = [
        (["client-1", "holder-1", "one"], stream.of(FIRST)),
        (["client-1", "holder-2", "two"], stream.of(SECOND)),
    ];
    ensure_groups(
        &holders,
        fields,
        &[(&one.0, one.1.clone()), (&two.0, two.1.clone())],
    )?;
    // By name, and by time.
    for (name, (group, octets)) in [("holder-1", &one), ("holder-2", &two)] {
        let filter = format!(r#"dst_pod_name == "{name}" && dst_port == {PORT}"#);
        ensure_groups(&asker.sums(&filter, fields)?, fields, &[(group, octets.clone())])?;
    }
    for (time, (group, octets)) in [("end <", &one), ("start >", &two)] {
        let filter = format!(
            r#"{filter} && dst_pod_name != "" && {time} timestamp("{}")"#,
            story.handover
        );
        ensure_groups(&asker.sums(&filter, fields)?, fields, &[(group, octets.clone())])?;
    }
    Ok(())
}

/// Connections from the address.
fn sends(asker: &Asker, story: &Story) -> Result<()> {
    let fields = "pod_name,workload_name,dst_pod_name";
    let filter = format!(r#"addr == "{}" && dst_port == 8080"#, story.address);
    let one: Group<'_> = (&["holder-1", "one", "web-1"], story.by_first.clone());
    let two: Group<'_> = (&["holder-2", "two", "web-1"], story.by_second.clone());
    let told = |asker: &Asker, filter: &str, expected: &[Group<'_>]| {
        ensure_groups(&asker.sums(filter, fields)?, fields, expected)
    };
    told(asker, &filter, &[one.clone(), two.clone()])?;
    for (name, group) in [("holder-1", &one), ("holder-2", &two)] {
        let filter = format!(r#"pod_name == "{name}" && dst_port == 8080"#);
        told(asker, &filter, std::slice::from_ref(group))?;
    }
    // By when the records arrived.
    told(&asker.until(&story.handover), &filter, &[one])?;
    told(&asker.since(&story.handover), &filter, &[two])
}
