//! How FlowMetrics fare, asked at each scrape. What they count is at `/flow-metrics`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::flow_metrics::{Figures, FlowMetrics};

/// The metrics over records.
#[derive(Debug)]
pub(super) struct Counted(pub FlowMetrics);

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Figures {
            metrics,
            bad,
            series,
            refused,
            expired,
        } = self.0.figures();
        let gauges = [
            ("flow_metrics", "FlowMetrics that are counted", metrics),
            (
                "flow_metrics_refused",
                "FlowMetrics that are bad, so that nothing new is counted for them",
                bad,
            ),
            ("flow_metric_series", "Series of all FlowMetrics", series),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        let counters = [
            (
                "flow_metric_counts_refused",
                "Counts that would have made more series than a FlowMetric may have",
                refused,
            ),
            (
                "flow_metric_series_expired",
                "Series of FlowMetrics that ended because nothing was counted in them",
                expired,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}
