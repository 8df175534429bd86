// Records as they come: the newest on top, until it is paused or left.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type Failed, failedBy, follow } from "../api";
import { shorten } from "../format";
import { arriving, encode, type Params } from "../question";
import { go, question } from "../state";
import type { Note, Row } from "../types";
import { Failure, Notes } from "./Answer";
import { Grid } from "./Grid";
import { Out } from "./Out";
import { RecordPanel } from "./RecordPanel";
import { columnsOf, recordCell, recordColumns } from "./Records";

/** Records a second that are taken at most; of the rest the number is told. */
const A_SECOND = 500;
/** Records that are kept and shown. */
const KEPT = 200;
/** A tail ends by itself before the API server ends it, which is after a minute. */
const SECONDS = 50;
/** What does not change by asking again. */
const LASTING = new Set(["filter", "parameter", "forbidden", "not-found"]);
/** How often what came is shown, in milliseconds. */
const SHOWN_EVERY = 400;
/** How long nothing is asked after a tail ended or failed, in milliseconds. */
const PAUSE = 1000;

type Line = Row & { note?: Note; mark?: string };
type Shown = { rows: Row[]; came: number; rate: number; notes: Note[]; failed?: Failed };

const NONE: Shown = { rows: [], came: 0, rate: 0, notes: [] };

/** Follows for as long as it is wanted; goes on where a tail ended. */
async function followOn(
  params: Params,
  signal: AbortSignal,
  begun: () => void,
  take: (line: Line) => void,
  fail: (failed: Failed) => void,
): Promise<void> {
  let mark: string | undefined;
  while (!signal.aborted) {
    try {
      await follow(
        "tail",
        { ...params, limit: A_SECOND, marks: true, resume: mark, seconds: SECONDS },
        signal,
        begun,
        (told) => {
          const line = told as Line;
          if (line.mark !== undefined) mark = line.mark;
          else take(line);
        },
      );
    } catch (error) {
      if (signal.aborted) return;
      const failed = failedBy(error, "offline");
      fail(failed);
      if (LASTING.has(failed.kind)) return;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

export function Live() {
  const asked = question.value;
  const params = arriving({ ...asked, columns: [] });
  const key = encode(params);
  const shown = useSignal(NONE);
  const paused = useSignal(false);
  const opened = useSignal<Row | undefined>(undefined);
  const waiting = useRef<Row[]>([]);
  useEffect(() => {
    shown.value = NONE;
    waiting.current = [];
    const stop = new AbortController();
    const take = (line: Line) => {
      if (line.note) shown.value = { ...shown.peek(), notes: [...shown.peek().notes, line.note].slice(-3) };
      else waiting.current.push(line);
    };
    const begun = () => {
      const { failed: _, ...before } = shown.peek();
      shown.value = before;
    };
    void followOn(params, stop.signal, begun, take, (failed) => {
      shown.value = { ...shown.peek(), failed };
    });
    let since = Date.now();
    const timer = setInterval(() => {
      const came = waiting.current;
      const seconds = (Date.now() - since) / 1000;
      since = Date.now();
      waiting.current = [];
      const { failed, ...before } = shown.peek();
      shown.value = {
        ...before,
        ...(failed && came.length === 0 ? { failed } : {}),
        came: before.came + came.length,
        rate: came.length / seconds,
        rows: paused.peek() ? before.rows : [...came.reverse(), ...before.rows].slice(0, KEPT),
      };
    }, SHOWN_EVERY);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [key]);
  const { rows, came, rate, notes, failed } = shown.value;
  const columns = columnsOf(asked);
  return (
    <div class="with-side">
      <div>
        <p class="buttons">
          <button
            type="button"
            aria-pressed={paused.value}
            onClick={() => {
              paused.value = !paused.value;
            }}
          >
            {paused.value ? "Go on" : "Pause"}
          </button>
          <button type="button" onClick={() => go({ live: false, since: "5m", until: "" })}>
            The last minutes, kept
          </button>
          <span role="status">
            {shorten(came)} came, {shorten(Math.round(rate))} a second
            {paused.value ? "; paused, what comes is only counted" : ""}
          </span>
        </p>
        {failed && <Failure failed={failed} />}
        {rows.length === 0 && !failed && (
          <p class="hint">Nothing came yet. Records are shown when they reach the collector.</p>
        )}
        {rows.length > 0 && (
          <Grid
            label="Records that come"
            rows={rows}
            opened={opened.value && rows.indexOf(opened.value)}
            openLabel="Record"
            onOpen={(row) => {
              opened.value = row;
              paused.value = true;
            }}
            columns={recordColumns(columns)}
            cell={recordCell}
          />
        )}
        <p class="buttons">
          <Out
            asks={{ verb: "flows --follow", page: "tail", params: arriving(asked) }}
            rows={rows}
            columns={columns}
            name="flows"
          />
        </p>
        <div class="answer-line">
          <Notes notes={notes} />
        </div>
      </div>
      {opened.value && (
        <RecordPanel
          row={opened.value}
          onClose={() => {
            opened.value = undefined;
          }}
        />
      )}
    </div>
  );
}
