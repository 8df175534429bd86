// How far policies reach: what passes by a rule, for want of one, or not at all; by namespace and
// by workload, and what was said of flows at their time.
import { useSignal } from "@preact/signals";
import { join, terms } from "../../cel";
import { amount, exact, measured, shorten } from "../../format";
import { Answer, AnswerLine } from "../../parts/Answer";
import { Choice } from "../../parts/Choice";
import { type Cell, type Column, Grid } from "../../parts/Grid";
import { Out } from "../../parts/Out";
import { byNamespace, covered, DIRECTIONS, endConditions, FATE_NAMES, ORDERS, ordered, reach } from "../../policies";
import { carried, nothing, policies, selection } from "../../question";
import { addressOf, go, question, useAsk, utc } from "../../state";
import type { CoverageAnswer, PolicyCoverage, PolicyCoverageSide, QueryAnswer, Row } from "../../types";
import { FATES, fieldTitle, REASONS, UNKNOWN } from "../../words";
import { hoursOf } from "./hours";

const ORDER_WORDS: Record<string, string> = { open: "most open first", denied: "most denied first", name: "name" };

export function Coverage() {
  const asked = question.value;
  const params = policies(asked);
  const answer = useAsk<CoverageAnswer>("policy/coverage", params);
  const opened = useSignal("");
  const by = ORDERS.find((order) => order === asked.order) ?? "open";
  return (
    <>
      <Answer
        of={answer}
        empty={({ rows }) =>
          rows.length === 0 ? <p class="empty">There is no workload here whose pods you may get.</p> : undefined
        }
      >
        {({ rows, notes, ...hours }) => {
          const workloads = ordered(rows, by);
          const open = workloads.find((row) => row.workload === opened.value);
          const namespaces = byNamespace(rows);
          return (
            <>
              <Whole rows={rows} />
              {namespaces.length > 1 && (
                <>
                  <h2>Namespaces</h2>
                  <Sides label="Namespaces" title="Namespace" rows={ordered(namespaces, by)} field="ns" />
                </>
              )}
              <h2>Workloads</h2>
              <div class="controls">
                <Choice
                  label="Order"
                  value={by}
                  options={ORDERS.map((order) => [order, ORDER_WORDS[order] ?? order])}
                  onChange={(order) => go({ order: order === "open" ? "" : order })}
                />
              </div>
              <div class="with-side">
                <div>
                  <Sides
                    label="Workloads"
                    title="Workload"
                    rows={workloads}
                    opened={open && workloads.indexOf(open)}
                    onOpen={(name) => {
                      opened.value = opened.value === name ? "" : name;
                    }}
                  />
                  <p class="buttons">
                    <Out
                      asks={{ verb: "policy coverage", page: "policy/coverage", params }}
                      rows={workloads.map(flat)}
                      columns={Object.keys(flat(EMPTY))}
                      name="coverage"
                    />
                  </p>
                </div>
                {open && (
                  <Workload
                    of={open}
                    onClose={() => {
                      opened.value = "";
                    }}
                  />
                )}
              </div>
              <AnswerLine
                text={`${shorten(rows.length)} ${rows.length === 1 ? "workload" : "workloads"}, ${hoursOf(hours)}`}
                notes={notes}
                stats={undefined}
              />
            </>
          );
        }}
      </Answer>
      <AtTheTime />
    </>
  );
}

const EMPTY: PolicyCoverage = { ns: "", workload: "", ingress: reach([]), egress: reach([]) };

/** A workload as a line of a file. */
function flat({ workload, ns, ingress, egress }: PolicyCoverage): Row {
  const side = (name: string, of: PolicyCoverageSide): Array<[string, number]> => [
    [`${name}_pods`, of.pods],
    [`${name}_isolated_pods`, of.isolated_pods],
    ...FATE_NAMES.flatMap(
      (fate): Array<[string, number]> => [
        [`${name}_${fate}_flows`, of[fate].flows],
        [`${name}_${fate}_bytes`, of[fate].bytes],
      ],
    ),
  ];
  return { ns, workload, ...Object.fromEntries([...side("ingress", ingress), ...side("egress", egress)]) };
}

const percent = (part: number | undefined) => (part === undefined ? UNKNOWN : amount(part, "part"));

/** Both directions of all: figures, each beside its part of a bar. */
function Whole({ rows }: { rows: PolicyCoverage[] }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="How far policies reach">
      <table class="reach">
        <caption>How far policies reach</caption>
        <thead>
          <tr>
            <td />
            <th scope="col">Pods isolated</th>
            <th scope="col">Covered, of edges</th>
            <th scope="col">Covered, of bytes</th>
            {FATE_NAMES.map((fate) => (
              <th scope="col" key={fate} title={FATES[fate].means}>
                <span class={`swatch fate-${fate}`} aria-hidden="true" /> {FATES[fate].sign} {FATES[fate].title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {DIRECTIONS.map(([direction, title]) => {
            const side = reach(rows.map((row) => row[direction]));
            return (
              <tr key={direction}>
                <th scope="row" title={direction}>
                  {title}
                </th>
                <td>
                  {shorten(side.isolated_pods)} of {shorten(side.pods)}
                </td>
                <td>{percent(covered(side, "edges"))}</td>
                <td>
                  {percent(covered(side, "bytes"))} <Bar side={side} />
                </td>
                {FATE_NAMES.map((fate) => (
                  <td key={fate} title={`${exact(side[fate].bytes)} bytes, ${exact(side[fate].flows)} flows`}>
                    {amount(side[fate].bytes, "bytes")} <span class="quiet">({shorten(side[fate].edges)})</span>
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** The fates of bytes one beside the other; the figures stand beside it. */
function Bar({ side }: { side: PolicyCoverageSide }) {
  const all = FATE_NAMES.reduce((sum, fate) => sum + side[fate].bytes, 0);
  let at = 0;
  return (
    <svg class="fates" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      {FATE_NAMES.map((fate) => {
        const width = all === 0 ? 0 : (100 * side[fate].bytes) / all;
        const rect = <rect key={fate} class={`fate-${fate}`} x={at} y={0} width={width} height={8} />;
        at += width;
        return rect;
      })}
    </svg>
  );
}

const COLUMNS: Column[] = DIRECTIONS.flatMap(([direction, title]): Column[] => [
  {
    name: `${direction} isolated`,
    title: `${title}: isolated`,
    number: true,
    hint: "Pods that policies isolate, of all",
  },
  ...FATE_NAMES.map((fate) => ({
    name: `${direction} ${fate}`,
    title: `${title}: ${FATES[fate].title.toLowerCase()} ${FATES[fate].sign}`,
    number: true,
    hint: FATES[fate].means,
  })),
]);

/** Workloads or namespaces, both directions of each. */
function Sides({
  label,
  title,
  rows,
  field,
  opened,
  onOpen,
}: {
  label: string;
  title: string;
  rows: PolicyCoverage[];
  field?: string;
  opened?: number | undefined;
  onOpen?: (name: string) => void;
}) {
  const cell = (row: Row, { name }: Column): Cell => {
    const of = rows[Number(row["at"])];
    if (!of || name === "workload") return { text: of?.workload || UNKNOWN, value: of?.ns };
    const [direction, fate] = name.split(" ") as ["ingress" | "egress", (typeof FATE_NAMES)[number] | "isolated"];
    const side = of[direction];
    if (fate === "isolated") return { text: `${side.isolated_pods} of ${side.pods}` };
    const { bytes, flows, edges } = side[fate];
    return {
      text: edges === 0 ? UNKNOWN : amount(bytes, "bytes"),
      title: `${exact(bytes)} bytes, ${exact(flows)} flows, ${exact(edges)} edges`,
    };
  };
  return (
    <Grid
      label={label}
      rows={rows.map((_, at) => ({ at }))}
      columns={[{ name: "workload", title, ...(field ? { field } : {}) }, ...COLUMNS]}
      cell={cell}
      opened={opened}
      openLabel={title}
      {...(onOpen ? { onOpen: (row: Row) => onOpen(rows[Number(row["at"])]?.workload ?? "") } : {})}
    />
  );
}

/** Where one goes from a workload. */
function Workload({ of, onClose }: { of: PolicyCoverage; onClose: () => void }) {
  const asked = question.value;
  const own = terms(asked.filter);
  const conditions = endConditions(of.workload, "").filter((one) => !own.includes(one));
  const filter = join([...own, ...conditions]);
  const to = { ...nothing(), ...carried(asked), filter };
  const isWorkload = of.workload.split("/").length === 3;
  return (
    <aside class="side" aria-label="Workload">
      <h2>
        {of.workload}{" "}
        <button type="button" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </h2>
      <ul class="links">
        <li>
          <a href={addressOf("flows", { ...to, both_directions: true })}>Its flows</a>
        </li>
        <li>
          <a href={addressOf("matrix", { ...to, direction: "both", ports: true })}>Whom it calls, and who it</a>
        </li>
        <li>
          <a
            href={addressOf("policies", {
              ...nothing(),
              ...carried(asked),
              show: "generate",
              ...(isWorkload ? { workload: of.workload } : { ns: [of.ns] }),
            })}
          >
            Suggest policies
          </a>
        </li>
      </ul>
      <table>
        <caption>What became of its traffic</caption>
        <thead>
          <tr>
            <td />
            {DIRECTIONS.map(([direction, title]) => (
              <th scope="col" key={direction}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row">Pods isolated</th>
            {DIRECTIONS.map(([direction]) => (
              <td key={direction}>
                {of[direction].isolated_pods} of {of[direction].pods}
              </td>
            ))}
          </tr>
          {FATE_NAMES.map((fate) => (
            <tr key={fate}>
              <th scope="row" title={FATES[fate].means}>
                {FATES[fate].sign} {FATES[fate].title}
              </th>
              {DIRECTIONS.map(([direction]) => (
                <td key={direction}>
                  {amount(of[direction][fate].bytes, "bytes")}, {shorten(of[direction][fate].flows)} flows
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </aside>
  );
}

/** What the policies of the time said of flows; a click leads to these flows. */
function AtTheTime() {
  const asked = question.value;
  const group_by = ["policy_verdict", "policy_reason"];
  const params = { ...selection(asked), group_by, measures: ["flows", "bytes", "last_seen"], by: "flows", top: 50 };
  const answer = useAsk<QueryAnswer>("query", params);
  const to = (row: Row) =>
    addressOf("flows", {
      ...nothing(),
      ...carried(asked),
      filter: join([
        ...terms(asked.filter),
        ...group_by.map((name) => `${name} == ${JSON.stringify(String(row[name] ?? ""))}`),
      ]),
    });
  return (
    <section aria-label="At the time">
      <h2>What was said of flows at their time</h2>
      <Answer
        of={answer}
        empty={({ rows }) => (rows.length === 0 ? <p class="empty">No flow fits in this time.</p> : undefined)}
      >
        {({ rows, notes, stats }) => (
          <>
            <Grid
              label="Verdicts"
              rows={rows}
              columns={[
                ...group_by.map((name) => ({ name, title: fieldTitle(name), hint: name })),
                { name: "flows", title: "Flows", number: true },
                { name: "bytes", title: "Bytes", number: true },
                { name: "last_seen", title: "Last" },
              ]}
              cell={(row, { name, number }) =>
                name === "policy_verdict"
                  ? { text: String(row[name] ?? "") || "not judged", href: to(row), title: "These flows" }
                  : name === "policy_reason"
                    ? { text: REASONS[String(row[name] ?? "")] ?? UNKNOWN, title: String(row[name] ?? "") }
                    : { text: measured(row, name, utc.value), ...(number ? { title: exact(row[name]) } : {}) }
              }
            />
            <p class="links">
              <a
                href={addressOf("flows", {
                  ...nothing(),
                  ...carried(asked),
                  group_by: ["ingress_policy", "policy_verdict"],
                })}
              >
                By policy of the server
              </a>
              <a
                href={addressOf("flows", {
                  ...nothing(),
                  ...carried(asked),
                  group_by: ["egress_policy", "policy_verdict"],
                })}
              >
                By policy of the client
              </a>
            </p>
            <AnswerLine
              text={`${rows.length} ${rows.length === 1 ? "verdict" : "verdicts"}`}
              notes={notes}
              stats={stats}
              how={params}
            />
          </>
        )}
      </Answer>
    </section>
  );
}
