//! Keys, certificates and kubeconfigs of the lab's API server, made with
//! `openssl`. They live as long as the lab and protect nothing.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::json;

use crate::{address::UNDERLAY, program};

/// The administrator's bearer token.
pub(crate) const ADMIN_TOKEN: &str = "weir-lab-administrator";

/// A configuration of our own: `-addext` on top of Debian's default file would
/// write an extension twice.
const OPENSSL_CONFIG: &str = "\
[req]
prompt = no
distinguished_name = name
[name]
CN = weir-lab
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = @names
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
[names]
DNS.1 = localhost
DNS.2 = kubernetes.default.svc
IP.1 = 127.0.0.1
IP.2 = 10.96.0.1
";

/// Writes `ca.crt`, `apiserver.{key,crt}`, `service-account.{key,pub}`, `tokens.csv`, and
/// what the API server shows of itself to those whom it passes requests on to:
/// `front-proxy-ca.crt`, `front-proxy-client.{key,crt}`.
pub(crate) fn create(directory: &Path) -> Result<()> {
    let config = format!("{OPENSSL_CONFIG}IP.3 = {UNDERLAY}\n");
    fs::write(directory.join("openssl.cnf"), config)?;
    let tokens = format!("{ADMIN_TOKEN},administrator,administrator,\"system:masters\"\n");
    fs::write(directory.join("tokens.csv"), tokens)?;
    openssl(
        directory,
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out service-account.key",
    )?;
    openssl(
        directory,
        "pkey -in service-account.key -pubout -out service-account.pub",
    )?;
    openssl(
        directory,
        &format!(
            "{} -subj /CN=weir-lab-ca -extensions authority",
            certificate("ca")
        ),
    )?;
    let server = format!(
        "{} -subj /CN=kube-apiserver -extensions server",
        certificate("apiserver")
    );
    openssl(directory, &format!("{server} -CA ca.crt -CAkey ca.key"))?;
    let authority = format!(
        "{} -subj /CN=front-proxy-ca -extensions authority",
        certificate("front-proxy-ca")
    );
    openssl(directory, &authority)?;
    let proxy = format!(
        "{} -subj /CN=front-proxy-client -extensions client",
        certificate("front-proxy-client")
    );
    openssl(
        directory,
        &format!("{proxy} -CA front-proxy-ca.crt -CAkey front-proxy-ca.key"),
    )
}

fn certificate(name: &str) -> String {
    format!(
        "req -x509 -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 \
         -keyout {name}.key -out {name}.crt"
    )
}

fn openssl(directory: &Path, line: &str) -> Result<()> {
    let mut command = program::command("openssl")?;
    program::read(command.args(line.split_whitespace()).current_dir(directory))
        .map(drop)
        .context("make a key for kube-apiserver")
}

/// A kubeconfig with one cluster and one user; JSON, which is YAML.
pub(crate) fn kubeconfig(url: &str, authority: &Path, token: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{ "name": "lab", "cluster": { "server": url, "certificate-authority": authority } }],
        "users": [{ "name": "lab", "user": { "token": token } }],
        "contexts": [{ "name": "lab", "context": { "cluster": "lab", "user": "lab" } }],
    })
    .to_string()
}
