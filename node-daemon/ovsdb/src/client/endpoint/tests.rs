use super::*;

fn parse(text: &str) -> Result<Endpoint, EndpointError> {
    text.parse()
}

#[test]
fn endpoints_are_read_and_written_as_ovs_does() {
    let ssl = |host: &str| Endpoint::Ssl {
        host: host.into(),
        port: 6640,
        tls: TlsFiles::default(),
    };
    for (text, endpoint) in [
        ("unix:/run/ovs/db.sock", Endpoint::Unix("/run/ovs/db.sock".into())),
        ("tcp:127.0.0.1:6641", Endpoint::Tcp("127.0.0.1".into(), 6641)),
        ("tcp:[::1]:6641", Endpoint::Tcp("::1".into(), 6641)),
        ("tcp:db.example:1", Endpoint::Tcp("db.example".into(), 1)),
        ("ssl:[2001:db8::1]:6640", ssl("2001:db8::1")),
        ("ssl:10.0.0.1:6640", ssl("10.0.0.1")),
    ] {
        assert_eq!(parse(text).unwrap(), endpoint);
        assert_eq!(endpoint.to_string(), text);
    }
}

#[test]
fn without_a_port_it_is_the_one_of_ovsdb() {
    assert_eq!(parse("tcp:10.0.0.1"), Ok(Endpoint::Tcp("10.0.0.1".into(), 6640)));
    assert_eq!(parse("tcp:[::1]"), Ok(Endpoint::Tcp("::1".into(), 6640)));
}

#[test]
fn an_error_names_what_is_wrong() {
    for text in ["", "/run/db.sock", "udp:10.0.0.1:1", "ptcp:6640", "Unix:/x"] {
        assert_eq!(parse(text), Err(EndpointError::Method(text.into())));
    }
    assert_eq!(parse("unix:"), Err(EndpointError::Path("unix:".into())));
    for text in [
        "tcp:",
        "tcp::6640",
        "tcp:::1:6640",
        "tcp:[::1",
        "tcp:[::1]x6640",
        "tcp:[10.0.0.1]:1",
        "ssl:a b:1",
    ] {
        assert_eq!(parse(text), Err(EndpointError::Host(text.into())), "{text}");
    }
    for text in [
        "tcp:h:0",
        "tcp:h:65536",
        "tcp:h:",
        "tcp:h:x",
        "tcp:[::1]:",
        "ssl:h:-1",
    ] {
        assert_eq!(parse(text), Err(EndpointError::Port(text.into())), "{text}");
    }
}

#[test]
fn only_ssl_takes_tls_files() {
    let files = TlsFiles {
        private_key: "k".into(),
        certificate: "c".into(),
        ca_certificate: "ca".into(),
    };
    let ssl = parse("ssl:h:1").unwrap().with_tls(files.clone());
    assert_eq!(
        ssl,
        Endpoint::Ssl {
            host: "h".into(),
            port: 1,
            tls: files.clone()
        }
    );
    assert_eq!(
        parse("unix:/x").unwrap().with_tls(files),
        Endpoint::Unix("/x".into())
    );
}
