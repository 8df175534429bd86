// How a FlowMetric fares, and how Prometheus is asked for it.
import type { FlowMetricAnswer } from "../../types";

export type Fare = "counts" | "full" | "before" | "refused" | "waits";

/** `before`: what was good before still counts in place of what is there now. */
export function fare(of: Pick<FlowMetricAnswer, "counted" | "ready" | "refused">): Fare {
  if (!of.ready) return of.counted ? "before" : "refused";
  if (!of.counted) return "waits";
  return of.refused > 0 ? "full" : "counts";
}

/** What asks Prometheus for it: counters by the second, whatever type it is where that is not known. */
export function query(metric: string | undefined | null): string | undefined {
  if (!metric || !/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(metric)) return undefined;
  return metric.endsWith("_total") ? `sum(rate(${metric}[5m]))` : metric;
}
