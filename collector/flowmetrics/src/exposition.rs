//! The series as text for scrapers: OpenMetrics 1.0 and Prometheus's own format 0.0.4.
//! Metrics come by name, series by the values of their labels.

use std::fmt::{self, Write};

use crate::definition::{Definition, Kind};
use crate::metric::Metric;
use crate::registry::Registry;
use crate::series::{LabelTable, Series};

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0: units, creation times, an end mark.
    OpenMetrics,
    /// Prometheus's text format 0.0.4.
    Prometheus,
}

/// Units that a name may end in.
const UNITS: [&str; 4] = ["bytes", "packets", "seconds", "flows"];

impl Exposition {
    /// The media type of the format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Registry {
    /// Writes all series. A metric without series is left out.
    pub fn expose(&self, format: Exposition, out: &mut impl Write) -> fmt::Result {
        for metric in &self.metrics {
            if metric.series.alive() > 0 {
                let family = Family {
                    format,
                    definition: &metric.definition,
                    table: self.table(metric),
                };
                family.write(metric, out)?;
            }
        }
        match format {
            Exposition::OpenMetrics => out.write_str("# EOF\n"),
            Exposition::Prometheus => Ok(()),
        }
    }
}

struct Family<'r> {
    format: Exposition,
    definition: &'r Definition,
    table: &'r LabelTable,
}

impl Family<'_> {
    fn is_open(&self) -> bool {
        self.format == Exposition::OpenMetrics
    }

    /// Name of the family: OpenMetrics leaves the suffix of counters to their samples.
    fn name(&self) -> &str {
        let name = &self.definition.name;
        match self.definition.kind {
            Kind::Counter if self.is_open() => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        }
    }

    /// A counter whose name does not end in `_total` would have another name in
    /// OpenMetrics, and what asks for it would find it in one format alone.
    fn type_name(&self) -> &'static str {
        match self.definition.kind {
            Kind::Counter if self.is_open() && !self.definition.name.ends_with("_total") => "unknown",
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }

    fn write(&self, metric: &Metric, out: &mut impl Write) -> fmt::Result {
        self.write_head(out)?;
        let mut series: Vec<_> = metric.series.iter(self.table).collect();
        let labels = self.definition.labels.len();
        let values = |slot: u32| (0..labels).map(move |label| self.table.value(slot, label));
        series.sort_unstable_by(|(one, _), (other, _)| values(*one).cmp(values(*other)));
        for (slot, series) in series {
            match &self.definition.kind {
                Kind::Histogram(bounds) => {
                    self.write_histogram(slot, series, bounds, metric.series.buckets(slot), out)?;
                }
                _ => self.write_value(slot, "", series.raw, out)?,
            }
            if self.type_name() != "gauge" && self.type_name() != "unknown" {
                self.write_created(slot, metric.series.created_ms(slot, self.table), out)?;
            }
        }
        Ok(())
    }

    fn write_head(&self, out: &mut impl Write) -> fmt::Result {
        let name = self.name();
        let help = &self.definition.help;
        if !self.is_open() && !help.is_empty() {
            writeln!(out, "# HELP {name} {}", Escaped(help, false))?;
        }
        writeln!(out, "# TYPE {name} {}", self.type_name())?;
        if !self.is_open() {
            return Ok(());
        }
        let unit = UNITS.into_iter().find(|unit| {
            let before = name.strip_suffix(unit).and_then(|rest| rest.strip_suffix('_'));
            before.is_some_and(|before| !before.is_empty())
        });
        if let Some(unit) = unit {
            writeln!(out, "# UNIT {name} {unit}")?;
        }
        if !help.is_empty() {
            writeln!(out, "# HELP {name} {}", Escaped(help, true))?;
        }
        Ok(())
    }

    /// The sample's name and labels, ready for its value.
    fn write_sample(&self, slot: u32, suffix: &str, le: Option<f64>, out: &mut impl Write) -> fmt::Result {
        let base = if suffix == "_created" {
            self.name()
        } else {
            &self.definition.name
        };
        write!(out, "{base}{suffix}")?;
        let mut open = '{';
        for (at, label) in self.definition.labels.iter().enumerate() {
            let value = Escaped(self.table.value(slot, at), true);
            write!(out, "{open}{}=\"{value}\"", label.name)?;
            open = ',';
        }
        if let Some(le) = le {
            write!(out, "{open}le=\"")?;
            self.write_bound(le, out)?;
            out.write_str("\"")?;
            open = ',';
        }
        out.write_str(if open == ',' { "} " } else { " " })
    }

    /// OpenMetrics wants a point in every bound; Prometheus's clients write none in whole ones.
    fn write_bound(&self, bound: f64, out: &mut impl Write) -> fmt::Result {
        if bound == f64::INFINITY {
            out.write_str("+Inf")
        } else if self.is_open() {
            write!(out, "{bound:?}")
        } else {
            write!(out, "{bound}")
        }
    }

    fn write_value(&self, slot: u32, suffix: &str, raw: u64, out: &mut impl Write) -> fmt::Result {
        self.write_sample(slot, suffix, None, out)?;
        match self.definition.divider {
            None => writeln!(out, "{raw}"),
            Some(_) => writeln!(out, "{}", self.definition.scaled(raw)),
        }
    }

    fn write_histogram(
        &self,
        slot: u32,
        series: &Series,
        bounds: &[f64],
        buckets: &[u64],
        out: &mut impl Write,
    ) -> fmt::Result {
        let mut below = 0;
        for (bound, count) in bounds.iter().zip(buckets) {
            below += count;
            self.write_sample(slot, "_bucket", Some(*bound), out)?;
            writeln!(out, "{below}")?;
        }
        self.write_sample(slot, "_bucket", Some(f64::INFINITY), out)?;
        let count = buckets.iter().sum::<u64>();
        writeln!(out, "{count}")?;
        // With a negative bound, OpenMetrics takes no sum, which might fall, and no count.
        if self.is_open() && bounds.first().is_some_and(|bound| *bound < 0.0) {
            return Ok(());
        }
        self.write_value(slot, "_sum", series.raw, out)?;
        self.write_sample(slot, "_count", None, out)?;
        writeln!(out, "{count}")
    }

    fn write_created(&self, slot: u32, created_ms: u64, out: &mut impl Write) -> fmt::Result {
        if !self.is_open() {
            return Ok(());
        }
        self.write_sample(slot, "_created", None, out)?;
        let (seconds, ms) = (created_ms / 1000, created_ms % 1000);
        writeln!(out, "{seconds}.{ms:03}")
    }
}

/// A text with backslashes, line ends and, where told, quotes escaped.
struct Escaped<'t>(&'t str, bool);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, quotes) = *self;
        let mut rest = text;
        while let Some(at) = rest.find(|c| c == '\\' || c == '\n' || (c == '"' && quotes)) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'\n' => "\\n",
                b'"' => "\\\"",
                _ => "\\\\",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod strict_parser;
#[cfg(test)]
mod tests;
