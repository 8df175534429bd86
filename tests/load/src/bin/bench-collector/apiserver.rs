//! As much of a kube-apiserver as weir-collector's watches need: it lists the objects of
//! [`cluster`], and then nothing changes. HTTP/1.1 in clear on loopback.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use tempfile::TempDir;

use crate::cluster;

/// Paths that are listed: the rest has nothing.
const PATHS: [&str; 6] = [
    "/api/v1/pods",
    "/api/v1/nodes",
    "/api/v1/services",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/apis/apps/v1/replicasets",
    "/apis/weir.dev/v1alpha1/nodeflowexports",
];

/// What weir-collector takes names from. It serves until this process ends.
#[derive(Debug)]
pub struct ApiServer {
    folder: TempDir,
}

impl ApiServer {
    /// Starts it, and writes the files that lead there.
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port for the API server")?;
        let folder = TempDir::with_prefix("bench-names-")?;
        let server = Self { folder };
        std::fs::write(server.kubeconfig(), kubeconfig(listener.local_addr()?))?;
        std::fs::write(server.labels(), cluster::labels())?;
        let lists: HashMap<_, _> = PATHS
            .iter()
            .map(|path| (*path, cluster::list(path).to_string()))
            .collect();
        let lists = Arc::new(lists);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let lists = Arc::clone(&lists);
                // It ends when weir-collector does.
                thread::spawn(move || drop(serve(connection, &lists)));
            }
        });
        Ok(server)
    }

    /// For `--kubeconfig`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// For `--subnet-labels`.
    pub fn labels(&self) -> PathBuf {
        self.folder.path().join("labels.yaml")
    }
}

fn kubeconfig(address: SocketAddr) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: bench\n\
         clusters: [{{name: bench, cluster: {{server: \"http://{address}\"}}}}]\n\
         contexts: [{{name: bench, context: {{cluster: bench, user: bench}}}}]\n\
         users: [{{name: bench, user: {{}}}}]\n"
    )
}

/// Answers the requests of one connection until a watch begins, which brings nothing.
fn serve(mut connection: TcpStream, lists: &HashMap<&str, String>) -> std::io::Result<()> {
    let mut requests = BufReader::new(connection.try_clone()?);
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        while requests.read_line(&mut line)? > 2 {}
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        if query.split('&').any(|option| option.starts_with("watch=")) {
            connection.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            )?;
            // Until the other side goes.
            return requests.read_to_end(&mut Vec::new()).map(drop);
        }
        let nothing = || cluster::list(path).to_string();
        let body = lists.get(path).cloned().unwrap_or_else(nothing);
        let length = body.len();
        write!(
            connection,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
    }
}
