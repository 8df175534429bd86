//! ConfigMap `openshift-network-operator/ovs-flows-config`, read as the Cluster
//! Network Operator reads it (`bootstrapFlowsConfig`), without its zero bug:
//! there, a value of 0 fell back to the node's default; here zero stays zero.
//!
//! It speaks of IPFIX only. Its target is appended to the `Network`'s IPFIX
//! collectors, and its tuning counts only when it has a target.

use std::collections::BTreeMap;

/// Namespace of the ConfigMap.
pub const NAMESPACE: &str = "openshift-network-operator";
/// Name of the ConfigMap.
pub const NAME: &str = "ovs-flows-config";

/// The longest cache timeout that OVS takes, in seconds.
const MAX_CACHE_SECONDS: u64 = 4200;

/// What the ConfigMap says, as far as it is valid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowsConfig {
    /// `ADDRESS:PORT` (`sharedTarget`) or `:PORT` (`nodePort`), not yet parsed.
    pub target: String,
    /// Which key the target came from.
    pub target_key: &'static str,
    /// Seconds that a flow stays in the IPFIX cache.
    pub cache_active_timeout: Option<u32>,
    /// Flows in the IPFIX cache.
    pub cache_max_flows: Option<u32>,
    /// One packet in so many; 0 turns IPFIX export off.
    pub sampling: Option<u32>,
}

/// Reads the ConfigMap's data. `None` when it names no target, which makes it
/// void; the second value holds a warning for each thing that was ignored.
pub fn parse(data: &BTreeMap<String, String>) -> (Option<FlowsConfig>, Vec<String>) {
    let mut warnings = Vec::new();
    let Some((target, target_key)) = target(data) else {
        warnings.push("has neither a sharedTarget nor a nodePort, so all of it is ignored".to_owned());
        return (None, warnings);
    };
    let mut read = |key: &str, parse: fn(&str) -> Parsed| {
        let text = data.get(key)?;
        match parse(text) {
            Ok((value, warning)) => {
                warnings.extend(warning.map(|w| format!("{key} {text:?} {w}")));
                Some(value)
            }
            Err(reason) => {
                warnings.push(format!("{key} {text:?} is ignored: {reason}"));
                None
            }
        }
    };
    let config = FlowsConfig {
        target,
        target_key,
        cache_active_timeout: read("cacheActiveTimeout", parse_timeout),
        cache_max_flows: read("cacheMaxFlows", parse_number),
        sampling: read("sampling", parse_number),
    };
    (Some(config), warnings)
}

/// `nodePort` counts only where there is no `sharedTarget` at all; an empty
/// `sharedTarget` voids the map.
fn target(data: &BTreeMap<String, String>) -> Option<(String, &'static str)> {
    match (data.get("sharedTarget"), data.get("nodePort")) {
        (Some(shared), _) if shared.is_empty() => None,
        (Some(shared), _) => Some((shared.clone(), "sharedTarget")),
        (None, Some(port)) => Some((format!(":{port}"), "nodePort")),
        (None, None) => None,
    }
}

/// A value, perhaps with a warning about it; or why it is none.
type Parsed = Result<(u32, Option<String>), String>;

fn parse_number(text: &str) -> Parsed {
    // Go's ParseUint takes no sign, Rust's parse takes a plus.
    if text.starts_with('+') {
        return Err("it is not a whole number from 0 to 4294967295".to_owned());
    }
    text.parse()
        .map(|n| (n, None))
        .map_err(|_| "it is not a whole number from 0 to 4294967295".to_owned())
}

fn parse_timeout(text: &str) -> Parsed {
    let nanos = parse_go_duration(text)
        .ok_or_else(|| "it is not a duration such as 20s, 1m30s or 3200ms".to_owned())?;
    let nanos = u64::try_from(nanos).map_err(|_| "a timeout cannot be negative".to_owned())?;
    let seconds = nanos / 1_000_000_000;
    if seconds > MAX_CACHE_SECONDS {
        return Err(format!("OVS takes at most {MAX_CACHE_SECONDS}s"));
    }
    let truncated = nanos % 1_000_000_000 != 0;
    let seconds = u32::try_from(seconds).expect("at most 4200");
    Ok((
        seconds,
        truncated.then(|| format!("is cut to whole seconds: {seconds}s")),
    ))
}

/// Go's `time.ParseDuration`: an optional sign, then decimal numbers with
/// units; `0` alone is valid. Nanoseconds; `None` for malformed or too long.
fn parse_go_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let (nanos, after) = parse_go_term(rest)?;
        total = total.checked_add(nanos)?;
        rest = after;
    }
    Some(sign * total)
}

/// One `<decimal><unit>` and what follows it.
fn parse_go_term(text: &str) -> Option<(i64, &str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest
        .find(|c: char| c.is_ascii_digit() || c == '.')
        .unwrap_or(rest.len());
    let (unit, after) = rest.split_at(unit_end);
    let scale: i64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos = whole
        .checked_mul(scale)?
        .checked_add(fraction_of(fraction, scale)?)?;
    Some((nanos, after))
}

/// The decimal digits after a point, as nanoseconds of a unit, truncated.
fn fraction_of(digits: &str, scale: i64) -> Option<i64> {
    let mut nanos = 0;
    let mut unit = scale;
    for digit in digits.bytes() {
        if !digit.is_ascii_digit() {
            return None;
        }
        unit /= 10;
        nanos += i64::from(digit - b'0') * unit;
    }
    Some(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Option<FlowsConfig>, Vec<String>) {
        parse(
            &pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn a_shared_target_with_tuning_is_read_whole() {
        let (config, warnings) = read(&[
            ("sharedTarget", "10.0.0.1:4739"),
            ("cacheActiveTimeout", "1m30s"),
            ("cacheMaxFlows", "400"),
            ("sampling", "2"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.target, "10.0.0.1:4739");
        assert_eq!(config.cache_active_timeout, Some(90));
        assert_eq!((config.cache_max_flows, config.sampling), (Some(400), Some(2)));
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn zero_stays_zero() {
        let (config, _) = read(&[
            ("nodePort", "2055"),
            ("cacheActiveTimeout", "0s"),
            ("cacheMaxFlows", "0"),
            ("sampling", "0"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.target, ":2055");
        assert_eq!(
            (
                config.cache_active_timeout,
                config.cache_max_flows,
                config.sampling
            ),
            (Some(0), Some(0), Some(0))
        );
    }

    #[test]
    fn a_shared_target_beats_a_node_port_and_an_empty_one_voids_the_map() {
        assert_eq!(
            read(&[("sharedTarget", "a:1"), ("nodePort", "2")])
                .0
                .unwrap()
                .target,
            "a:1"
        );
        assert_eq!(read(&[("sharedTarget", ""), ("nodePort", "2")]).0, None);
        let (config, warnings) = read(&[("sampling", "5")]);
        assert_eq!((config, warnings.len()), (None, 1));
    }

    #[test]
    fn fractions_are_cut_with_a_warning_and_nonsense_is_ignored_with_one() {
        let (config, warnings) = read(&[("sharedTarget", "a:1"), ("cacheActiveTimeout", "3200ms")]);
        assert_eq!(config.unwrap().cache_active_timeout, Some(3));
        assert_eq!(warnings.len(), 1);
        for bad in [
            "60",
            "",
            "s",
            "1x",
            "-5s",
            "4201s",
            "1.2.3s",
            ".s",
            "99999999999h",
            "+",
        ] {
            let (config, warnings) = read(&[("sharedTarget", "a:1"), ("cacheActiveTimeout", bad)]);
            assert_eq!(config.unwrap().cache_active_timeout, None, "{bad}");
            assert_eq!(warnings.len(), 1, "{bad}");
        }
        let (config, warnings) = read(&[
            ("sharedTarget", "a:1"),
            ("sampling", "-1"),
            ("cacheMaxFlows", "+1"),
        ]);
        assert_eq!((config.unwrap().sampling, warnings.len()), (None, 2));
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let second = 1_000_000_000;
        let cases = [
            ("1.5h", 5400 * second),
            ("2h45m.5s", 9900 * second + second / 2),
            ("-1m", -60 * second),
            ("1us", 1000),
            ("1µs", 1000),
            ("+3ns", 3),
            ("0", 0),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse_go_duration(text), Some(nanos), "{text}");
        }
    }
}
