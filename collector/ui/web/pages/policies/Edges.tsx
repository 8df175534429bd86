// Edges with what is said of each: who called whom on which port, and where one goes from there.
import { useSignal } from "@preact/signals";
import { join, negated, terms } from "../../cel";
import { amount, exact, shorten, time } from "../../format";
import { type Column, Grid } from "../../parts/Grid";
import { edgeFilter, momentOf } from "../../policies";
import { carried, nothing } from "../../question";
import { addressOf, go, question, utc } from "../../state";
import type { EdgeRow, Row } from "../../types";
import { STRENGTHS, UNKNOWN } from "../../words";

/** What is said of an edge, and under which title. */
export type Said<E> = { name: string; title: string; of: (edge: E) => string; hint?: string };

type Props<E extends EdgeRow> = { label: string; edges: E[]; said: Array<Said<E>> };

export function Edges<E extends EdgeRow>({ label, edges, said }: Props<E>) {
  const opened = useSignal<E | undefined>(undefined);
  const open = opened.value && edges.includes(opened.value) ? opened.value : undefined;
  const columns: Column[] = [
    { name: "client", title: "Client" },
    { name: "server", title: "Server" },
    { name: "port", title: "Port" },
    ...said.map(({ name, title, hint }) => ({ name, title, ...(hint ? { hint } : {}) })),
    { name: "flows", title: "Flows", number: true },
    { name: "bytes", title: "Bytes", number: true },
    { name: "last_seen", title: "Last" },
  ];
  return (
    <div class="with-side">
      <Grid
        label={label}
        rows={edges.map((_, at) => ({ at }))}
        columns={columns}
        openLabel="Edge"
        opened={open && edges.indexOf(open)}
        onOpen={(row) => {
          const edge = edges[Number(row["at"])];
          opened.value = opened.value === edge ? undefined : edge;
        }}
        cell={(row, { name }) => {
          const edge = edges[Number(row["at"])];
          if (!edge) return { text: "" };
          const own = said.find((one) => one.name === name);
          if (own) return { text: own.of(edge) || UNKNOWN };
          if (name === "last_seen") return { text: time(momentOf(edge.last_seen_ns), utc.value) };
          if (name === "flows") return { text: shorten(edge.flows), title: exact(edge.flows) };
          if (name === "bytes") return { text: amount(edge.bytes, "bytes"), title: exact(edge.bytes) };
          return { text: String((edge as unknown as Row)[name] ?? "") || UNKNOWN };
        }}
      />
      {open && (
        <Edge
          of={open}
          said={said}
          onClose={() => {
            opened.value = undefined;
          }}
        />
      )}
    </div>
  );
}

function Edge<E extends EdgeRow>({ of, said, onClose }: { of: E; said: Array<Said<E>>; onClose: () => void }) {
  const asked = question.value;
  const alone = edgeFilter(of);
  const parts = terms(asked.filter);
  const facts: Array<[string, string]> = [
    ["Port", of.port],
    ...said.map((one): [string, string] => [one.title, one.of(of)]),
    ["Flows", exact(of.flows)],
    ["Bytes", exact(of.bytes)],
    ["Answered", of.answered ? "yes" : "never seen"],
    ["Who called", STRENGTHS[of.strength] ?? of.strength],
    ["First", time(momentOf(of.first_seen_ns), utc.value)],
    ["Last", time(momentOf(of.last_seen_ns), utc.value)],
  ];
  return (
    <aside class="side" aria-label="Edge">
      <h2>
        {of.client} → {of.server}{" "}
        <button type="button" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </h2>
      {alone === undefined ? (
        <p class="hint">It is not known who stands at both ends, so that there is no filter for it.</p>
      ) : (
        <ul class="links">
          <li>
            <a href={addressOf("flows", { ...nothing(), ...carried(asked), filter: alone, both_directions: true })}>
              Flows
            </a>
          </li>
          <li>
            <button type="button" class="link" onClick={() => go({ filter: alone })}>
              Only this
            </button>
          </li>
          <li>
            <button type="button" class="link" onClick={() => go({ filter: join([...parts, negated(alone)]) })}>
              Not this
            </button>
          </li>
          <li>
            <a
              href={addressOf("policies", {
                ...nothing(),
                ...carried(asked),
                show: "explain",
                src: of.client,
                dst: of.server,
                port: of.port,
              })}
            >
              Why
            </a>
          </li>
        </ul>
      )}
      <dl class="pairs">
        {facts.map(([title, text]) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>{text || UNKNOWN}</dd>
          </div>
        ))}
      </dl>
    </aside>
  );
}
