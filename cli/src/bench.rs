//! `weir bench`: made-up flow records to a collector, at a rate. The datagrams and
//! the sending are `weir_load`'s; this file owns the command line and the report.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use weir_load::{Generator, Pace, Plan, Sender, Sent, Traffic};

/// Arguments of `weir bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The collector, on UDP
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4739")]
    to: SocketAddr,

    /// What to send
    #[arg(long, value_enum, default_value_t = Protocol::OvsIpfix)]
    protocol: Protocol,

    /// Records a second (datagrams, of hostile ones); 0: as fast as possible
    #[arg(long, value_name = "RECORDS", default_value_t = 10_000)]
    rate: u64,

    /// Stop after this time
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,

    /// Stop after this many records, if that is earlier
    #[arg(long, value_name = "RECORDS")]
    count: Option<u64>,

    /// Exporters, each with a source port, templates and sequence numbers of its own
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    exporters: u32,

    /// Different flows of each exporter
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    flows: u32,

    /// Datagrams of one exporter and one length that are handed to the kernel as one
    /// (`UDP_SEGMENT`); on loopback the collector receives them so, too
    #[arg(long, value_name = "DATAGRAMS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    gso: u8,

    /// The same seed makes the same flows
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// IPFIX as Open vSwitch sends it, one record a datagram
    OvsIpfix,
    /// IPFIX, 24 records a datagram
    Ipfix,
    /// NetFlow v9, 24 records a datagram
    Netflow9,
    /// NetFlow v5, 24 records a datagram
    Netflow5,
    /// sFlow v5, 6 flow samples a datagram
    Sflow5,
    /// Template floods, tiny records, fields without octets, strangers, cut datagrams
    Hostile,
}

impl From<Protocol> for Traffic {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::OvsIpfix => Self::OvsIpfix,
            Protocol::Ipfix => Self::Ipfix,
            Protocol::Netflow9 => Self::NetFlow9,
            Protocol::Netflow5 => Self::NetFlow5,
            Protocol::Sflow5 => Self::Sflow5,
            Protocol::Hostile => Self::Hostile,
        }
    }
}

/// Sends, then prints what was sent.
///
/// # Errors
/// There is no way to the collector, or too few sockets.
pub async fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    let to = args.to;
    let sent = tokio::task::spawn_blocking(move || send(&args))
        .await
        .context("sending was cut short")??;
    writeln!(io::stdout(), "{}", report(to, &sent))?;
    Ok(ExitCode::SUCCESS)
}

fn send(args: &BenchArgs) -> anyhow::Result<Sent> {
    ensure!(args.to.port() != 0, "--to needs a port");
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut generator = Generator::new(Plan {
        traffic: args.protocol.into(),
        exporters: args.exporters,
        flows: args.flows,
        seed: args.seed,
        start_secs: u32::try_from(since_epoch.as_secs())?,
    });
    let pace = Pace {
        rate: args.rate,
        duration: Duration::from_secs(args.seconds),
        records: args.count.unwrap_or(u64::MAX),
    };
    let mut sender = Sender::open(args.to, args.exporters)?;
    if args.gso > 1 {
        generator = generator.in_trains(args.gso.into());
        sender = sender.in_trains(args.gso.into());
    }
    Ok(sender.send(&mut generator, &pace)?)
}

fn report(to: SocketAddr, sent: &Sent) -> String {
    let seconds = sent.elapsed.as_secs_f64();
    let a_second = if seconds > 0.0 {
        sent.records as f64 / seconds
    } else {
        0.0
    };
    let mut text = format!(
        "sent to {to} in {seconds:.2} s: {} records ({a_second:.0} a second) in {} datagrams, {} octets; \
         {} more datagrams with templates",
        sent.records,
        sent.datagrams - sent.templates,
        sent.bytes,
        sent.templates
    );
    if sent.refused > 0 {
        text.push_str(&format!("\nrefused {} times: nobody listens there", sent.refused));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn parse(line: &str) -> BenchArgs {
        Line::try_parse_from(std::iter::once("bench").chain(line.split_whitespace()))
            .unwrap()
            .args
    }

    #[test]
    fn without_arguments_it_is_short_and_stays_on_this_host() {
        let args = parse("");
        assert!(args.to.ip().is_loopback());
        assert_eq!((args.seconds, args.rate), (10, 10_000));
    }

    #[test]
    fn what_it_reports_is_what_arrives() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = receiver.local_addr().unwrap();
        let args = parse(&format!(
            "--to {to} --protocol netflow5 --count 240 --exporters 2"
        ));
        let sent = send(&args).unwrap();
        let mut datagram = [0; 2048];
        for _ in 0..10 {
            let (octets, from) = receiver.recv_from(&mut datagram).unwrap();
            assert_eq!(octets, 24 + 24 * 48);
            assert!(from.ip().is_loopback());
        }
        assert_eq!((sent.datagrams, sent.records, sent.bytes), (10, 240, 10 * 1176));
        assert!(report(to, &sent).contains("240 records"));
    }

    #[test]
    fn datagrams_that_are_sent_as_one_arrive_one_by_one_where_nobody_asked_for_more() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = receiver.local_addr().unwrap();
        let args = parse(&format!(
            "--to {to} --protocol netflow5 --count 384 --exporters 1 --gso 8"
        ));
        assert_eq!(send(&args).unwrap().datagrams, 16);
        for _ in 0..16 {
            let (octets, _) = receiver.recv_from(&mut [0; 2048]).unwrap();
            assert_eq!(octets, 24 + 24 * 48);
        }
    }

    #[test]
    fn that_nobody_listens_is_said() {
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sent = send(&parse(&format!(
            "--to {nobody} --rate 0 --count 2000 --exporters 1"
        )))
        .unwrap();
        assert!(report(nobody, &sent).contains("nobody listens"));
    }
}
