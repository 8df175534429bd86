//! One measurement: a receiver started afresh, a load sent, what it cost and what
//! arrived.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use weir_load::flow::NODES;
use weir_load::{Generator, Pace, Plan, Sender, Sent, Traffic};

use crate::receiver::{Kind, Receiver, Setting};

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    traffic: Traffic,
    exporters: u32,
    rate: u64,
    duration: Duration,
    /// Datagrams of one length that are sent as one.
    train: usize,
}

impl Load {
    pub fn new(traffic: Traffic, exporters: u32, rate: u64, seconds: u64) -> Self {
        Self {
            traffic,
            exporters,
            rate,
            duration: crate::seconds(seconds),
            train: 1,
        }
    }

    pub fn in_trains(self, train: usize) -> Self {
        Self { train, ..self }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    sent: Sent,
    received: u64,
    kernel_drops: u64,
    cpu: Duration,
    /// With all that it did until it ended.
    cpu_to_the_end: Duration,
    /// Octets that weir-collector's store takes in the end.
    pub written_bytes: u64,
    /// Of the receiver at the end of the load.
    pub resident_bytes: u64,
}

impl Outcome {
    pub fn cpu_us_per_record(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.received.max(1) as f64
    }

    /// With the sealing of what was received last.
    pub fn cpu_us_per_record_to_the_end(&self) -> f64 {
        self.cpu_to_the_end.as_secs_f64() * 1e6 / self.received.max(1) as f64
    }

    /// Octets of the store for each record.
    pub fn octets_per_record(&self) -> f64 {
        self.written_bytes as f64 / self.received.max(1) as f64
    }

    /// Records that were sent and not stored; at least the datagrams that the kernel
    /// dropped.
    pub fn lost(&self) -> u64 {
        self.sent
            .records
            .saturating_sub(self.received)
            .max(self.kernel_drops)
    }

    pub fn sent_a_second(&self) -> f64 {
        self.sent.records as f64 / self.sent.elapsed.as_secs_f64()
    }
}

/// Starts the receiver, sends, waits until it has worked everything off, stops it.
pub fn measure(kind: Kind, setting: &Setting, load: &Load) -> anyhow::Result<Outcome> {
    let receiver = Receiver::start(kind, setting)?;
    let start_secs = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() - 60;
    let mut generator = Generator::new(Plan {
        traffic: load.traffic,
        exporters: load.exporters,
        flows: 10_000,
        seed: 1,
        start_secs: u32::try_from(start_secs).context("the year 2106")?,
    });
    let mut sender = Sender::open(receiver.address(), load.exporters)?;
    if load.train > 1 {
        generator = generator.in_trains(load.train);
        sender = sender.in_trains(load.train);
    }
    sender.announce(load.exporters.min(NODES))?;
    let templates = Pace {
        rate: 1,
        duration: Duration::ZERO,
        records: 0,
    };
    sender.send(&mut generator, &templates)?;
    wait_until_idle(&receiver)?;
    let before = receiver.cpu()?;
    let sent = sender.send_records(
        &mut generator,
        &Pace {
            rate: load.rate,
            duration: load.duration,
            records: u64::MAX,
        },
    )?;
    wait_until_idle(&receiver)?;
    let cpu = receiver.cpu()?.saturating_sub(before);
    let (resident_bytes, kernel_drops) = (receiver.resident_bytes()?, receiver.kernel_drops()?);
    let end = receiver.finish()?;
    if end.records < sent.records {
        let (stored, of) = (end.records, sent.records);
        eprintln!("{kind:?}: stored {stored} of {of} records; the kernel dropped {kernel_drops} datagrams");
    }
    Ok(Outcome {
        sent,
        received: end.records,
        kernel_drops,
        cpu,
        cpu_to_the_end: end.cpu.saturating_sub(before),
        written_bytes: end.written_bytes,
        resident_bytes,
    })
}

/// Until its socket is empty and it has used no CPU for a while.
fn wait_until_idle(receiver: &Receiver) -> anyhow::Result<()> {
    let give_up = Instant::now() + crate::seconds(30);
    let mut last = receiver.cpu()?;
    while Instant::now() < give_up {
        std::thread::sleep(Duration::from_millis(300));
        let now = receiver.cpu()?;
        if receiver.queued_bytes()? == 0 && now.saturating_sub(last) <= Duration::from_millis(10) {
            return Ok(());
        }
        last = now;
    }
    anyhow::bail!("the receiver does not come to rest")
}
