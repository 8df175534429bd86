//! FlowMetrics through the program itself: resources in a folder, flows over the network,
//! and what scrapers get, up to a real Prometheus.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use harness::database::Database;
use harness::{eventually, get, metrics};
use serde_json::Value;

/// The two metrics of NetObserv's article on the flow matrix.
const FLOW_MATRIX: &str = include_str!("../flowmetrics/src/registry/tests/flow-matrix.yaml");

const SYN: u8 = 0x02;
/// SYN, ACK, PSH and FIN: a whole connection in one record.
const WHOLE: u8 = 0x1b;

const CLIENT: [u8; 4] = [10, 128, 0, 1];
const SERVER: [u8; 4] = [10, 128, 0, 2];
const OFFICE: [u8; 4] = [198, 51, 100, 7];

/// One end of a flow.
type End = ([u8; 4], u16);

/// A datagram of NetFlow v5 with these flows: source, destination, flags.
fn netflow(flows: &[(End, End, u8)]) -> Vec<u8> {
    let mut datagram = vec![0, 5, 0, u8::try_from(flows.len()).unwrap()];
    // Uptime of a minute, now, numbers of the exporter.
    let now = jiff::Timestamp::now().as_second();
    datagram.extend(60_000_u32.to_be_bytes());
    datagram.extend(u32::try_from(now).unwrap().to_be_bytes());
    datagram.extend([0; 12]);
    for ((src, src_port), (dst, dst_port), flags) in flows {
        let first = datagram.len();
        datagram.extend(src);
        datagram.extend(dst);
        datagram.extend([0; 4]);
        datagram.extend([0, 1, 0, 2]);
        datagram.extend(4_u32.to_be_bytes());
        datagram.extend(1_000_u32.to_be_bytes());
        datagram.extend(59_000_u32.to_be_bytes());
        datagram.extend(59_500_u32.to_be_bytes());
        datagram.extend(src_port.to_be_bytes());
        datagram.extend(dst_port.to_be_bytes());
        datagram.extend([0, *flags, 6, 0]);
        datagram.resize(first + 48, 0);
    }
    datagram
}

/// A connection as its two directions are exported.
fn connection(client: End, server: End) -> [(End, End, u8); 2] {
    [(client, server, WHOLE), (server, client, WHOLE)]
}

struct Program {
    child: Child,
    directory: PathBuf,
    http: SocketAddr,
    udp: SocketAddr,
    exporter: UdpSocket,
    records: u64,
    log: Arc<Mutex<String>>,
}

impl Program {
    /// A collector over the metrics of a folder.
    fn start(name: &str, more: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!("weir-flow-metrics-{name}-{}", std::process::id()));
        fs::create_dir_all(directory.join("metrics")).unwrap();
        fs::write(directory.join("metrics/matrix.yaml"), FLOW_MATRIX).unwrap();
        fs::write(
            directory.join("labels.yaml"),
            "customLabels: [{name: offices, cidrs: [198.51.100.0/24]}]",
        )
        .unwrap();
        Self::run(directory, more)
    }

    fn run(directory: PathBuf, more: &[&str]) -> Self {
        let ports = directory.join("ports.json");
        let _ = fs::remove_file(&ports);
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir-collector"))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
                "--print",
                "none",
                "--workers",
                "2",
            ])
            .arg("--port-file")
            .arg(&ports)
            .arg("--flow-metrics")
            .arg(directory.join("metrics"))
            .arg("--subnet-labels")
            .arg(directory.join("labels.yaml"))
            .args(more)
            .env_remove("KUBERNETES_SERVICE_HOST")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::<Mutex<String>>::default();
        let (written, stderr) = (Arc::clone(&log), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let text = eventually("the port file", || fs::read(&ports).ok());
        let addresses: Value = serde_json::from_slice(&text).unwrap();
        let address = |value: &Value| value.as_str().unwrap().parse().unwrap();
        let (udp, http) = (address(&addresses["udp"][0]), address(&addresses["http"]));
        eventually("the collector to be ready", || {
            (get(http, "/readyz").0 == 200).then_some(())
        });
        Self {
            child,
            directory,
            http,
            udp,
            exporter: UdpSocket::bind("127.0.0.1:0").unwrap(),
            records: 0,
            log,
        }
    }

    /// Sends flows and waits until the collector has them.
    fn send(&mut self, flows: &[(End, End, u8)]) {
        for flows in flows.chunks(20) {
            self.exporter.send_to(&netflow(flows), self.udp).unwrap();
            self.records += flows.len() as u64;
        }
        eventually("the records to be stored", || {
            let stored = metrics(self.http)["records_stored_total"];
            assert!(stored <= self.records);
            (stored == self.records).then_some(())
        });
    }

    /// What a scraper gets that prefers this.
    fn scrape(&self, accept: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.http).unwrap();
        write!(
            stream,
            "GET /flow-metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_ascii_lowercase(), body.to_owned())
    }

    /// The samples of a metric, in text.
    fn samples(&self, name: &str) -> Vec<String> {
        let (_, body) = self.scrape("text/plain");
        let lines = body.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        lines.map(str::to_owned).collect()
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.directory.join("metrics").join(file), text).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A sample of the article's metrics: labels of the one side, of the other, port, count.
fn sample(way: &str, from: &str, to: &str, port: u16, count: u64) -> String {
    let prefixes = if way == "in" { ["from_", ""] } else { ["", "to_"] };
    let side = |prefix: &str, values: &str| {
        let names = ["subnet_label", "namespace", "workload", "kind"].into_iter();
        let pairs = names
            .zip(values.split('/'))
            .map(|(name, value)| format!("{prefix}{name}=\"{value}\""));
        pairs.collect::<Vec<_>>().join(",")
    };
    let (from, to) = (side(prefixes[0], from), side(prefixes[1], to));
    format!("netobserv_workload_syn_{way}{{{from},{to},port=\"{port}\",Flags=\"SYN\"}} {count}")
}

/// Subnet label, namespace, workload and kind.
const POD: &str = "/shop//";
const OFFICES: &str = "offices///";

/// A switch with the two pods.
fn pods(name: &str) -> Database {
    let database = Database::start(name);
    database.vsctl("set Open_vSwitch . external_ids:hostname=node-a external_ids:ovn-encap-ip=192.0.2.1");
    database.vsctl("add-br br-int");
    for (port, pod, [a, b, c, d]) in [("v1", "shop_client", CLIENT), ("v2", "shop_server", SERVER)] {
        database.vsctl(&format!("add-port br-int {port}"));
        database.vsctl(&format!(
            "set Interface {port} external_ids:iface-id={pod} external_ids:ip_addresses={a}.{b}.{c}.{d}/23"
        ));
    }
    database
}

/// Three connections to the database, two to an office, and what starts none: a later record,
/// a datagram, and one whose sides nobody knows to be a server.
fn traffic() -> Vec<(End, End, u8)> {
    let mut flows = Vec::new();
    for port in [40_000, 40_001, 40_002] {
        flows.extend(connection((CLIENT, port), (SERVER, 5_432)));
    }
    for port in [41_000, 41_001] {
        flows.extend(connection((CLIENT, port), (OFFICE, 443)));
    }
    flows.push(((CLIENT, 40_000), (SERVER, 5_432), 0x18));
    flows.push(((CLIENT, 50_000), (SERVER, 50_001), WHOLE));
    flows
}

fn matrix(way: &str, times: u64) -> Vec<String> {
    vec![
        sample(way, POD, POD, 5_432, 3 * times),
        sample(way, POD, OFFICES, 443, 2 * times),
    ]
}

fn sorted(mut samples: Vec<String>) -> Vec<String> {
    samples.sort();
    samples
}

#[test]
fn the_articles_matrix_is_that_of_the_flows_with_and_without_a_store() {
    let database = pods("flow-matrix");
    let data = std::env::temp_dir().join(format!("weir-flow-metrics-data-{}", std::process::id()));
    let (endpoint, data_dir) = (database.endpoint(), data.to_str().unwrap());
    for store in [&[][..], &["--data-dir", data_dir]] {
        let mut program = Program::start("matrix", &[&["--ovsdb", &endpoint], store].concat());
        let (head, body) = program.scrape("application/openmetrics-text; version=1.0.0");
        assert!(
            head.contains("content-type: application/openmetrics-text; version=1.0.0"),
            "{head}"
        );
        assert_eq!(body, "# EOF\n");
        for times in 1..=2 {
            program.send(&traffic());
            for way in ["in", "out"] {
                let samples = program.samples(&format!("netobserv_workload_syn_{way}"));
                assert_eq!(sorted(samples), sorted(matrix(way, times)));
            }
        }
        // A SYN that nobody answered needs no server to be known.
        program.send(&[((CLIENT, 50_000), (SERVER, 50_001), SYN)]);
        let samples = program.samples("netobserv_workload_syn_in");
        assert!(
            samples.contains(&sample("in", POD, POD, 50_001, 1)),
            "{samples:?}"
        );
        let counts = metrics(program.http);
        assert_eq!(
            (
                counts["flow_metrics"],
                counts["flow_metrics_refused"],
                counts["flow_metric_series"]
            ),
            (2, 0, 6)
        );
    }
    let _ = fs::remove_dir_all(data);
}

/// A metric of octets by subnet label.
fn office_bytes(label: &str) -> String {
    format!(
        "{{apiVersion: flows.netobserv.io/v1alpha1, kind: FlowMetric, metadata: {{name: office}}, spec: {{type: Counter, \
         metricName: office_bytes_total, valueField: Bytes, labels: [{label}], \
         filters: [{{field: DstSubnetLabel, matchType: Presence}}]}}}}"
    )
}

#[test]
fn a_file_that_changes_begins_its_own_series_anew_and_a_bad_one_is_named_and_changes_nothing() {
    let mut program = Program::start("changes", &[]);
    program.write(
        "matrix.yaml",
        &FLOW_MATRIX
            .replace("SrcK8S_Namespace, ", "")
            .replace("SrcK8S_Namespace: from_namespace, ", "")
            .replace("SrcK8S_Namespace: namespace,", ""),
    );
    program.write("office.json", &office_bytes("DstSubnetLabel"));
    eventually("all three metrics", || {
        (metrics(program.http)["flow_metrics"] == 3).then_some(())
    });
    eventually("the matrix without namespaces", || {
        program
            .log
            .lock()
            .unwrap()
            .contains("series begin anew")
            .then_some(())
    });
    program.send(&connection((CLIENT, 41_000), (OFFICE, 443)));
    let office = "netobserv_office_bytes_total{DstSubnetLabel=\"offices\"} 1000";
    assert_eq!(program.samples("netobserv_office_bytes_total"), [office]);
    let (_, open) = program.scrape("application/openmetrics-text");
    let created = |text: &str| {
        let created = text
            .lines()
            .find(|line| line.starts_with("netobserv_office_bytes_created{"));
        created.map(str::to_owned)
    };
    let born = created(&open).unwrap();

    // Bad: what it counted before goes on, and the log says where and what to do.
    program.write("office.json", &office_bytes("NobodyKnows"));
    eventually("the bad file to be named", || {
        let log = program.log.lock().unwrap();
        let line = log.lines().find(|line| line.contains("NobodyKnows"))?;
        for word in ["office.json", "spec.labels[0]", "remedy"] {
            assert!(line.contains(word), "{line}");
        }
        Some(())
    });
    assert_eq!(metrics(program.http)["flow_metrics_refused"], 1);
    program.send(&connection((CLIENT, 41_000), (OFFICE, 443)));
    assert_eq!(
        program.samples("netobserv_office_bytes_total"),
        [office.replace("1000", "2000")]
    );
    assert_eq!(
        created(&program.scrape("application/openmetrics-text").1),
        Some(born.clone())
    );

    // Another label: its series begin anew, and those of the matrix go on.
    program.write("office.json", &office_bytes("DstPort"));
    eventually("the change", || {
        program
            .samples("netobserv_office_bytes_total")
            .is_empty()
            .then_some(())
    });
    program.send(&connection((CLIENT, 41_000), (OFFICE, 443)));
    assert_eq!(
        program.samples("netobserv_office_bytes_total"),
        ["netobserv_office_bytes_total{DstPort=\"443\"} 1000"]
    );
    let again = created(&program.scrape("application/openmetrics-text").1).unwrap();
    assert_ne!(again.rsplit(' ').next(), born.rsplit(' ').next());
    let matrix = program.samples("netobserv_workload_syn_in");
    assert!(matrix.len() == 1 && matrix[0].ends_with(" 3"), "{matrix:?}");
    fs::remove_file(program.directory.join("metrics/office.json")).unwrap();
    eventually("the metric to go", || {
        (metrics(program.http)["flow_metrics"] == 2).then_some(())
    });
    assert_eq!(program.samples("netobserv_workload_syn_in"), matrix);
}

#[test]
fn predefined_metrics_are_switched_on_by_name() {
    let database = pods("predefined");
    let names = "namespace_flows_total,namespace_sampling";
    let mut program = Program::start(
        "predefined",
        &[
            "--ovsdb",
            &database.endpoint(),
            "--predefined-flow-metrics",
            names,
        ],
    );
    program.send(&traffic());
    let between = |samples: Vec<String>, src: &str, dst: &str| {
        let labels = [
            format!("SrcK8S_Namespace=\"{src}\""),
            format!("DstK8S_Namespace=\"{dst}\""),
        ];
        let mut samples = samples.into_iter();
        let sample = samples.find(|sample| labels.iter().all(|label| sample.contains(label)));
        sample.map(|sample| sample.rsplit(' ').next().unwrap().to_owned())
    };
    let flows = program.samples("netobserv_namespace_flows_total");
    assert_eq!(
        between(flows.clone(), "shop", "shop"),
        Some("8".to_owned()),
        "{flows:?}"
    );
    assert_eq!(
        between(flows.clone(), "shop", ""),
        Some("2".to_owned()),
        "{flows:?}"
    );
    let wrong = Command::new(env!("CARGO_BIN_EXE_weir-collector"))
        .args(["--predefined-flow-metrics", "namespace_flow_total"])
        .output()
        .unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        !wrong.status.success() && said.contains("namespace_flows_total"),
        "{said}"
    );
}

/// A real Prometheus that scrapes this page.
struct Prometheus {
    child: Child,
    directory: PathBuf,
    http: SocketAddr,
}

impl Prometheus {
    fn start(scraped: SocketAddr) -> Self {
        let directory = std::env::temp_dir().join(format!("weir-prometheus-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: flows\n  metrics_path: /flow-metrics\n  \
             static_configs: [{{targets: ['{scraped}']}}]\n"
        );
        fs::write(directory.join("prometheus.yml"), config).unwrap();
        // It takes no port that is free; this one was.
        let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                directory.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address={http}"))
            .stdout(Stdio::null())
            .stderr(Stdio::from(fs::File::create(directory.join("log")).unwrap()))
            .spawn()
            .expect("prometheus is installed (scripts/install-requirements)");
        let prometheus = Self {
            child,
            directory,
            http,
        };
        eventually("Prometheus to be ready", || {
            TcpStream::connect(http).ok()?;
            (get(http, "/-/ready").0 == 200).then_some(())
        });
        prometheus
    }

    /// The series of an answer: labels by name, and the value.
    fn ask(&self, query: &str) -> Vec<(Value, f64)> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (status, body) = get(self.http, &format!("/api/v1/query?query={escaped}"));
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&unchunked(&body)).unwrap();
        let series = answer["data"]["result"].as_array().unwrap().iter();
        let series = series.map(|series| {
            let value = series["value"][1].as_str().unwrap().parse().unwrap();
            (series["metric"].clone(), value)
        });
        series.collect()
    }
}

/// Without the lengths of chunks, which stand on lines of their own.
fn unchunked(body: &str) -> String {
    let lines = body
        .lines()
        .filter(|line| !line.chars().all(|c| c.is_ascii_hexdigit()));
    lines.collect()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The edges of an answer, by the labels that the query groups by.
fn edges(series: &[(Value, f64)], labels: &[&str]) -> Vec<String> {
    let edge = |(metric, _): &(Value, f64)| {
        let values = labels
            .iter()
            .map(|label| metric[*label].as_str().unwrap_or_default());
        values.collect::<Vec<_>>().join(" ")
    };
    sorted(series.iter().map(edge).collect())
}

#[test]
fn prometheus_answers_the_articles_questions_with_the_matrix_of_the_flows() {
    let database = pods("prometheus");
    let mut program = Program::start("prometheus", &["--ovsdb", &database.endpoint()]);
    let prometheus = Prometheus::start(program.http);
    program.send(&traffic());
    let count = |query: &str| {
        prometheus
            .ask(query)
            .iter()
            .map(|(_, value)| *value as u64)
            .sum::<u64>()
    };
    eventually("the first round to be scraped", || {
        (count("sum(netobserv_workload_syn_out)") == 5).then_some(())
    });
    // A rate needs something that grew.
    program.send(&traffic());
    eventually("the second round to be scraped", || {
        (count("sum(netobserv_workload_syn_in)") == 10).then_some(())
    });
    let outgoing = "sum(rate(netobserv_workload_syn_out{ namespace=\"shop\"}[1m])) by (workload, kind, port, to_kind, to_namespace, to_subnet_label, to_workload)";
    let series = eventually("rates", || {
        let series = prometheus.ask(outgoing);
        (series.len() == 2 && series.iter().all(|(_, rate)| *rate > 0.0)).then_some(series)
    });
    let labels = ["port", "to_namespace", "to_subnet_label"];
    assert_eq!(edges(&series, &labels), ["443  offices", "5432 shop "]);
    let incoming = "sum(rate(netobserv_workload_syn_in{ namespace=\"shop\"}[1m])) by (workload, kind, port, from_kind, from_namespace, from_subnet_label, from_workload)";
    let series = eventually("rates", || {
        let series = prometheus.ask(incoming);
        (!series.is_empty() && series.iter().all(|(_, rate)| *rate > 0.0)).then_some(series)
    });
    assert_eq!(
        edges(&series, &["port", "from_namespace", "from_subnet_label"]),
        ["5432 shop "]
    );
    let exact = prometheus.ask("sum(netobserv_workload_syn_out) by (port)");
    let exact: Vec<_> = exact
        .iter()
        .map(|(metric, value)| (metric["port"].as_str().unwrap(), *value))
        .collect();
    assert!(
        exact.contains(&("5432", 6.0)) && exact.contains(&("443", 4.0)) && exact.len() == 2,
        "{exact:?}"
    );
    let kinds = get(
        prometheus.http,
        "/api/v1/metadata?metric=netobserv_workload_syn_out",
    )
    .1;
    assert!(kinds.contains("unknown"), "{kinds}");
}

#[test]
fn a_folder_that_is_not_there_yet_is_read_once_it_is() {
    let directory = std::env::temp_dir().join(format!("weir-flow-metrics-late-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("labels.yaml"), "customLabels: []").unwrap();
    let program = Program::run(directory, &[]);
    assert_eq!(metrics(program.http)["flow_metrics"], 0);
    let folder: &Path = &program.directory.join("metrics");
    fs::create_dir_all(folder).unwrap();
    program.write("matrix.yaml", FLOW_MATRIX);
    eventually("the metrics", || {
        (metrics(program.http)["flow_metrics"] == 2).then_some(())
    });
}
