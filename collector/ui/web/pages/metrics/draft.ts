// The metric that is written or pasted: kept while the page is open.
import { signal } from "@preact/signals";
import { METRIC_DRAFT } from "../../words";

export const metricDraft = signal(METRIC_DRAFT);
