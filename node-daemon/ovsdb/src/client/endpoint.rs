//! Where an OVSDB server listens: OVS's "active connection methods" (ovsdb.7).

use super::tls;
use std::{fmt, io, path::PathBuf, str::FromStr};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `unix:PATH`
    Unix(PathBuf),
    /// `tcp:HOST:PORT`: host (an IPv6 address in brackets) and port.
    Tcp(String, u16),
    /// `ssl:HOST:PORT`
    Ssl {
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
        /// Our key and certificate, and whom to trust; see [`Endpoint::with_tls`].
        tls: TlsFiles,
    },
}

/// PEM files, read anew for each connection, so that they can be exchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our private key.
    pub private_key: PathBuf,
    /// Our certificate, with those between it and the CA.
    pub certificate: PathBuf,
    /// Certificates of the authorities that the server's must come from.
    pub ca_certificate: PathBuf,
}

/// Text that is no [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No known method before the first colon.
    #[error("{0:?}: expected unix:PATH, tcp:HOST[:PORT] or ssl:HOST[:PORT]")]
    Method(String),
    /// `unix:` without a path.
    #[error("{0:?}: the path is missing")]
    Path(String),
    /// Neither a name nor an address; IPv6 addresses need brackets.
    #[error("{0:?}: expected a host name, an IPv4 address or an IPv6 address in brackets")]
    Host(String),
    /// Not a number from 1 to 65535.
    #[error("{0:?}: expected a port from 1 to 65535")]
    Port(String),
}

/// IANA's port of OVSDB, which OVS takes too when none is given.
const DEFAULT_PORT: u16 = 6640;

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
pub(super) type Stream = Box<dyn Duplex>;

impl Endpoint {
    /// The same endpoint with these files, if it is one that needs them.
    #[must_use]
    pub fn with_tls(self, files: TlsFiles) -> Endpoint {
        match self {
            Endpoint::Ssl { host, port, .. } => Endpoint::Ssl {
                host,
                port,
                tls: files,
            },
            other => other,
        }
    }

    pub(super) async fn connect(&self) -> io::Result<Stream> {
        match self {
            Endpoint::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Endpoint::Tcp(host, port) => Ok(Box::new(tcp(host, *port).await?)),
            Endpoint::Ssl {
                host,
                port,
                tls: files,
            } => {
                let connector = tls::connector(files).await?;
                let name = tls::server_name(host)?;
                Ok(Box::new(connector.connect(name, tcp(host, *port).await?).await?))
            }
        }
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let wrong = || EndpointError::Method(text.to_owned());
        let (method, rest) = text.split_once(':').ok_or_else(wrong)?;
        match method {
            "unix" if rest.is_empty() => Err(EndpointError::Path(text.to_owned())),
            "unix" => Ok(Endpoint::Unix(rest.into())),
            "tcp" => host_and_port(text, rest).map(|(host, port)| Endpoint::Tcp(host, port)),
            "ssl" => host_and_port(text, rest).map(|(host, port)| Endpoint::Ssl {
                host,
                port,
                tls: TlsFiles::default(),
            }),
            _ => Err(wrong()),
        }
    }
}

fn host_and_port(text: &str, rest: &str) -> Result<(String, u16), EndpointError> {
    let wrong_host = || EndpointError::Host(text.to_owned());
    let (host, port) = match rest.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']').ok_or_else(wrong_host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong_host())?;
            (
                host,
                after
                    .strip_prefix(':')
                    .or(after.is_empty().then_some(""))
                    .ok_or_else(wrong_host)?,
            )
        }
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    if host.is_empty() || host.contains(char::is_whitespace) || (!rest.starts_with('[') && port.contains(':'))
    {
        return Err(wrong_host());
    }
    if port.is_empty() && !rest.ends_with(':') {
        return Ok((host.to_owned(), DEFAULT_PORT));
    }
    match port.parse() {
        Ok(port) if port > 0 => Ok((host.to_owned(), port)),
        _ => Err(EndpointError::Port(text.to_owned())),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, host, port) = match self {
            Endpoint::Unix(path) => return write!(f, "unix:{}", path.display()),
            Endpoint::Tcp(host, port) => ("tcp", host, port),
            Endpoint::Ssl { host, port, .. } => ("ssl", host, port),
        };
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{method}:{open}{host}{close}:{port}")
    }
}

#[cfg(test)]
mod tests;
