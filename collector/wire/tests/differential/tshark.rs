//! The capture, dissected by tshark (Debian package tshark).

use std::process::Command;

/// Below the package's folder, in which cargo runs its tests.
const CAPTURE: &str = "tests/data/ovs-3.1.0-netflow5-ipfix-sflow5.pcap";

/// The values of each field in each datagram that the filter lets through. `decode`
/// says which protocol is on which port. Hexadecimal numbers become decimal ones.
pub fn read(decode: &str, filter: &str, fields: &[String]) -> Vec<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command.args([
        "-r",
        CAPTURE,
        "-d",
        decode,
        "-Y",
        filter,
        "-T",
        "fields",
        "-E",
        "separator=;",
    ]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .map(|line| line.split(';').map(cell).collect())
        .collect()
}

fn cell(text: &str) -> Vec<String> {
    text.split(',')
        .filter(|value| !value.is_empty())
        .map(|value| {
            let number = value
                .strip_prefix("0x")
                .and_then(|digits| u64::from_str_radix(digits, 16).ok());
            number.map_or(value.to_owned(), |number| number.to_string())
        })
        .collect()
}
