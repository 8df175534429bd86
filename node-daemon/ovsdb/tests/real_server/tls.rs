//! TLS with the certificates that OVS's own ovs-pki makes.

use crate::support::*;
use ovsdb::{Client, Condition, Datum, Endpoint, Link, Operation, OperationResult, TlsFiles, View};

/// A switch's and a controller's authority, and one certificate from each.
struct Pki {
    dir: TempDir,
}

impl Pki {
    fn new() -> Pki {
        let dir = TempDir::new();
        let pki = |arguments: &[&str]| {
            let (authority, log) = (dir.path("pki"), dir.path("log"));
            let files = [
                format!("--dir={}", authority.display()),
                format!("--log={}", log.display()),
            ];
            let arguments = [&[files[0].as_str(), files[1].as_str()], arguments].concat();
            run(&dir.path(""), "ovs-pki", &arguments);
        };
        pki(&["init"]);
        pki(&["-u", "req+sign", "server", "switch"]);
        pki(&["-u", "req+sign", "client", "controller"]);
        Pki { dir }
    }

    fn file(&self, name: &str) -> String {
        self.dir.path(name).display().to_string()
    }

    fn server(&self) -> Server {
        Server::start_with(&[
            "--remote=pssl:0:127.0.0.1".to_owned(),
            format!("--private-key={}", self.file("server-privkey.pem")),
            format!("--certificate={}", self.file("server-cert.pem")),
            format!("--ca-cert={}", self.file("pki/controllerca/cacert.pem")),
        ])
    }

    fn client_files(&self) -> TlsFiles {
        TlsFiles {
            private_key: self.dir.path("client-privkey.pem"),
            certificate: self.dir.path("client-cert.pem"),
            ca_certificate: self.dir.path("pki/switchca/cacert.pem"),
        }
    }
}

fn connect(server: &Server, files: TlsFiles) -> Client {
    let endpoint: Endpoint = format!("ssl:127.0.0.1:{}", server.port()).parse().unwrap();
    Client::spawn(endpoint.with_tls(files), DATABASE, bridges(), options())
}

async fn see_refusal(client: &Client, reason: &str) {
    let refused = |view: &View| matches!(&view.link, Link::Down { error, .. } if error.contains(reason));
    see(&mut client.watch(), reason, refused).await;
}

#[tokio::test]
async fn certificates_of_ovs_pki_are_accepted_although_they_name_no_host() {
    let pki = Pki::new();
    let server = pki.server();
    let client = connect(&server, pki.client_files());
    let mut watch = client.watch();
    see_synced(&mut watch).await;
    client
        .transact(vec![Operation::comment("over TLS")])
        .await
        .unwrap();
    server.vsctl(&["add-br", "br0"]);
    see(&mut watch, "a live update", |view| {
        view.replica.row_count("Bridge") == 1
    })
    .await;
}

#[tokio::test]
async fn a_transaction_of_many_tls_records_arrives_whole() {
    let pki = Pki::new();
    let server = pki.server();
    let client = connect(&server, pki.client_files());
    see_synced(&mut client.watch()).await;
    let text = "x".repeat(2 << 20);
    let read = Operation::select(
        "NetFlow",
        vec![Condition::equal("external_ids", external_ids(&text))],
    );
    let row = [("external_ids".to_owned(), external_ids(&text))].into();
    let results = client
        .transact(vec![Operation::insert("NetFlow", row), read])
        .await
        .unwrap();
    let OperationResult::Rows(rows) = &results[1] else {
        panic!("{results:?}")
    };
    assert_eq!(rows[0]["external_ids"].map_get("long"), Some(text.as_str()));
}

fn external_ids(text: &str) -> Datum {
    Datum::string_map([("long", text)])
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let pki = Pki::new();
    let server = pki.server();
    let wrong = TlsFiles {
        ca_certificate: pki.dir.path("pki/controllerca/cacert.pem"),
        ..pki.client_files()
    };
    see_refusal(&connect(&server, wrong), "invalid peer certificate").await;
}

#[tokio::test]
async fn files_that_are_missing_or_hold_no_certificate_are_named() {
    let pki = Pki::new();
    let server = pki.server();
    see_refusal(&connect(&server, TlsFiles::default()), "ssl needs a private key").await;
    let missing = TlsFiles {
        certificate: pki.dir.path("nowhere.pem"),
        ..pki.client_files()
    };
    see_refusal(&connect(&server, missing), "nowhere.pem: No such file").await;
    let key = TlsFiles {
        ca_certificate: pki.dir.path("client-privkey.pem"),
        ..pki.client_files()
    };
    see_refusal(&connect(&server, key), "client-privkey.pem: no certificate in it").await;
}

#[tokio::test]
async fn certificates_are_read_anew_for_each_attempt() {
    let pki = Pki::new();
    let server = pki.server();
    let late = TlsFiles {
        certificate: pki.dir.path("late.pem"),
        ..pki.client_files()
    };
    let client = connect(&server, late);
    see_refusal(&client, "late.pem").await;
    std::fs::copy(pki.dir.path("client-cert.pem"), pki.dir.path("late.pem")).unwrap();
    see_synced(&mut client.watch()).await;
}
