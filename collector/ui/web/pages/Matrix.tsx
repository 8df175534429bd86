// Who called whom: a row for each client, a column for each server or each of its ports.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { amount, exact, measured, shorten, time } from "../format";
import { coveredOf, gravest, type Layer } from "../layer";
import { cellsOf, type End, heat, layout } from "../matrix";
import { Answer, AnswerLine, Empty } from "../parts/Answer";
import { Choice } from "../parts/Choice";
import { Grid } from "../parts/Grid";
import { type Head, HeatGrid, Scale } from "../parts/HeatGrid";
import { Out } from "../parts/Out";
import { encode, matrix } from "../question";
import { go, question, useAsk, utc } from "../state";
import type { MatrixAnswer, Row } from "../types";
import { LAYERS, measureTitle, STRENGTHS, UNKNOWN } from "../words";
import { inWords, Layered, Legend } from "./matrix/Layered";
import { Pair } from "./matrix/Pair";

const ENDS: Array<[string, string]> = [
  ["", "workload"],
  ["pod", "pod"],
  ["ns", "namespace"],
  ["subnet", "network"],
];
const DIRECTIONS: Array<[string, string]> = [
  ["", "the client is"],
  ["in", "the server is"],
  ["both", "either is"],
];
const COLOURS: Array<[string, string]> = [
  ["", "how much"],
  ["policy", "what policies said"],
];
const SORTS: Array<[string, string]> = [
  ["", "total"],
  ["name", "name"],
];

export function Matrix() {
  const asked = question.value;
  const params = matrix(asked);
  const answer = useAsk<MatrixAnswer>("matrix", params);
  const picked = useSignal<{ client: End; server: End } | undefined>(undefined);
  const key = encode(params);
  useEffect(() => {
    picked.value = undefined;
  }, [key]);
  return (
    <>
      <div class="controls">
        <Choice label="Between" value={asked.by} options={ENDS} onChange={(by) => go({ by })} />
        <Choice
          label="The filter's source:"
          value={asked.direction}
          options={DIRECTIONS}
          onChange={(direction) => go({ direction })}
        />
        <button type="button" aria-pressed={asked.ports} onClick={() => go({ ports: !asked.ports })}>
          By port
        </button>
        <Choice
          label="Order"
          value={asked.order === "name" ? "name" : ""}
          options={SORTS}
          onChange={(order) => go({ order })}
        />
        <Choice label="Colour" value={asked.colour} options={COLOURS} onChange={(colour) => go({ colour })} />
        <button
          type="button"
          aria-pressed={asked.show === "table"}
          onClick={() => go({ show: asked.show === "table" ? "" : "table" })}
        >
          As a table
        </button>
      </div>
      <Answer of={answer} empty={({ rows }) => (rows.length === 0 ? <EmptyMatrix /> : undefined)}>
        {({ rows, columns, edges, notes, since, until }) => (
          <>
            <div class="with-side">
              <div>
                <Layered hours={{ since, until }}>
                  {(layer) =>
                    asked.show === "table" ? (
                      <Table rows={rows} columns={columns} edges={edges} layer={layer} />
                    ) : (
                      <Cells
                        rows={rows}
                        layer={layer}
                        onPick={(client, server) => {
                          picked.value = { client, server };
                        }}
                      />
                    )
                  }
                </Layered>
                <p class="buttons">
                  {edges > rows.length && (
                    <button type="button" onClick={() => go({ top: Math.min(10_000, rows.length * 5) })}>
                      Ask for more
                    </button>
                  )}
                  <Out asks={{ verb: "matrix", page: "matrix", params }} rows={rows} columns={columns} name="matrix" />
                </p>
                <AnswerLine
                  text={`${shorten(edges)} ${edges === 1 ? "edge" : "edges"}, ${rows.length} answered, of ${time(since, utc.value)} to ${time(until, utc.value)}`}
                  notes={notes}
                  stats={undefined}
                />
              </div>
              {picked.value && (
                <Pair
                  {...picked.value}
                  onClose={() => {
                    picked.value = undefined;
                  }}
                />
              )}
            </div>
          </>
        )}
      </Answer>
    </>
  );
}

function EmptyMatrix() {
  return question.value.filter === "" ? (
    <>
      <Empty />
      <p class="hint">Who called whom is known of whole hours, and of records that the store has.</p>
    </>
  ) : (
    <Empty />
  );
}

/** The picture: darker is more, or what policies said; the largest rows and columns, the rest in the table. */
function Cells({
  rows,
  layer,
  onPick,
}: {
  rows: Row[];
  layer: Layer | undefined;
  onPick: (client: End, server: End) => void;
}) {
  const { clients, servers, cells, most, left } = layout(cellsOf(rows), question.value.order === "name");
  const of = (ends: End[], head: Head) => ends.find((end) => end.key === head.key);
  const said = (client: Head, server: Head) =>
    layer?.of({ ...of(clients, client)?.fields, ...of(servers, server)?.fields });
  return (
    <>
      <HeatGrid
        label="Clients and servers"
        corner={<span class="quiet">client / server</span>}
        rows={clients}
        columns={servers}
        cell={(client, server) => {
          const cell = cells.get(client.key)?.get(server.key);
          if (!cell) return { step: -1, name: `${client.title} to ${server.title}: nothing` };
          const amounts = `${client.title} to ${server.title}: ${amount(cell.bytes, "bytes")}`;
          if (layer) {
            const sums = said(client, server);
            const told = sums ? gravest(sums) : "";
            return {
              step: -1,
              look: `l-${told || "none"}`,
              name: `${amounts}, ${inWords(sums)}`,
              mark: LAYERS[told]?.letter ?? "",
            };
          }
          const sure = cell.strength === "proven" || cell.strength === "likely";
          return {
            step: heat(cell.bytes, most),
            name: `${amounts}, ${STRENGTHS[cell.strength] ?? cell.strength}`,
            mark: sure ? "" : "?",
          };
        }}
        onPick={(row, column) => {
          const [client, server] = [of(clients, row), of(servers, column)];
          if (client && server && cells.get(row.key)?.has(column.key)) onPick(client, server);
        }}
      />
      {layer ? (
        <Legend
          covered={coveredOf(
            clients.flatMap((client) =>
              servers.map((server) => (cells.get(client.key)?.has(server.key) ? said(client, server) : undefined)),
            ),
          )}
        />
      ) : (
        <Scale>more, up to {amount(most, "bytes")} both ways. ? where it is not sure who called.</Scale>
      )}
      {left > 0 && (
        <p class="hint">
          {shorten(left)} more {left === 1 ? "edge stands" : "edges stand"} in the table: the picture has the largest
          clients and servers.
        </p>
      )}
    </>
  );
}

function Table({
  rows,
  columns,
  edges,
  layer,
}: {
  rows: Row[];
  columns: string[];
  edges: number;
  layer: Layer | undefined;
}) {
  const isNumber = (name: string) => /bytes|packets|flows|connections/.test(name);
  return (
    <Grid
      label="Edges"
      rows={rows}
      all={edges}
      columns={(layer ? [...columns, "policies"] : columns).map((name) => ({
        name,
        title: measureTitle(name),
        hint: name,
        number: isNumber(name),
        ...(isNumber(name) || /seen|strength|evidence|^policies$/.test(name) ? {} : { field: name }),
      }))}
      cell={(row, { name, number }) =>
        number
          ? { text: measured(row, name, utc.value), title: exact(row[name]) }
          : {
              text:
                (name === "policies"
                  ? inWords(layer?.of(row))
                  : /seen/.test(name)
                    ? time(row[name], utc.value)
                    : Array.isArray(row[name])
                      ? row[name].join(" ")
                      : String(row[name] ?? "")) || UNKNOWN,
              value: row[name],
            }
      }
    />
  );
}
