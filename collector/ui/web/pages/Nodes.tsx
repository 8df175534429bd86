// What each node exported, over time; and what of it was received.

import { expired, isGone, starts } from "../axis";
import { equals, join, terms } from "../cel";
import { standing } from "../exports";
import { amount, clock, exact, numberOf, shorten, time, unitOf } from "../format";
import { heat } from "../matrix";
import { Answer, AnswerLine, Empty } from "../parts/Answer";
import { Grid } from "../parts/Grid";
import { HeatGrid, Scale } from "../parts/HeatGrid";
import { Out } from "../parts/Out";
import { carried, nothing, selection } from "../question";
import { bucketOf, lengthOf, writeMoment } from "../span";
import { addressOf, ago, go, me, open, question, range, useAsk, utc } from "../state";
import type { ExportsAnswer, NodesAnswer, QueryAnswer } from "../types";
import { measureTitle, NOT_NAMED, STANDINGS, UNKNOWN } from "../words";

const VALUES = ["byte_rate", "packet_rate", "flows", "dropped_packets"];
/** Cells of a row at most. */
const CELLS = 48;
const MOST_NODES = 250;
/** Nodes differ less than peers do. */
const DECADES = 2;

export function Nodes() {
  return (
    <>
      <Heat />
      <Received />
    </>
  );
}

function Heat() {
  const asked = question.value;
  const by = VALUES.includes(asked.by) ? asked.by : "byte_rate";
  const meant = range.value;
  const bucket = meant && bucketOf(meant, CELLS);
  const length = lengthOf(bucket ?? "") ?? 60_000;
  // Whatever a node saw it exported, also what another node saw, too.
  const params = bucket
    ? {
        ...selection(asked),
        all_observations: true,
        group_by: ["exporter_node"],
        measures: [...new Set([by, "flows"])],
        by,
        bucket,
        top: MOST_NODES,
      }
    : undefined;
  const answer = useAsk<QueryAnswer>("query", params);
  const exports = useAsk<ExportsAnswer>("exports", me.value?.cluster ? {} : undefined).answer;
  return (
    <section aria-label="Exported">
      <div class="controls">
        <label>
          Value{" "}
          <select value={by} onChange={(event) => go({ by: event.currentTarget.value })}>
            {VALUES.map((name) => (
              <option key={name} value={name}>
                {measureTitle(name).toLowerCase()}
              </option>
            ))}
          </select>
        </label>
        <label>
          Order{" "}
          <select value={asked.order} onChange={(event) => go({ order: event.currentTarget.value })}>
            <option value="">highest</option>
            <option value="name">name</option>
          </select>
        </label>
      </div>
      <Answer of={answer} empty={({ rows }) => (rows.length === 0 && !exports?.nodes?.length ? <Empty /> : undefined)}>
        {({ rows, groups, columns, notes, stats }) => {
          if (!meant || !params) return null;
          const times = starts(meant, length);
          const gone = expired(notes);
          const cells = new Map<string, Map<number, { value: number; flows: number }>>();
          for (const row of rows) {
            const node = String(row["exporter_node"] ?? "");
            const own = cells.get(node) ?? new Map<number, { value: number; flows: number }>();
            cells.set(node, own);
            own.set(Date.parse(String(row["time"])), {
              value: numberOf(row[by]) ?? 0,
              flows: numberOf(row["flows"]) ?? 0,
            });
          }
          const sum = (node: string) =>
            [...(cells.get(node)?.values() ?? [])].reduce((all, cell) => all + cell.value, 0);
          const silent = without(exports, cells);
          const nodes = [...cells.keys(), ...silent.keys()].sort(
            (a, b) => (asked.order === "name" ? 0 : sum(b) - sum(a)) || (a < b ? -1 : 1),
          );
          const most = Math.max(
            0,
            ...[...cells.values()].flatMap((own) => [...own.values()].map((cell) => cell.value)),
          );
          const told = (at: number) =>
            `${time(writeMoment(at), utc.value)} to ${clock(new Date(at + length), utc.value)}`;
          return (
            <>
              <HeatGrid
                label="What each node exported"
                dense
                corner=""
                rows={nodes.map((node) => ({ key: node, title: node || NOT_NAMED }))}
                columns={times.map((at, place) => ({
                  key: String(at),
                  title: place % 8 === 0 ? clock(new Date(at), utc.value).slice(0, 5) : "",
                }))}
                cell={(row, column) => {
                  const cell = cells.get(row.key)?.get(Number(column.key));
                  return cell
                    ? {
                        step: heat(cell.value, most, DECADES),
                        name: `${row.title}, ${told(Number(column.key))}: ${amount(cell.value, unitOf(by))}`,
                      }
                    : {
                        step: -1,
                        none: true,
                        name: `${row.title}, ${told(Number(column.key))}: ${
                          isGone(gone, Number(column.key), length)
                            ? "no data, it has expired"
                            : (silent.get(row.key) ?? "nothing that fits was exported")
                        }`,
                      };
                }}
                onPick={(row, column) =>
                  open(
                    addressOf("flows", {
                      ...nothing(),
                      ...carried(asked),
                      all_observations: true,
                      filter: join([...terms(asked.filter), equals("exporter_node", row.key, "text")]),
                      since: writeMoment(Math.max(Number(column.key), meant.since)),
                      until: writeMoment(Math.min(Number(column.key) + length, meant.until)),
                    }),
                  )
                }
              />
              <Scale>
                more, up to {amount(most, unitOf(by))}. Hatched where nothing that fits the filter is known
                {gone.length > 0 ? ", or records have expired" : ""}.
              </Scale>
              {silent.size > 0 && (
                <p class="hint">
                  Nothing that fits came of{" "}
                  {[...silent].map(([node, why], at) => (
                    <span key={node}>
                      {at > 0 && ", "}
                      <a href={addressOf("export", { ...carried(asked), sel: node })}>{node}</a> ({why})
                    </span>
                  ))}
                  .
                </p>
              )}
              <p class="buttons">
                <Out asks={{ verb: "flows", page: "query", params }} rows={rows} columns={columns} name="nodes" />
              </p>
              <AnswerLine
                text={`${shorten(groups)} ${groups === 1 ? "node" : "nodes"}, by ${bucket}`}
                notes={notes}
                stats={stats}
                how={params}
              />
            </>
          );
        }}
      </Answer>
    </section>
  );
}

/** Nodes of the cluster that are not among those that exported, and how each fares. */
function without(exports: ExportsAnswer | undefined, known: ReadonlyMap<string, unknown>): Map<string, string> {
  const silent = (exports?.nodes ?? []).filter(({ node }) => !known.has(node)).slice(0, MOST_NODES);
  return new Map(silent.map((node) => [node.node, STANDINGS[standing(node)] ?? node.reason]));
}

/** What came with the mark of each node since the collector started. */
function Received() {
  const nodes = useAsk<NodesAnswer>("nodes", {});
  return (
    <section aria-label="Received">
      <h2>Received since the collector started</h2>
      <Answer
        of={nodes}
        empty={({ nodes: of }) =>
          of.length === 0 ? (
            <p class="empty">
              Nothing was received with the mark of any node. Exporters that are not nodes of the cluster stand in
              Status.
            </p>
          ) : undefined
        }
      >
        {({ nodes: of }) => (
          <Grid
            label="Received from nodes"
            rows={of.flatMap((node) =>
              (node.formats.length > 0 ? node.formats : [undefined]).map((format) => ({
                node: node.node,
                unproven: node.unproven ?? "",
                ...format,
              })),
            )}
            columns={[
              { name: "node", title: "Node", field: "exporter_node" },
              { name: "format", title: "Format", field: "format" },
              { name: "last", title: "Newest" },
              { name: "datagrams", title: "Datagrams", number: true },
              { name: "records", title: "Records", number: true },
              { name: "lost", title: "Lost", number: true },
              { name: "unproven", title: "From elsewhere" },
            ]}
            cell={(row, { name, number }) => ({
              text:
                name === "last"
                  ? ago(row["last"] as string | undefined)
                  : name === "unproven"
                    ? row["unproven"]
                      ? ago(String(row["unproven"]))
                      : UNKNOWN
                    : number
                      ? shorten(Number(row[name] ?? 0))
                      : String(row[name] ?? UNKNOWN),
              title: exact(row[name]),
              value: row[name],
            })}
          />
        )}
      </Answer>
    </section>
  );
}
