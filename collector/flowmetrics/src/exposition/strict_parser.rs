//! A strict reader of both text formats, written apart from the writer: what the OpenMetrics
//! 1.0 specification demands of a server is an error here if it is not so.

use std::collections::{BTreeMap, BTreeSet};

/// One family of metrics.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Family {
    pub name: String,
    pub kind: String,
    pub unit: Option<String>,
    pub help: Option<String>,
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

impl Sample {
    pub fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map(|(_, value)| value.as_str())
    }

    fn labels_but_le(&self) -> Vec<(String, String)> {
        let labels = self.labels.iter().filter(|(name, _)| name != "le");
        labels.cloned().collect()
    }
}

/// Reads OpenMetrics.
pub fn open_metrics(text: &str) -> Result<Vec<Family>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("does not end in # EOF")?;
    if body.contains("# EOF") {
        return Err("# EOF in the midst".to_owned());
    }
    let families = read(body, true)?;
    for family in &families {
        check_open(family).map_err(|error| format!("{}: {error}", family.name))?;
    }
    Ok(families)
}

/// Reads Prometheus's text format.
pub fn prometheus(text: &str) -> Result<Vec<Family>, String> {
    let families = read(text, false)?;
    for family in &families {
        if family.kind == "histogram" {
            check_histograms(family, false).map_err(|error| format!("{}: {error}", family.name))?;
        }
    }
    Ok(families)
}

fn read(text: &str, open: bool) -> Result<Vec<Family>, String> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("last line has no end".to_owned());
    }
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        let failed = |why: &str| format!("{why}: {line:?}");
        if let Some(comment) = line.strip_prefix("# ") {
            let (word, rest) = comment.split_once(' ').ok_or_else(|| failed("no keyword"))?;
            let (name, rest) = rest.split_once(' ').ok_or_else(|| failed("no name"))?;
            name_ok(name, true).map_err(|why| failed(&why))?;
            let new = families.last().is_none_or(|family| family.name != name);
            if new {
                families.push(Family {
                    name: name.to_owned(),
                    ..Family::default()
                });
            }
            let family = families.last_mut().ok_or("no family")?;
            if !family.samples.is_empty() {
                return Err(failed("metadata after samples"));
            }
            match word {
                "TYPE" if family.kind.is_empty() => family.kind = rest.to_owned(),
                "UNIT" if open && family.unit.is_none() => family.unit = Some(rest.to_owned()),
                "HELP" if family.help.is_none() => family.help = Some(unescape(rest, open)?),
                _ => return Err(failed("keyword unknown or twice")),
            }
            continue;
        }
        let sample = sample(line).map_err(|why| failed(&why))?;
        let family = families
            .last_mut()
            .ok_or_else(|| failed("sample without family"))?;
        if family.kind.is_empty() {
            return Err(failed("sample without a type"));
        }
        let suffix = sample
            .name
            .strip_prefix(&family.name)
            .ok_or_else(|| failed("sample of another family"))?;
        let suffixes: &[&str] = match (&*family.kind, open) {
            ("counter", true) => &["_total", "_created"],
            ("counter" | "gauge" | "unknown", _) => &[""],
            ("histogram", true) => &["_bucket", "_count", "_sum", "_created"],
            ("histogram", false) => &["_bucket", "_count", "_sum"],
            _ => return Err(failed("unknown type")),
        };
        if !suffixes.contains(&suffix) {
            return Err(failed("suffix of another type"));
        }
        family.samples.push(sample);
    }
    no_doubles(&families)?;
    Ok(families)
}

fn no_doubles(families: &[Family]) -> Result<(), String> {
    let (mut names, mut series) = (BTreeSet::new(), BTreeSet::new());
    for family in families {
        if !names.insert(&family.name) {
            return Err(format!("family {} twice", family.name));
        }
        for sample in &family.samples {
            let mut labels = sample.labels.clone();
            labels.sort();
            let unique: BTreeSet<_> = labels.iter().map(|(name, _)| name).collect();
            if unique.len() != labels.len() {
                return Err(format!("label twice: {sample:?}"));
            }
            // An empty label is none to Prometheus.
            labels.retain(|(_, value)| !value.is_empty());
            if !series.insert((sample.name.clone(), labels)) {
                return Err(format!("series twice: {sample:?}"));
            }
        }
    }
    Ok(())
}

fn name_ok(name: &str, colons: bool) -> Result<(), String> {
    let mut chars = name.chars();
    let first = chars.next().ok_or("empty name")?;
    let word = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    if !word(first) || !chars.all(|c| word(c) || c.is_ascii_digit()) {
        return Err(format!("bad name {name:?}"));
    }
    Ok(())
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    name_ok(name, true)?;
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = value.strip_prefix(' ').ok_or("no space before the value")?;
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e');
    if value.is_empty() || (value != "+Inf" && !value.chars().all(plain)) {
        return Err(format!("bad value {value:?}"));
    }
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().map_err(|_| format!("bad value {value:?}"))?,
    })
}

type Labels = Vec<(String, String)>;

fn labels(mut rest: &str) -> Result<(Labels, &str), String> {
    let mut labels = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("label without value")?;
        name_ok(name, false)?;
        let (mut value, mut chars) = (String::new(), after.char_indices());
        let end = loop {
            match chars.next().ok_or("label without end")? {
                (at, '"') => break at,
                (_, '\\') => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, c @ ('\\' | '"'))) => value.push(c),
                    other => return Err(format!("bad escape {other:?}")),
                },
                (_, c) => value.push(c),
            }
        };
        labels.push((name.to_owned(), value));
        rest = &after[end + 1..];
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        rest = rest.strip_prefix(',').ok_or("no comma between labels")?;
    }
}

fn unescape(text: &str, quotes: bool) -> Result<String, String> {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some('\\') => plain.push('\\'),
                Some('"') if quotes => plain.push('"'),
                other => return Err(format!("bad escape {other:?} in {text:?}")),
            },
            '"' if quotes => return Err(format!("quote not escaped in {text:?}")),
            c => plain.push(c),
        }
    }
    Ok(plain)
}

fn check_open(family: &Family) -> Result<(), String> {
    if let Some(unit) = &family.unit
        && !family.name.ends_with(&format!("_{unit}"))
    {
        return Err(format!("name does not end in its unit {unit}"));
    }
    if family.kind == "counter" && family.name.ends_with("_total") {
        return Err("the name of a counter's family ends in _total".to_owned());
    }
    if family.samples.is_empty() {
        return Err("no samples".to_owned());
    }
    match &*family.kind {
        "counter" => check_counters(family),
        "histogram" => check_histograms(family, true),
        _ => Ok(()),
    }
}

fn by_series(family: &Family) -> Result<BTreeMap<Labels, Vec<&Sample>>, String> {
    let (mut groups, mut last) = (BTreeMap::<_, Vec<&Sample>>::new(), None);
    for sample in &family.samples {
        let labels = sample.labels_but_le();
        if last.as_ref() != Some(&labels) && groups.contains_key(&labels) {
            return Err(format!("samples of one series apart: {labels:?}"));
        }
        groups.entry(labels.clone()).or_default().push(sample);
        last = Some(labels);
    }
    Ok(groups)
}

fn check_counters(family: &Family) -> Result<(), String> {
    for (labels, samples) in by_series(family)? {
        let names: Vec<_> = samples
            .iter()
            .map(|sample| &sample.name[family.name.len()..])
            .collect();
        if names != ["_total", "_created"] {
            return Err(format!("{names:?} of {labels:?}"));
        }
    }
    Ok(())
}

fn check_histograms(family: &Family, open: bool) -> Result<(), String> {
    for (labels, samples) in by_series(family)? {
        let (mut bound, mut below) = (f64::NEG_INFINITY, 0.0);
        let mut rest = samples.iter().peekable();
        while let Some(bucket) = rest.next_if(|sample| sample.name.ends_with("_bucket")) {
            let le = bucket.label("le").ok_or("bucket without le")?;
            if open && le != "+Inf" && !le.contains(['.', 'e']) {
                return Err(format!("le {le:?} is no float"));
            }
            let le: f64 = le.parse().map_err(|_| format!("le {le:?}"))?;
            if le <= bound || bucket.value < below {
                return Err(format!("buckets out of order at {le}: {labels:?}"));
            }
            (bound, below) = (le, bucket.value);
        }
        if bound != f64::INFINITY {
            return Err(format!("no bucket +Inf: {labels:?}"));
        }
        let rest: Vec<_> = rest
            .map(|sample| (&sample.name[family.name.len()..], sample.value))
            .collect();
        let names: Vec<_> = rest.iter().map(|(name, _)| *name).collect();
        let wanted: &[&str] = if open {
            &["_sum", "_count", "_created"]
        } else {
            &["_sum", "_count"]
        };
        if names != wanted || rest[1].1 != below {
            return Err(format!("{rest:?} of {labels:?}"));
        }
    }
    Ok(())
}
