//! The program `weir-lab`, and that nothing stays of a lab.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use weir_lab::{Lab, program, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_weir-lab");
const DEADLINE: Duration = Duration::from_secs(30);

/// A lab in the lab, running `script` once it is raised; killed when dropped.
struct Inner {
    outer: Child,
    output: BufReader<ChildStdout>,
}

impl Inner {
    fn start(options: &[&str], script: &str) -> Result<Self> {
        let mut command = Command::new(PROGRAM);
        command.arg("run").args(options).args(["--", "sh", "-c", script]);
        let mut outer = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(outer.stdout.take().context("stdout is piped")?);
        Ok(Self { outer, output })
    }

    fn expect_line(&mut self, wanted: &str) -> Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line.trim() == wanted, "wanted {wanted:?}, got {line:?}");
        Ok(())
    }

    fn say(&mut self) -> Result<()> {
        Ok(self
            .outer
            .stdin
            .as_mut()
            .context("stdin is piped")?
            .write_all(b"\n")?)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.outer.id().cast_signed())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.outer.kill();
        let _ = self.outer.wait();
    }
}

pub fn two_labs_do_not_meet(lab: &mut Lab) -> Result<()> {
    // Both have the names, addresses and ports that this lab has, too.
    let script = "echo raised; read go; node-a ovs-vsctl br-exists br-int && \
                  kubectl get nodes -o name && kubectl get pods -A -o name && echo end";
    let mut one = Inner::start(&["--nodes=1", "--kube", "--pod=node-a/shop/alone"], script)?;
    let mut two = Inner::start(&["--nodes=1"], "echo raised; read go; node-a ovs-vsctl list-br")?;
    one.expect_line("raised")?;
    two.expect_line("raised")?;
    one.say()?;
    for line in ["node/node-a", "pod/alone", "end"] {
        one.expect_line(line)?;
    }
    two.say()?;
    two.expect_line("br-ex")?;
    two.expect_line("br-int")?;
    ensure!(one.outer.wait()?.success() && two.outer.wait()?.success());
    ensure!(
        lab.kubernetes()?
            .kubectl(&["get", "pods", "-A", "-o", "name"])?
            .contains("pod/client")
    );
    Ok(())
}

pub fn sigkill_leaves_nothing(_: &mut Lab) -> Result<()> {
    let before = traces()?;
    let mut inner = Inner::start(
        &["--nodes=2", "--pod=node-a/shop/x"],
        "echo raised; exec sleep 1000",
    )?;
    inner.expect_line("raised")?;
    let processes = descendants(inner.outer.id())?;
    let commands: Vec<String> = processes.iter().filter_map(|pid| command(*pid)).collect();
    for wanted in ["ovs-vswitchd", "ovsdb-server", "sleep"] {
        ensure!(
            commands.iter().any(|command| command == wanted),
            "{wanted} is not among {commands:?}"
        );
    }
    kill(inner.pid(), Signal::SIGKILL)?;
    inner.outer.wait()?;
    wait_until("every process of the lab to end", DEADLINE, || {
        let left: Vec<_> = processes.iter().filter(|pid| command(**pid).is_some()).collect();
        ensure!(left.is_empty(), "{left:?} are left");
        Ok(true)
    })?;
    ensure!(traces()? == before, "before {before:?}, after {:?}", traces()?);
    Ok(())
}

pub fn labs_with_ovn_end_alone(_: &mut Lab) -> Result<()> {
    let before = traces()?;
    // Both have the same nodes, addresses, databases and logical network.
    let raised = "ovn-nbctl lsp-get-up t_one && \
                  until pod-t-one ping -c 1 -W 1 10.128.2.3 >/dev/null; do :; done";
    let script = |then: &str| format!("{raised}; {then}");
    let options = ["--ovn", "--nodes=2", "--pod=node-a/t/one", "--pod=node-b/t/two"];
    let again = "echo raised; read go; pod-t-one ping -c 1 -W 5 10.128.2.3 >/dev/null && echo end";
    let mut killed = Inner::start(&options, &script("echo raised; exec sleep 1000"))?;
    let mut other = Inner::start(&options, &script(again))?;
    killed.expect_line("up")?;
    other.expect_line("up")?;
    killed.expect_line("raised")?;
    other.expect_line("raised")?;
    let processes = descendants(killed.outer.id())?;
    let commands: Vec<String> = processes.iter().filter_map(|pid| command(*pid)).collect();
    for wanted in ["ovn-northd", "ovn-controller", "ovsdb-server"] {
        ensure!(
            commands.iter().any(|command| command == wanted),
            "{wanted} is not among {commands:?}"
        );
    }
    kill(killed.pid(), Signal::SIGKILL)?;
    killed.outer.wait()?;
    wait_until("every process of the lab to end", DEADLINE, || {
        let left: Vec<_> = processes.iter().filter(|pid| command(**pid).is_some()).collect();
        ensure!(left.is_empty(), "{left:?} are left");
        Ok(true)
    })?;
    other.say()?;
    other.expect_line("end")?;
    ensure!(other.outer.wait()?.success());
    ensure!(traces()? == before, "before {before:?}, after {:?}", traces()?);
    Ok(())
}

pub fn signals_and_exit_codes_pass(_: &mut Lab) -> Result<()> {
    let script = "trap 'exit 7' TERM; echo raised; while :; do sleep 0.1; done";
    let mut inner = Inner::start(&["--nodes=0"], script)?;
    inner.expect_line("raised")?;
    kill(inner.pid(), Signal::SIGTERM)?;
    ensure!(inner.outer.wait()?.code() == Some(7));
    let mut killed = Inner::start(&["--nodes=0"], "kill -KILL $$")?;
    ensure!(killed.outer.wait()?.code() == Some(137));
    Ok(())
}

pub fn a_published_port_leads_into_the_lab(_: &mut Lab) -> Result<()> {
    const PORT: u16 = 8099;
    // The host has that port itself, so that the lab's is another one there.
    let taken = TcpListener::bind(("127.0.0.1", PORT))?;
    let serve = format!("python3 -m http.server {PORT} --bind 127.0.0.1 --directory $WEIR_LAB_DIR/there");
    let script = format!(
        "echo $WEIR_LAB_PUBLISHED; mkdir $WEIR_LAB_DIR/there; echo inside >$WEIR_LAB_DIR/there/file; \
         {serve} >$WEIR_LAB_DIR/log 2>&1 & read go"
    );
    let mut inner = Inner::start(&["--nodes=0", "--publish", &PORT.to_string()], &script)?;
    let mut line = String::new();
    inner.output.read_line(&mut line)?;
    let address: SocketAddr = line.trim().parse().with_context(|| line.clone())?;
    ensure!(address.ip().is_loopback() && address.port() != PORT, "{address}");
    wait_until("the lab's page", DEADLINE, || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /file HTTP/1.0\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        ensure!(page.ends_with("\r\n\r\ninside\n"), "{page:?}");
        Ok(true)
    })?;
    inner.say()?;
    inner.outer.wait()?;
    ensure!(TcpStream::connect(address).is_err(), "{address} is still there");
    drop(taken);
    Ok(())
}

pub fn tracked_packets_arrive(_: &mut Lab) -> Result<()> {
    let script = "pod-t-far iperf3 -s -1 -D -I server.pid --logfile /dev/null; \
                  for i in 1 2 3 4 5 6 7 8 9; do \
                    pod-t-near iperf3 -c 10.128.2.2 -n 1M --connect-timeout 1000 >/dev/null 2>&1 && break; done; \
                  node-a ovs-appctl dpctl/dump-conntrack | grep -q 'dport=5201' && echo tracked";
    let options = ["--conntrack", "--pod=node-a/t/near", "--pod=node-b/t/far"];
    let mut inner = Inner::start(&options, &format!("cd $WEIR_LAB_DIR; {script}"))?;
    inner.expect_line("tracked")?;
    ensure!(inner.outer.wait()?.success());
    Ok(())
}

pub fn assets_come_from_the_environment(lab: &mut Lab) -> Result<()> {
    let assets = lab.directory().join("assets");
    fs::create_dir_all(&assets)?;
    let ask = || {
        program::read(
            Command::new(PROGRAM)
                .arg("kubernetes")
                .env("KUBEBUILDER_ASSETS", &assets),
        )
    };
    let refusal = ask().err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(
        refusal.contains("KUBEBUILDER_ASSETS") && refusal.contains("kube-apiserver"),
        "{refusal}"
    );
    for name in ["kube-apiserver", "kubectl"] {
        fs::write(assets.join(name), "")?;
    }
    ensure!(ask()?.trim() == assets.to_string_lossy());
    Ok(())
}

/// What a lab could leave: named namespaces, mounts, devices, files in /run.
fn traces() -> Result<BTreeSet<String>> {
    let mut traces: BTreeSet<String> = fs::read_to_string("/proc/self/mounts")?
        .lines()
        .map(str::to_owned)
        .collect();
    for directory in ["/run", "/run/netns", "/sys/class/net"] {
        for entry in fs::read_dir(directory)? {
            traces.insert(entry?.path().display().to_string());
        }
    }
    Ok(traces)
}

fn descendants(root: u32) -> Result<Vec<u32>> {
    let table = program::read(Command::new("ps").args(["-e", "-o", "pid=,ppid="]))?;
    let pairs: Vec<(u32, u32)> = table
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(pairs.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(found)
}

/// The name of a process that is there and no zombie.
fn command(pid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    (!field("State:")?.starts_with('Z')).then_some(field("Name:")?.to_owned())
}
