//! Questions answered by looking at one record after the other, in the simplest way.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};
use weir_api::fields::{Column, Side};
use weir_flow::Value;

use crate::filter::expr;
use crate::filter::literal::octets;
use crate::lower::tests::{Row, is};
use crate::{Measure, Quantity, Question};

/// A field, and how many bits of an address of IPv4 and of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub Column, pub Option<(u32, u32)>);

impl Key {
    pub(super) fn name(self) -> String {
        match self.1 {
            None => self.0.name().to_owned(),
            Some((v4, v6)) => format!("{}/{v4}/{v6}", self.0.name()),
        }
    }

    pub(super) fn mirrored(self) -> Self {
        Self(self.0.mirrored(), self.1)
    }
}

/// How times fall into buckets: a length and where one begins, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Even {
    pub length: i64,
    pub origin: i64,
}

impl Even {
    fn start(self, time: i64) -> i64 {
        (time - self.origin).div_euclid(self.length) * self.length + self.origin
    }
}

/// What is asked.
pub(super) struct Asked<'a> {
    pub question: &'a Question,
    pub test: expr::Test,
    pub keys: Vec<Key>,
    pub bucket: Option<Even>,
    pub from: i64,
    pub until: i64,
    pub earlier: Option<i64>,
}

/// A flow, as a group sees it.
#[derive(Clone)]
pub(super) struct View {
    row: Row,
    sent: bool,
}

/// What a group has, now and then.
#[derive(Clone, Default)]
pub(super) struct Views(pub [Vec<View>; 2]);

/// The bucket and the values of its keys, as they are printed.
pub(super) type Name = Vec<Option<String>>;

/// The groups of a question, and all flows.
pub(super) struct Groups {
    pub groups: BTreeMap<Name, Views>,
    pub totals: Views,
}

/// The flow looked at from its other end.
fn mirrored(row: &Row) -> Row {
    let turn = |(column, value): (&Column, &Value<'static>)| {
        let value = match (column.name(), value) {
            ("server", Value::Text(word)) if word == "src" => Value::Text("dst".into()),
            ("server", Value::Text(word)) if word == "dst" => Value::Text("src".into()),
            _ => value.clone(),
        };
        let name = column.name();
        let other = match name.strip_prefix("dst_") {
            _ if name.contains("gress_policy") || column.side() == Side::Flow => name.to_owned(),
            Some(plain) => plain.to_owned(),
            None if name == "tunnel_addr" => "tunnel_dst_addr".to_owned(),
            None if name == "tunnel_dst_addr" => "tunnel_addr".to_owned(),
            None => format!("dst_{name}"),
        };
        (Column::find(&other).unwrap(), value)
    };
    row.iter().map(turn).collect()
}

/// The network of an address as text of ones and zeros.
fn network(address: std::net::IpAddr, (v4, v6): (u32, u32)) -> (Vec<u8>, u32) {
    let (octets, bits, shown) = match address.to_canonical() {
        std::net::IpAddr::V4(_) => (octets(address), 96 + v4, v4),
        std::net::IpAddr::V6(_) => (octets(address), v6, v6),
    };
    let keep = |(at, octet): (usize, &u8)| {
        let bit = |n: u32| if at as u32 * 8 + n < bits { 0x80 >> n } else { 0 };
        octet & (0..8).map(bit).sum::<u8>()
    };
    (octets.iter().enumerate().map(keep).collect(), shown)
}

/// What a row holds, in an order: what is absent first.
fn cell(row: &Row, key: Key) -> Option<Vec<u8>> {
    let is_text = expr::Type::of(key.0.kind()) == Some(expr::Type::Text);
    match row.get(&key.0) {
        Some(Value::Text(text)) => Some(text.as_bytes().to_vec()),
        Some(Value::Unsigned(number)) => Some(number.to_be_bytes().to_vec()),
        Some(Value::Address(address)) => Some(match key.1 {
            Some(bits) => network(*address, bits).0,
            None => octets(*address).to_vec(),
        }),
        Some(other) => panic!("{} is {other:?}", key.0.name()),
        None => is_text.then(Vec::new),
    }
}

fn cells(row: &Row, keys: &[Key]) -> Vec<Option<Vec<u8>>> {
    keys.iter().map(|key| cell(row, *key)).collect()
}

/// Which of both views of a flow stands first: by who its ends are, then by the rest, in
/// the order of the field table.
fn order(row: &Row, image: &Row, keys: &[Key]) -> Ordering {
    let mut ordered = keys.to_vec();
    ordered.sort_unstable();
    let of = |wanted: bool| {
        let keys = ordered.iter().copied();
        keys.filter(move |key| key.0.field().identity == wanted)
    };
    let names: Vec<_> = of(true).filter(|key| key.0.side() == Side::Src).collect();
    let fields: Vec<_> = of(false).collect();
    let both = |row| (cells(row, &names), cells(row, &fields));
    both(row).cmp(&both(image))
}

fn micros(row: &Row, field: &str) -> Option<i64> {
    match row.get(&Column::of(field)) {
        Some(Value::Time(ns)) => Some((ns / 1_000) as i64),
        _ => None,
    }
}

fn shown_time(micros: i64) -> String {
    let time = Timestamp::from_microsecond(micros).unwrap();
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

impl Asked<'_> {
    /// A group as it is printed, of a flow that is counted so much later than it was.
    fn name(&self, row: &Row, later: i64) -> Name {
        let time = micros(row, "time").unwrap() + later;
        let bucket = self.bucket.map(|bucket| Some(shown_time(bucket.start(time))));
        let text = |key: &Key| match row.get(&key.0) {
            Some(Value::Text(text)) => Some(text.to_string()),
            Some(Value::Unsigned(number)) => Some(number.to_string()),
            Some(Value::Address(address)) => Some(match key.1 {
                None => address.to_canonical().to_string(),
                Some(bits) => {
                    let (octets, bits) = network(*address, bits);
                    let octets: [u8; 16] = octets.try_into().unwrap();
                    format!("{}/{bits}", std::net::Ipv6Addr::from(octets).to_canonical())
                }
            }),
            Some(other) => panic!("{other:?}"),
            None => cell(row, *key).map(|_| String::new()),
        };
        bucket.into_iter().chain(self.keys.iter().map(text)).collect()
    }

    /// Which groups a flow is in, as whom it sees it; and as what all see it.
    fn views(&self, row: &Row) -> (Vec<View>, Option<View>) {
        let view = |row: &Row, sent| View {
            row: row.clone(),
            sent,
        };
        let joined = self.keys.iter().all(|key| self.keys.contains(&key.mirrored()));
        let of_directions = [Measure::Sent, Measure::Received];
        let asked =
            |measure: &Measure| self.question.measures.contains(measure) || self.question.by == *measure;
        let conversation = self.question.conversation || of_directions.iter().any(asked);
        let direct = is(&self.test, row);
        if !conversation {
            let views: Vec<_> = direct.then(|| view(row, true)).into_iter().collect();
            return (views.clone(), views.into_iter().next());
        }
        let image = mirrored(row);
        let reverse = is(&self.test, &image);
        if !direct && !reverse {
            return (Vec::new(), None);
        }
        let far = view(&image, false);
        if joined {
            let seen = match order(row, &image, &self.keys) {
                Ordering::Less => view(row, true),
                Ordering::Equal if direct => view(row, true),
                Ordering::Equal | Ordering::Greater => far,
            };
            return (vec![seen.clone()], Some(seen));
        }
        let own = cells(row, &self.keys) == cells(&image, &self.keys);
        let near = direct.then(|| view(row, true));
        let far = (reverse && !(direct && own)).then_some(far);
        let all = near.clone().or_else(|| far.clone());
        (near.into_iter().chain(far).collect(), all)
    }

    /// The groups and all flows.
    pub(super) fn groups(&self, rows: &[Row]) -> Groups {
        let mut found = Groups {
            groups: BTreeMap::new(),
            totals: Views::default(),
        };
        for (period, earlier) in [0].into_iter().chain(self.earlier).enumerate() {
            if self.keys.is_empty() && self.bucket.is_none() {
                found.groups.entry(Vec::new()).or_default();
            }
            for row in rows {
                let time = micros(row, "time").unwrap() + earlier;
                let is_primary = row.get(&Column::of("primary")) == Some(&Value::Bool(true));
                if time < self.from || time >= self.until || !(is_primary || self.question.all_observations) {
                    continue;
                }
                let (views, all) = self.views(row);
                for view in views {
                    let name = self.name(&view.row, earlier);
                    found.groups.entry(name).or_default().0[period].push(view);
                }
                found.totals.0[period].extend(all);
            }
        }
        found
    }

    /// The range, or what it has of a bucket that is printed so.
    pub(super) fn bounds(&self, bucket: Option<&str>) -> (i64, i64) {
        let (Some(bucket), Some(Even { length, .. })) = (bucket, self.bucket) else {
            return (self.from, self.until);
        };
        let start = bucket.parse::<Timestamp>().unwrap().as_microsecond();
        (start.max(self.from), (start + length).min(self.until))
    }

    /// What is printed of a group.
    pub(super) fn measured(&self, views: &Views, totals: &Views, bounds: (i64, i64)) -> Map<String, Json> {
        let mut printed = Map::new();
        let mut measures = self.question.measures.clone();
        if !measures.contains(&self.question.by) {
            measures.push(self.question.by);
        }
        for measure in measures {
            let [now, then] =
                [(0, 0), (1, self.earlier.unwrap_or(0))].map(|(period, later): (usize, i64)| {
                    self.measure(measure, &views.0[period], &totals.0[period], (bounds, later))
                });
            let name = measure.to_string();
            printed.extend(now.clone().map(|now| (name.clone(), now)));
            if self.earlier.is_none() {
                continue;
            }
            printed.extend(then.clone().map(|then| (format!("{name}_then"), then)));
            if let (Some(now), Some(then)) = (now, then) {
                let change = match (now.as_i64(), then.as_i64(), now.as_f64(), then.as_f64()) {
                    (Some(now), Some(then), ..) => Some(json!(now - then)),
                    (_, _, Some(now), Some(then)) => Some(json!(now - then)),
                    _ => None,
                };
                printed.extend(change.map(|change| (format!("{name}_change"), change)));
            }
        }
        printed
    }

    /// A measure of flows that are counted so much later, within these bounds.
    fn measure(
        &self,
        measure: Measure,
        views: &[View],
        all: &[View],
        counted: ((i64, i64), i64),
    ) -> Option<Json> {
        let ((from, until), later) = counted;
        let of = |of| -> Vec<u64> { views.iter().filter_map(|view| quantity(&view.row, of)).collect() };
        let sum = |quantity| of(quantity).iter().sum::<u64>();
        let of_one = |of: Quantity, number: u64| match of {
            Quantity::Duration => json!(number as f64 / 1e6),
            _ => json!(number),
        };
        let times = || views.iter().filter_map(|view| micros(&view.row, "time"));
        let bytes = |sent| {
            let views = views.iter().filter(|view| view.sent == sent);
            views
                .filter_map(|view| quantity(&view.row, Quantity::Bytes))
                .sum::<u64>()
        };
        let seconds = (until - from) as f64 / 1e6;
        Some(match measure {
            Measure::Bytes => json!(sum(Quantity::Bytes)),
            Measure::Packets => json!(sum(Quantity::Packets)),
            Measure::DroppedBytes => json!(sum(Quantity::DroppedBytes)),
            Measure::DroppedPackets => json!(sum(Quantity::DroppedPackets)),
            Measure::Flows => json!(views.len()),
            Measure::ByteRate => json!(sum(Quantity::Bytes) as f64 / seconds),
            Measure::PacketRate => json!(sum(Quantity::Packets) as f64 / seconds),
            Measure::Sent => json!(bytes(true)),
            Measure::Received => json!(bytes(false)),
            Measure::MaxByteRate => {
                let interval = self
                    .bucket
                    .map_or(60_000_000, |bucket| bucket.length.min(60_000_000));
                let mut of_intervals = BTreeMap::<i64, u64>::new();
                for view in views {
                    let at = (micros(&view.row, "time")? + later).div_euclid(interval);
                    if let Some(bytes) = quantity(&view.row, Quantity::Bytes) {
                        *of_intervals.entry(at).or_default() += bytes;
                    }
                }
                // Those that the bounds cut, by what is inside, where there are no others.
                let rates = of_intervals.iter().map(|(at, bytes)| {
                    let inside = ((at + 1) * interval).min(until) - (at * interval).max(from);
                    (inside == interval, *bytes as f64 / (inside as f64 / 1e6))
                });
                let (whole, cut): (Vec<_>, Vec<_>) = rates.partition(|(whole, _)| *whole);
                let most = |rates: Vec<(bool, f64)>| rates.into_iter().map(|(_, rate)| rate).reduce(f64::max);
                json!(most(whole).or(most(cut))?)
            }
            Measure::FirstSeen => json!(shown_time(times().min()?)),
            Measure::LastSeen => json!(shown_time(times().max()?)),
            Measure::Share => {
                let of = |views| self.measure(self.question.by, views, all, counted);
                let whole = of(all)?.as_f64().filter(|whole| *whole > 0.0)?;
                json!(of(views)?.as_f64()? / whole)
            }
            Measure::Min(quantity) => of_one(quantity, of(quantity).into_iter().min()?),
            Measure::Max(quantity) => of_one(quantity, of(quantity).into_iter().max()?),
            Measure::Avg(quantity) => {
                let unit = if quantity == Quantity::Duration { 1e6 } else { 1.0 };
                let records = Some(of(quantity).len()).filter(|records| *records > 0)?;
                json!(sum(quantity) as f64 / records as f64 / unit)
            }
            Measure::Percentile(part, quantity) => {
                let mut sorted = of(quantity);
                sorted.sort_unstable();
                let percent: f64 = part.to_string().parse().unwrap();
                let place = (percent * sorted.len() as f64 / 100.0 - 1e-9).ceil() as usize;
                of_one(quantity, *sorted.get(place.checked_sub(1)?)?)
            }
            Measure::Distinct(column) => {
                let cells = views.iter().filter_map(|view| cell(&view.row, Key(column, None)));
                let known = cells.filter(|cell| !cell.is_empty());
                json!(known.collect::<BTreeSet<_>>().len())
            }
        })
    }
}

fn quantity(row: &Row, of: Quantity) -> Option<u64> {
    if of == Quantity::Duration {
        let length = micros(row, "end")? - micros(row, "start")?;
        return Some(length.max(0) as u64);
    }
    match row.get(&Column::of(of.as_str())) {
        Some(Value::Unsigned(number)) => Some(*number),
        _ => None,
    }
}
