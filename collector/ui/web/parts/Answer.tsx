// What stands around an answer: how it is waited for, what is wrong, why it is empty, and
// what it cost. One picture that fails leaves the others.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Failed } from "../api";
import { join, terms } from "../cel";
import { age, amount, shorten, time } from "../format";
import { type Params, selection } from "../question";
import { writeMoment } from "../span";
import { type Asked, again, fields, go, me, question, useAsk, utc } from "../state";
import type { BodyError, Note, QueryAnswer, Stats } from "../types";
import { FAILURES } from "../words";

/** An answer, or why there is none. */
export function Answer<T>({
  of,
  empty,
  children,
}: {
  of: Asked<T>;
  empty?: (answer: T) => ComponentChildren;
  children: (answer: T) => ComponentChildren;
}) {
  const none = of.answer !== undefined ? empty?.(of.answer) : undefined;
  return (
    <div class="answer" data-state={of.failed ? "failed" : of.waiting ? "waiting" : "done"} aria-busy={of.waiting}>
      {of.failed && <Failure failed={of.failed} />}
      {of.waiting && <Waiting since={of.since} first={of.answer === undefined} />}
      {of.answer !== undefined && <div class={of.waiting || of.failed ? "old" : ""}>{none || children(of.answer)}</div>}
    </div>
  );
}

/** Nothing at first, then how long it takes. */
function Waiting({ since, first }: { since: number; first: boolean }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  const seconds = (now - since) / 1000;
  if (seconds < 2) return first ? <div class="skeleton" aria-hidden="true" /> : null;
  return <p class="waiting">Asking for {age(seconds)}.</p>;
}

/** What does not change by asking again. */
const UNCHANGING = ["filter", "parameter", "forbidden", "objects", "body"];

/** Where in what was sent something is wrong. */
const placeOf = ({ document, line, place }: BodyError): string => {
  const told = [
    document === undefined || document === null ? "" : `document ${document}`,
    line === undefined || line === null ? "" : `line ${line}`,
    place ?? "",
  ].filter((part) => part !== "");
  return told.length > 0 ? `${told.join(", ")}: ` : "";
};

/** What is wrong, and what helps. */
export function Failure({ failed }: { failed: Failed }) {
  const { problem } = failed;
  const offline = failed.kind === "offline";
  return (
    <div class="failure" role="alert">
      <p>
        <strong>{FAILURES[failed.kind] ?? (problem.title || "This cannot be answered.")}</strong>{" "}
        {offline ? "It is not reached: is it running, and the way to it open?" : problem.detail}
      </p>
      {failed.kind === "forbidden" && me.value?.name && (
        <p>
          You are {me.value.name}. Who may give you the right:{" "}
          <code>
            kubectl create rolebinding flows-of-NAMESPACE --clusterrole view --user {me.value.name} -n NAMESPACE
          </code>
        </p>
      )}
      {problem.errors && problem.errors.length > 0 && (
        <ul class="report">
          {problem.errors.map((one) => (
            <li key={`${one.document} ${one.line} ${one.place} ${one.message}`}>
              {placeOf(one)}
              {one.message}
            </li>
          ))}
        </ul>
      )}
      <p class="buttons">
        {problem.suggest?.map((one) => (
          <button
            type="button"
            key={one.parameter + one.value}
            onClick={() =>
              go({
                ...(one.parameter === "since" ? { until: "" } : {}),
                [one.parameter]:
                  one.parameter === "group_by" || one.parameter === "columns" ? one.value.split(",") : one.value,
              })
            }
          >
            {one.text}
          </button>
        ))}
        {!UNCHANGING.includes(failed.kind) && (
          <button type="button" onClick={again}>
            Ask again
          </button>
        )}
      </p>
    </div>
  );
}

/** What one should know about an answer, with its times as they are shown elsewhere. */
export function Notes({ notes }: { notes: Note[] }) {
  const shown = (message: string) => message.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (at) => time(at, utc.value));
  return (
    <>
      {notes.map((note) => (
        <span class={`note note-${note.kind}`} key={note.message}>
          {shown(note.message)}
        </span>
      ))}
    </>
  );
}

/** What an answer cost, what it rests on and what one should know about it. */
export function AnswerLine({
  text,
  notes,
  stats,
  how,
}: {
  text: string;
  notes: Note[];
  stats: Stats | undefined;
  how?: Params;
}) {
  const [open, setOpen] = useState(false);
  return (
    <div class="answer-line">
      <span aria-live="polite">{text}</span>
      {stats && (
        <span>
          {shorten(stats.rows_read)} rows, {amount(stats.bytes_read, "bytes")}, {stats.segments - stats.segments_pruned}{" "}
          of {stats.segments} segments, {(stats.elapsed_us / 1e6).toFixed(2)} s
        </span>
      )}
      <Notes notes={notes} />
      {how && me.value?.sees_everything && (
        <button type="button" class="link" aria-expanded={open} onClick={() => setOpen(!open)}>
          How?
        </button>
      )}
      {open && how && <Explained params={how} />}
    </div>
  );
}

type Explained = {
  filter: string;
  parts: Array<{ tier: string; since: string; until: string; segments: number; rows_in_memory: number }>;
  plan: string;
};

function Explained({ params }: { params: Params }) {
  const asked = useAsk<Explained>("query", { ...params, explain: true });
  return (
    <Answer of={asked}>
      {(told) => (
        <div class="explained">
          <table>
            <caption>Where it was read from</caption>
            <thead>
              <tr>
                <th scope="col">Tier</th>
                <th scope="col">From</th>
                <th scope="col">Until</th>
                <th scope="col" class="number">
                  Segments
                </th>
                <th scope="col" class="number">
                  Rows in memory
                </th>
              </tr>
            </thead>
            <tbody>
              {told.parts.map((part) => (
                <tr key={part.since + part.tier}>
                  <td>{part.tier}</td>
                  <td>{time(part.since, utc.value)}</td>
                  <td>{time(part.until, utc.value)}</td>
                  <td class="number">{part.segments}</td>
                  <td class="number">{part.rows_in_memory}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <pre tabIndex={0} aria-label="Plan">
            {told.plan}
          </pre>
        </div>
      )}
    </Answer>
  );
}

/** Why there is nothing: each reason apart, with what helps. */
export function Empty() {
  const known = me.value;
  const raw = known?.oldest.find((tier) => tier.tier === "raw")?.oldest;
  if (known && !known.stores)
    return (
      <p class="empty">
        Nothing is stored. Start the collector with <code>--data-dir DIR</code>.
      </p>
    );
  if (known && !known.sees_everything && known.namespaces.length === 0)
    return <p class="empty">You may see the flows of no namespace that had any.</p>;
  const filter = question.value.filter;
  return filter === "" ? <EmptyTime oldest={raw} /> : <EmptyFilter filter={filter} oldest={raw} />;
}

/** Sums of all that the question's time has, whatever the filter. */
const allOf = (filter: string): Params => ({ ...selection(question.value), filter, measures: ["flows"], top: 1 });

function EmptyTime({ oldest }: { oldest: string | undefined }) {
  const newest = useAsk<{ rows: Array<{ time?: string }> }>("flows", {
    since: "52w",
    all_observations: question.value.all_observations,
    columns: ["time"],
    limit: 1,
  });
  const at = newest.answer?.rows[0]?.time;
  if (newest.answer && !at)
    return (
      <p class="empty">
        {me.value?.sees_everything ? "No flow was ever stored." : "No flow that you may see was ever stored."} Turn the
        export on (<code>kubectl patch network.operator cluster …</code>), and look at the page Status: it tells what
        came.
      </p>
    );
  return (
    <div class="empty">
      <p>No flow in this time.{oldest ? ` Records are kept since ${time(oldest, utc.value)}.` : ""}</p>
      {at && (
        <button
          type="button"
          onClick={() =>
            go({ since: writeMoment(Date.parse(at) - 3_600_000), until: writeMoment(Date.parse(at) + 1_000) })
          }
        >
          Go to the newest: {time(at, utc.value)}
        </button>
      )}
    </div>
  );
}

/** Which condition is to blame: how many flows there are without each. */
function EmptyFilter({ filter, oldest }: { filter: string; oldest: string | undefined }) {
  const all = useAsk<QueryAnswer>("query", allOf(""));
  const flows = Number(all.answer?.totals["flows"] ?? 0);
  if (all.answer && flows === 0) return <EmptyTime oldest={oldest} />;
  const parts = terms(filter).slice(0, 6);
  return (
    <div class="empty">
      <p>No flow fits.</p>
      <ul>
        {parts.map((part, at) => (
          <Blamed key={part} part={part} rest={join(terms(filter).toSpliced(at, 1))} />
        ))}
      </ul>
    </div>
  );
}

function Blamed({ part, rest }: { part: string; rest: string }) {
  const own = useAsk<QueryAnswer>("query", allOf(part));
  const without = useAsk<QueryAnswer>("query", allOf(rest));
  const count = (asked: Asked<QueryAnswer>) =>
    asked.answer ? shorten(Number(asked.answer.totals["flows"] ?? 0)) : "…";
  return (
    <li>
      <code>{part}</code> fits {count(own)} by itself; without it {count(without)} do.{" "}
      <button type="button" onClick={() => go({ filter: rest })}>
        Remove it
      </button>
    </li>
  );
}

/** Fields that nothing fills: whoever groups by one is told. */
export function Unfilled({ names }: { names: string[] }) {
  const empty = names.filter((name) => fields.value.get(name)?.filled === false);
  return empty.length === 0 ? null : (
    <p class="hint">Nothing fills {empty.join(", ")} yet: it is empty in every record.</p>
  );
}
