// What is counted over flow records for Prometheus: which FlowMetrics there are, how they fare,
// and how many series one would have that is not there yet.
import { useSignal } from "@preact/signals";
import { amount, exact, shorten } from "../format";
import { Answer, AnswerLine } from "../parts/Answer";
import { Grid } from "../parts/Grid";
import { copy } from "../parts/Menu";
import { Out } from "../parts/Out";
import { Yaml } from "../parts/Yaml";
import { me, useAsk, useSend } from "../state";
import type { FieldMessage, FlowMetricAnswer, FlowMetricsAnswer, MetricJudgement } from "../types";
import { CARDINALITIES, METRIC_DRAFT, METRIC_STATES, UNKNOWN } from "../words";
import { metricDraft } from "./metrics/draft";
import { fare, query } from "./metrics/fare";

/** The longest that the collector takes. */
const MOST = 128 << 10;

export function FlowMetrics() {
  const answer = useAsk<FlowMetricsAnswer>("flow-metrics", {});
  return (
    <>
      <section aria-label="Known">
        <Answer of={answer} empty={({ metrics }) => (metrics.length === 0 ? <None /> : undefined)}>
          {({ metrics }) => <Known metrics={metrics} />}
        </Answer>
      </section>
      <Estimate />
    </>
  );
}

function None() {
  return (
    <p class="empty">
      There is no FlowMetric. In a cluster they are objects of the namespace netobserv; without one, files:{" "}
      <code>--flow-metrics FILE|FOLDER</code>.
    </p>
  );
}

function Known({ metrics }: { metrics: FlowMetricAnswer[] }) {
  const opened = useSignal("");
  const keyOf = (of: FlowMetricAnswer) => `${of.origin} ${of.namespace}/${of.name}`;
  const open = metrics.find((of) => keyOf(of) === opened.value);
  const rows = metrics.map((of, at) => ({
    at,
    metric: of.metric ?? "",
    state: fare(of),
    object: of.namespace ? `${of.namespace}/${of.name}` : of.name,
    origin: of.origin,
    series: of.series,
    bound: of.bound,
    refused: of.refused,
    cardinality: of.cardinality ?? "",
    estimate: of.estimate?.message ?? "",
  }));
  const series = metrics.reduce((sum, of) => sum + of.series, 0);
  const refused = metrics.filter((of) => !of.ready).length;
  return (
    <>
      <div class="with-side">
        <div>
          <Grid
            label="FlowMetrics"
            rows={rows}
            openLabel="FlowMetric"
            opened={open && metrics.indexOf(open)}
            onOpen={(_, at) => {
              const of = metrics[at];
              opened.value = of && opened.value !== keyOf(of) ? keyOf(of) : "";
            }}
            columns={[
              { name: "metric", title: "Metric" },
              { name: "state", title: "Fares" },
              { name: "object", title: "Object" },
              { name: "origin", title: "From" },
              { name: "series", title: "Series", number: true },
              { name: "bound", title: "At most", number: true, hint: "Further series are refused" },
              { name: "refused", title: "Refused", number: true, hint: "Counts that found no series" },
              { name: "cardinality", title: "Values of labels" },
              { name: "estimate", title: "Estimate" },
            ]}
            cell={(row, { name, number }) =>
              number
                ? { text: shorten(Number(row[name])), title: exact(row[name]) }
                : name === "state"
                  ? { text: METRIC_STATES[String(row[name])] ?? String(row[name]) }
                  : name === "cardinality"
                    ? { text: String(row[name]) || UNKNOWN, title: CARDINALITIES[String(row[name])] }
                    : { text: String(row[name] ?? "") || UNKNOWN }
            }
          />
          <p class="buttons">
            <Out
              rows={rows.map(({ at: _, ...row }) => row)}
              columns={Object.keys(rows[0] ?? {}).slice(1)}
              name="flow-metrics"
            />
          </p>
          <AnswerLine
            text={`${metrics.length} ${metrics.length === 1 ? "resource" : "resources"}, ${shorten(series)} series${refused > 0 ? `, ${refused} not accepted` : ""}`}
            notes={[]}
            stats={undefined}
          />
        </div>
        {open && (
          <One
            of={open}
            onClose={() => {
              opened.value = "";
            }}
          />
        )}
      </div>
      <p class="hint">
        As dashboards of Grafana: <code>weir dashboards &gt; main.json</code>; as rules about health:{" "}
        <code>weir dashboards --rules &gt; rules.yaml</code>. Prometheus scrapes <code>/flow-metrics</code>.
      </p>
    </>
  );
}

function One({ of, onClose }: { of: FlowMetricAnswer; onClose: () => void }) {
  const asks = query(of.metric);
  return (
    <aside class="side" aria-label="FlowMetric">
      <h2>
        {of.metric ?? of.name}{" "}
        <button type="button" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </h2>
      <p>{METRIC_STATES[fare(of)]}</p>
      <Judged of={of} />
      {asks && (
        <>
          <h3>PromQL</h3>
          <p class="buttons">
            <code>{asks}</code>{" "}
            <button type="button" onClick={() => void copy(asks)}>
              Copy
            </button>
          </p>
        </>
      )}
      <dl class="pairs">
        {(
          [
            ["From", of.origin],
            ["Series", exact(of.series)],
            ["At most", exact(of.bound)],
            ["Counts refused", exact(of.refused)],
          ] as const
        ).map(([title, text]) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      {of.refused > 0 && (
        <p class="trouble">
          There are more combinations of labels than it may have series: leave labels out, or raise the annotation{" "}
          <code>weir.dev/max-series</code>.
        </p>
      )}
    </aside>
  );
}

/** What is wrong, what is unwise, and how many series it is. */
function Judged({ of }: { of: MetricJudgement }) {
  return (
    <>
      <Messages title="Wrong" of={of.problems} />
      <Messages title="Unwise" of={of.warnings} />
      {of.cardinality && <p>{CARDINALITIES[of.cardinality] ?? of.cardinality}</p>}
      {of.estimate && <p>{of.estimate.message}</p>}
    </>
  );
}

function Messages({ title, of }: { title: string; of: FieldMessage[] }) {
  if (of.length === 0) return null;
  return (
    <>
      <h3>{title}</h3>
      <ul class="report">
        {of.map(({ field, message, remedy }) => (
          <li key={field + message}>
            <code>{field}</code>: {message}
            {remedy ? `; ${remedy}` : ""}
          </li>
        ))}
      </ul>
    </>
  );
}

/** A metric that is not there yet: judged as if it were applied, and counted over what is stored. */
function Estimate() {
  const { asked, send } = useSend<MetricJudgement>("flow-metrics/estimate");
  const apply = "kubectl apply -n netobserv -f metric.yaml";
  return (
    <section aria-label="New">
      <h2>A new one</h2>
      {me.value?.sees_everything ? (
        <>
          <p class="hint">
            It is judged as if it were applied, and counted over the flows that are stored. Nothing is changed.
          </p>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              send({}, metricDraft.value);
            }}
          >
            <Yaml label="FlowMetric, as YAML or JSON" text={metricDraft} most={MOST} rows={14} />
            <p class="buttons">
              <button type="submit" disabled={metricDraft.value.trim() === ""}>
                Estimate
              </button>
              <button
                type="button"
                onClick={() => {
                  metricDraft.value = METRIC_DRAFT;
                }}
              >
                An example
              </button>
              <button type="button" onClick={() => void copy(metricDraft.value)}>
                Copy YAML
              </button>
              <button type="button" onClick={() => void copy(apply)}>
                Copy command
              </button>
            </p>
          </form>
          {asked && (
            <Answer of={asked}>
              {(judged) => (
                <div role="status">
                  <p class={judged.ready ? "good" : "trouble"}>
                    <strong>
                      {judged.ready ? `✓ It would count as ${judged.metric ?? "a metric"}.` : "✕ It would not count."}
                    </strong>
                  </p>
                  <Judged of={judged} />
                  {judged.ready && judged.estimate?.series === undefined && (
                    <p class="hint">How many series it would have cannot be told: no flow is stored.</p>
                  )}
                  {judged.ready && (
                    <p class="hint">
                      To apply it: <code>{apply}</code>. {amount(MOST, "bytes")} is the most that one may be long.
                    </p>
                  )}
                </div>
              )}
            </Answer>
          )}
        </>
      ) : (
        <p class="hint">
          The estimate is for those who may get pods in all namespaces: what a filter lets through tells which flows
          there are.
        </p>
      )}
    </section>
  );
}
