// What is big and what is odd: panels, each a question that can be opened in Flows.
import type { ComponentChildren } from "preact";
import { expired, starts } from "../axis";
import { join, terms } from "../cel";
import { colours, OTHER } from "../colour";
import { age, amount, exact, measured, numberOf, shorten, visible } from "../format";
import { Answer, AnswerLine, Empty } from "../parts/Answer";
import { Chart, type Series } from "../parts/Chart";
import { Compare } from "../parts/Compare";
import { Grid } from "../parts/Grid";
import { openValueMenu } from "../parts/Menu";
import { Out } from "../parts/Out";
import { byTime, RateChart, useMarks, values } from "../parts/RateChart";
import { carried, type Question, selection, sums } from "../question";
import { type Asked, addressOf, me, now, question, range, useAsk, utc } from "../state";
import type { QueryAnswer, Row, StatusAnswer } from "../types";
import { QUICK, UNKNOWN } from "../words";

export function Overview() {
  const total = useAsk<QueryAnswer>("query", {
    ...selection(question.value),
    measures: ["bytes", "packets", "flows", "dropped_packets", "byte_rate", "packet_rate"],
    by: "bytes",
    top: 1,
    compare: question.value.compare,
  });
  return (
    <Answer of={total} empty={(answer) => (numberOf(answer.totals["flows"]) ? undefined : <Empty />)}>
      {(answer) => (
        <>
          <div class="controls">
            <Compare />
          </div>
          <dl class="figures">
            {["bytes", "byte_rate", "packets", "flows", "dropped_packets"].map((name) => (
              <div key={name}>
                <dt>
                  {
                    {
                      bytes: "Bytes",
                      byte_rate: "On average",
                      packets: "Packets",
                      flows: "Flows",
                      dropped_packets: "Dropped packets",
                    }[name]
                  }
                </dt>
                <dd title={exact(answer.totals[name])}>{measured(answer.totals, name, utc.value) || UNKNOWN}</dd>
                {question.value.compare && total.fresh && <dd class="change">{changed(answer.totals, name)}</dd>}
              </div>
            ))}
          </dl>
          <div class="panels">
            <Panel title="Rate" wide>
              <RateChart height={240} />
            </Panel>
            <Namespaces />
            <Top title="Workloads" group_by={["ns", "workload_name"]} conversation />
            <Top title="Ports" group_by={["protocol", "dst_port"]} />
            <Shares whole={total} />
            <Top title="Verdicts" group_by={["verdict"]} />
            <Top title="Known by" group_by={["identified_by", "dst_identified_by"]} />
            <Collector />
          </div>
          <AnswerLine
            text={`${shorten(numberOf(answer.totals["flows"]) ?? 0)} flows`}
            notes={answer.notes}
            stats={answer.stats}
          />
        </>
      )}
    </Answer>
  );
}

/** How much more it is than then. */
function changed(totals: Row, name: string): string {
  const then = numberOf(totals[`${name}_then`]) ?? 0;
  const change = numberOf(totals[`${name}_change`]) ?? 0;
  if (then === 0) return change === 0 ? "as then" : "nothing then";
  return `${change > 0 ? "+" : ""}${amount(change / then, "part")}`;
}

function Panel({
  title,
  to,
  wide,
  children,
}: {
  title: string;
  to?: Partial<Question>;
  wide?: boolean;
  children: ComponentChildren;
}) {
  return (
    <section class={`panel ${wide ? "wide" : ""}`} aria-label={title}>
      <h2>
        {title}
        {to && <a href={addressOf("flows", { ...carried(question.value), ...to })}>Open in Flows</a>}
      </h2>
      {children}
    </section>
  );
}

function Namespaces() {
  const changed = useMarks();
  const asked = byTime({ group_by: ["ns"], measures: ["byte_rate"], by: "byte_rate", top: 7 });
  const answer = useAsk<QueryAnswer>("query", asked?.params);
  return (
    <Panel title="Sent by namespaces" to={{ group_by: ["ns"] }} wide>
      <Answer of={answer}>
        {({ rows, other, notes }) => {
          if (!range.value || !asked) return null;
          const times = starts(range.value, asked.length);
          const names = [...new Set(rows.map((row) => String(row["ns"] ?? "")))];
          const given = colours(names);
          const series: Series[] = names.map((name) => ({
            name: visible(name) || "No namespace",
            colour: given.get(name) ?? OTHER,
            values: values(
              rows.filter((row) => String(row["ns"] ?? "") === name),
              times,
              asked.length,
              "byte_rate",
            ),
            pick: (opener) => openValueMenu(opener, "ns", name),
          }));
          if (other.length > 0)
            series.push({ name: "Other", colour: OTHER, values: values(other, times, asked.length, "byte_rate") });
          return (
            <Chart
              title="Sent by namespaces"
              marks={changed}
              series={series}
              gone={expired(notes)}
              range={range.value}
              bucket={asked.length}
              unit="byte_rate"
            />
          );
        }}
      </Answer>
    </Panel>
  );
}

/** The largest groups, each with its part of all. */
function Top({ title, group_by, conversation = false }: { title: string; group_by: string[]; conversation?: boolean }) {
  const by = conversation ? "sent" : "bytes";
  const asked: Question = {
    ...carried(question.value),
    group_by,
    conversation,
    by,
    measures: conversation ? ["sent", "received"] : ["bytes", "flows"],
    top: 8,
  };
  const params = sums(asked);
  const answer = useAsk<QueryAnswer>("query", params);
  return (
    <Panel title={title} to={{ group_by, conversation, by }}>
      <Answer of={answer}>
        {({ rows, other, totals, groups, columns }) => {
          const whole = Math.max(numberOf(totals[by]) ?? 0, 1);
          return (
            <>
              <Grid
                label={`${title} by ${by}`}
                rows={rows}
                all={groups}
                columns={columns.map((name) => ({
                  name,
                  title: headOf(name),
                  number: !group_by.includes(name),
                  ...(group_by.includes(name) ? { field: name } : {}),
                }))}
                cell={(row, { name }) =>
                  ({
                    text: group_by.includes(name) ? (
                      String(row[name] ?? "") || UNKNOWN
                    ) : (
                      <>
                        {measured(row, name, utc.value)}
                        {name === by && (
                          <meter
                            min={0}
                            max={whole}
                            value={numberOf(row[name]) ?? 0}
                            aria-label={`${amount((numberOf(row[name]) ?? 0) / whole, "part")} of all`}
                          />
                        )}
                      </>
                    ),
                    title: group_by.includes(name) ? undefined : exact(row[name]),
                    value: row[name],
                  }) as const
                }
                foot={other.map((row) => ({ label: `${groups - rows.length} more`, row }))}
              />
              <Out
                asks={{ verb: "flows", page: "query", params }}
                rows={rows}
                columns={columns}
                name={title.toLowerCase()}
              />
            </>
          );
        }}
      </Answer>
    </Panel>
  );
}

const HEADS: Record<string, string> = {
  ns: "Namespace",
  workload_name: "Workload",
  protocol: "Protocol",
  dst_port: "Port",
  verdict: "Verdict",
  identified_by: "Source",
  dst_identified_by: "Destination",
  sent: "Sent",
  received: "Received",
  bytes: "Bytes",
  flows: "Flows",
};
const headOf = (name: string) => HEADS[name] ?? name;

/** What part of all bytes each of the quick filters has. */
function Shares({ whole }: { whole: Asked<QueryAnswer> }) {
  return (
    <Panel title="Parts of all bytes">
      <ul class="shares">
        {[
          "Between zones",
          "Between namespaces",
          "To the internet",
          "From the internet",
          "DNS",
          "Dropped",
          "Not named",
        ].map((name) => (
          <Share key={name} name={name} of={whole} />
        ))}
      </ul>
    </Panel>
  );
}

/** One part; nothing is told of it until both answers are of the same question. */
function Share({ name, of }: { name: string; of: Asked<QueryAnswer> }) {
  const conditions = QUICK.find(([quick]) => quick === name)?.[1] ?? [];
  const filter = join([...terms(question.value.filter), ...conditions]);
  const part = useAsk<QueryAnswer>("query", { ...selection(question.value), filter, measures: ["bytes"], top: 1 });
  const isKnown = part.fresh && of.fresh;
  const whole = isKnown ? (numberOf(of.answer?.totals["bytes"]) ?? 0) : 0;
  const bytes = isKnown ? (numberOf(part.answer?.totals["bytes"]) ?? 0) : 0;
  const failed = part.failed ?? of.failed;
  const text = failed ? "?" : isKnown ? amount(whole > 0 ? bytes / whole : 0, "part") : "…";
  return (
    <li>
      <a href={addressOf("flows", { ...carried(question.value), filter })}>{name}</a>{" "}
      <span
        class="number"
        title={failed?.problem.detail ?? (isKnown ? exact(part.answer?.totals["bytes"]) : undefined)}
        aria-busy={!isKnown && !failed}
      >
        {text}
      </span>
      <meter min={0} max={Math.max(whole, 1)} value={bytes} aria-label={`${name}: ${text}`} />
    </li>
  );
}

/** Whether what is sent is kept. */
function Collector() {
  const status = useAsk<StatusAnswer>("status", me.value?.sees_everything ? {} : undefined);
  if (!me.value?.sees_everything) return null;
  return (
    <Panel title="Collector">
      <Answer of={status}>
        {({ records, store }) => {
          const newest = store?.tiers.find((tier) => tier.tier === "raw")?.newest;
          const seconds = newest ? (now() - Date.parse(newest)) / 1000 : undefined;
          const rows: Array<[string, string]> = [
            ["Records stored", shorten(records?.stored ?? 0)],
            ["Records dropped", shorten(records?.dropped ?? 0)],
            ["Datagrams dropped by the kernel", shorten(records?.kernel_drops ?? 0)],
            ["Newest record on disk", seconds === undefined ? "none yet" : `${age(seconds)} ago`],
          ];
          return (
            <>
              <dl class="pairs">
                {rows.map(([name, value]) => (
                  <div key={name}>
                    <dt>{name}</dt>
                    <dd>{value}</dd>
                  </div>
                ))}
              </dl>
              {store?.troubles.map((trouble) => (
                <p class="trouble" key={trouble}>
                  {trouble}
                </p>
              ))}
              <a href={addressOf("status", carried(question.value))}>More in Status</a>
            </>
          );
        }}
      </Answer>
    </Panel>
  );
}
