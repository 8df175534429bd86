//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use weir_process::jitter::random;
use weir_process::log::LogArgs;

use crate::collector::{CollectorSettings, DeclaredAddress};
use crate::lease::Terms;
use crate::source::{FlowSource, OnSourceDeleted, SourceSettings};

/// Name of the collector's Service in the manifests.
const COLLECTOR: &str = "weir-collector";

/// Turns spec.exportNetworkFlows of the Network or FlowExport "cluster" into one
/// NodeFlowExport a node, and rolls the nodes' status up into its conditions.
#[derive(Debug, Parser)]
#[command(name = "weir-controller", version)]
pub struct Settings {
    /// Namespace of the Lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "weir-system", value_name = "NS")]
    pub namespace: String,
    /// Name of the Lease
    #[arg(long, default_value = "weir-controller", value_name = "NAME")]
    pub lease_name: String,
    /// Another replica may take the Lease when it was not renewed for so long (whole seconds)
    #[arg(long, default_value = "15s", value_parser = parse_duration, value_name = "TIME")]
    pub lease_duration: Duration,
    /// The leader stops writing when it could not renew the Lease for so long
    #[arg(long, default_value = "10s", value_parser = parse_duration, value_name = "TIME")]
    pub renew_deadline: Duration,
    /// Pause between attempts to take or renew the Lease
    #[arg(long, default_value = "2s", value_parser = parse_duration, value_name = "TIME")]
    pub retry_period: Duration,
    /// Name of this replica in the Lease [default: host name, process id and a random number]
    #[arg(long, value_name = "NAME")]
    pub identity: Option<String>,
    /// Write without a Lease; for a single replica only
    #[arg(long)]
    pub no_leader_election: bool,
    /// Resource whose spec.exportNetworkFlows counts
    #[arg(long, default_value = "network", value_name = "KIND")]
    pub source: FlowSource,
    /// What the nodes do when that resource is deleted
    #[arg(long, default_value = "hold", value_name = "WHAT")]
    pub on_source_deleted: OnSourceDeleted,
    /// Namespace of weir-node's pods [default: that of the Lease]
    #[arg(long, value_name = "NS")]
    pub daemon_namespace: Option<String>,
    /// Labels of weir-node's pods; "none": weir-node does not run in pods
    #[arg(
        long,
        default_value = "app.kubernetes.io/name=weir-node",
        value_name = "SELECTOR"
    )]
    pub daemon_pods: String,
    /// Service of Weir's collector, which is asked what it receives from the nodes; "none":
    /// nobody is asked [default: weir-collector in the namespace of the Lease]
    #[arg(long, value_name = "NS/NAME")]
    pub collector: Option<String>,
    /// Address by which nodes reach that collector beside those of its Service; with a port
    /// where others listen at the same address; may be given several times
    #[arg(long, value_name = "ADDR[:PORT]")]
    pub collector_address: Vec<DeclaredAddress>,
    /// Time between two questions to it
    #[arg(long, default_value = "30s", value_parser = parse_duration, value_name = "TIME")]
    pub collector_interval: Duration,
    /// A node fails that has not reported on its spec for so long (whole seconds)
    #[arg(long, default_value = "300s", value_parser = parse_duration, value_name = "TIME")]
    pub progress_deadline: Duration,
    /// Address of /metrics, /healthz and /readyz [default: none]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,
    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

impl Settings {
    /// The times of the election.
    ///
    /// # Errors
    /// A leader that cannot renew would write on after its Lease was taken.
    pub fn terms(&self) -> Result<Terms, String> {
        let terms = Terms {
            lease: self.lease_duration,
            renew_deadline: self.renew_deadline,
            retry: self.retry_period,
        };
        if terms.lease <= terms.renew_deadline {
            return Err("--lease-duration must be longer than --renew-deadline".to_owned());
        }
        if terms.renew_deadline <= terms.retry {
            return Err("--renew-deadline must be longer than --retry-period".to_owned());
        }
        Ok(terms)
    }

    /// Where the configuration comes from, and what its absence means.
    pub fn source_settings(&self) -> SourceSettings {
        SourceSettings {
            source: self.source,
            on_deleted: self.on_source_deleted,
        }
    }

    /// Namespace and labels of the daemon's pods, where it runs in pods.
    pub fn daemons(&self) -> Option<(&str, &str)> {
        let namespace = self.daemon_namespace.as_ref().unwrap_or(&self.namespace);
        let labels = Some(self.daemon_pods.as_str()).filter(|labels| *labels != "none");
        labels.map(|labels| (namespace.as_str(), labels))
    }

    /// Which collector is Weir's.
    ///
    /// # Errors
    /// It is no name of a Service.
    pub fn collector(&self) -> Result<CollectorSettings, String> {
        let service = match self.collector.as_deref() {
            Some("none") => None,
            Some(name) => match name.split_once('/') {
                Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                    Some((namespace.to_owned(), name.to_owned()))
                }
                _ => return Err(format!("--collector {name}: write NAMESPACE/NAME, or none")),
            },
            None => Some((self.namespace.clone(), COLLECTOR.to_owned())),
        };
        Ok(CollectorSettings {
            service,
            addresses: self.collector_address.clone(),
        })
    }

    /// The time that one write may take: a leader that lost its Lease has none
    /// under way when another takes it.
    pub fn write_patience(&self) -> Duration {
        self.lease_duration.saturating_sub(self.renew_deadline)
    }

    /// The replica's name in the Lease.
    pub fn identity(&self) -> String {
        self.identity.clone().unwrap_or_else(|| {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            format!("{}-{}-{:08x}", host.trim(), std::process::id(), random() >> 32)
        })
    }
}

/// A whole number with the unit `s` or `ms`; no unit means seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit): (&str, fn(u64) -> Duration) = match text.strip_suffix("ms") {
        Some(number) => (number, Duration::from_millis),
        None => (text.strip_suffix('s').unwrap_or(text), Duration::from_secs),
    };
    match number.parse() {
        Ok(number @ 1..=86_400_000) => Ok(unit(number)),
        _ => Err("not a time such as 15s or 500ms".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(parse_duration("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("3"), Ok(Duration::from_secs(3)));
        for bad in ["", "s", "0s", "-1s", "1m", "1.5s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_that_would_let_two_replicas_write_are_refused() {
        let settings = |arguments: &[&str]| Settings::parse_from([&["weir-controller"], arguments].concat());
        assert!(settings(&[]).terms().is_ok());
        assert!(settings(&["--lease-duration", "10s"]).terms().is_err());
        assert!(settings(&["--retry-period", "10s"]).terms().is_err());
    }

    #[test]
    fn the_collector_is_the_one_of_the_manifests_unless_another_or_none_is_named() {
        let named = |arguments: &[&str]| {
            let settings = Settings::parse_from([&["weir-controller"], arguments].concat());
            settings.collector().map(|collector| collector.service)
        };
        let service = |namespace: &str, name: &str| Ok(Some((namespace.to_owned(), name.to_owned())));
        assert_eq!(named(&["--namespace", "n"]), service("n", "weir-collector"));
        assert_eq!(named(&["--collector", "flows/c"]), service("flows", "c"));
        assert_eq!(named(&["--collector", "none"]), Ok(None));
        assert!(named(&["--collector", "c"]).is_err() && named(&["--collector", "/"]).is_err());
    }

    #[test]
    fn replicas_on_one_host_have_different_names() {
        let settings = Settings::parse_from(["weir-controller"]);
        assert_ne!(settings.identity(), settings.identity());
    }
}
