// Who called whom: a row for each client, a column for each server or each of its ports.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { equals, join, terms } from "../cel";
import { amount, exact, measured, shorten, time } from "../format";
import { cellsOf, type End, fromServer, heat, layout, tellingFields } from "../matrix";
import { Answer, AnswerLine, Empty } from "../parts/Answer";
import { Grid } from "../parts/Grid";
import { type Head, HeatGrid, Scale } from "../parts/HeatGrid";
import { openValueMenu } from "../parts/Menu";
import { Out } from "../parts/Out";
import { carried, encode, matrix, nothing } from "../question";
import { addressOf, go, kindOf, question, useAsk, utc } from "../state";
import type { MatrixAnswer, Row } from "../types";
import { measureTitle, STRENGTHS, UNKNOWN } from "../words";

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
        <Select label="Between" value={asked.by} options={ENDS} onChange={(by) => go({ by })} />
        <Select
          label="The filter's source:"
          value={asked.direction}
          options={DIRECTIONS}
          onChange={(direction) => go({ direction })}
        />
        <button type="button" aria-pressed={asked.ports} onClick={() => go({ ports: !asked.ports })}>
          By port
        </button>
        <Select
          label="Order"
          value={asked.order === "name" ? "name" : ""}
          options={SORTS}
          onChange={(order) => go({ order })}
        />
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
                {asked.show === "table" ? (
                  <Table rows={rows} columns={columns} edges={edges} />
                ) : (
                  <Cells
                    rows={rows}
                    onPick={(client, server) => {
                      picked.value = { client, server };
                    }}
                  />
                )}
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

function Select({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: string;
  options: Array<[string, string]>;
  onChange: (value: string) => void;
}) {
  return (
    <label>
      {label}{" "}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([name, text]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
    </label>
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

/** The picture: darker is more; the largest rows and columns, the rest in the table. */
function Cells({ rows, onPick }: { rows: Row[]; onPick: (client: End, server: End) => void }) {
  const { clients, servers, cells, most, left } = layout(cellsOf(rows), question.value.order === "name");
  const of = (ends: End[], head: Head) => ends.find((end) => end.key === head.key);
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
          const sure = cell.strength === "proven" || cell.strength === "likely";
          return {
            step: heat(cell.bytes, most),
            name: `${client.title} to ${server.title}: ${amount(cell.bytes, "bytes")}, ${STRENGTHS[cell.strength] ?? cell.strength}`,
            mark: sure ? "" : "?",
          };
        }}
        onPick={(row, column) => {
          const [client, server] = [of(clients, row), of(servers, column)];
          if (client && server && cells.get(row.key)?.has(column.key)) onPick(client, server);
        }}
      />
      <Scale>more, up to {amount(most, "bytes")} both ways. ? where it is not sure who called.</Scale>
      {left > 0 && (
        <p class="hint">
          {shorten(left)} more {left === 1 ? "edge stands" : "edges stand"} in the table: the picture has the largest
          clients and servers.
        </p>
      )}
    </>
  );
}

function Table({ rows, columns, edges }: { rows: Row[]; columns: string[]; edges: number }) {
  const isNumber = (name: string) => /bytes|packets|flows|connections/.test(name);
  return (
    <Grid
      label="Edges"
      rows={rows}
      all={edges}
      columns={columns.map((name) => ({
        name,
        title: measureTitle(name),
        hint: name,
        number: isNumber(name),
        ...(isNumber(name) || /seen|strength|evidence/.test(name) ? {} : { field: name }),
      }))}
      cell={(row, { name, number }) =>
        number
          ? { text: measured(row, name, utc.value), title: exact(row[name]) }
          : {
              text:
                (/seen/.test(name)
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

/** What a client called of a server: ports, sums, what it rests on. */
function Pair({ client, server, onClose }: { client: End; server: End; onClose: () => void }) {
  const asked = question.value;
  // A filter whose source may be either end says nothing of one end alone.
  const either = asked.direction === "both";
  const direction = either ? "" : asked.direction;
  const conditions = [...tellingFields(client), ...tellingFields(server)].map(([name, value]) => {
    const read = direction === "in" ? fromServer(name) : name;
    return equals(read, value, kindOf(read));
  });
  const own = either ? [] : terms(asked.filter);
  const filter = join([...own, ...conditions.filter((one) => !own.includes(one))]);
  const params = matrix({ ...asked, filter, direction, ports: true, top: 200 });
  const answer = useAsk<MatrixAnswer>("matrix", params);
  return (
    <aside class="side" aria-label="Client and server">
      <h2>
        {client.title} → {server.title}{" "}
        <button type="button" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </h2>
      <ul class="links">
        <li>
          <a href={addressOf("flows", { ...nothing(), ...carried(asked), filter, both_directions: true })}>Flows</a>
        </li>
        <li>
          <button
            type="button"
            class="link"
            aria-haspopup="menu"
            onClick={(event) => menuOf(event.currentTarget, client)}
          >
            The client …
          </button>
        </li>
        <li>
          <button
            type="button"
            class="link"
            aria-haspopup="menu"
            onClick={(event) => menuOf(event.currentTarget, server)}
          >
            The server …
          </button>
        </li>
      </ul>
      {either && asked.filter !== "" && <p class="hint">All calls between the two, whatever the filter says.</p>}
      <Answer of={answer}>
        {({ rows, notes }) => (
          <>
            <div class="scroll" tabIndex={0} role="region" aria-label="Ports">
              <table>
                <caption>Ports</caption>
                <thead>
                  <tr>
                    {[
                      "dst_port",
                      "protocol",
                      "bytes",
                      "reverse_bytes",
                      "connections",
                      "strength",
                      "evidence",
                      "last_seen",
                    ].map((name) => (
                      <th scope="col" key={name}>
                        {measureTitle(name).replace("Destination port", "Port")}
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {rows.map((row, at) => (
                    <tr key={at}>
                      <td>{String(row["dst_port"] ?? "several")}</td>
                      <td>{String(row["protocol"] ?? row["proto"] ?? "")}</td>
                      <td class="number">{measured(row, "bytes", utc.value)}</td>
                      <td class="number">{measured(row, "reverse_bytes", utc.value)}</td>
                      <td class="number">{exact(row["connections"]) || UNKNOWN}</td>
                      <td>{STRENGTHS[String(row["strength"])] ?? String(row["strength"])}</td>
                      <td>
                        {Array.isArray(row["evidence"]) ? row["evidence"].join(" ") : String(row["evidence"] ?? "")}
                      </td>
                      <td>{time(row["last_seen"], utc.value)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            <AnswerLine
              text={`${rows.length} ${rows.length === 1 ? "port" : "ports"}`}
              notes={notes}
              stats={undefined}
            />
          </>
        )}
      </Answer>
    </aside>
  );
}

function menuOf(opener: HTMLElement, end: End): void {
  const [name, value] =
    tellingFields(end)
      .filter(([field]) => field !== "dst_port" && field !== "protocol")
      .at(-1) ?? [];
  if (name) openValueMenu(opener, name, value);
}
